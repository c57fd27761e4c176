/** The same call with budgets that several gateways share through Redis. */
import { Redis } from 'ioredis'
import { startRedis } from '../../test/support/redis.ts'
import { besidePeers } from '../compare.ts'
import { startGateway } from '../gateway.ts'
import { loads } from '../loads.ts'
import type { Side } from '../cost.ts'
import type { Scenario } from '../scenario.ts'

export const redis: Scenario = {
  name: 'redis',
  isCharted: true,
  title: 'Single call over HTTP, budgets in Redis',
  run: async (context) => {
    const store = await startRedis()
    const pid = await pidOf(store.url)
    const side = (name: string, lease: 'auto' | 'exact'): Side => ({
      name,
      start: () => startGateway({ nodePort: context.nodePort, top: { store: store.url, meter: { lease } } }),
      load: loads.singles,
      beside: [pid],
    })
    try {
      return await besidePeers(context, {
        sides: [
          { name: 'gateway-memory', start: () => startGateway({ nodePort: context.nodePort }), load: loads.singles },
          side('gateway-exact', 'exact'),
          side('gateway-leases', 'auto'),
        ],
        peers: [],
        references: ['node-dispatch'],
        load: loads.singles,
        bounds: [
          { work: 'the same with Redis counters, `exact`', side: 'gateway-exact', atMost: 2.2 },
          { work: 'the same with Redis counters, leases', side: 'gateway-leases', atMost: 1.6 },
          { work: 'CPU with Redis counters, leases', side: 'gateway-leases', to: 'gateway-memory', atMost: 1.25 },
        ],
        throughput: [{ work: 'calls a second with Redis counters, leases', side: 'gateway-leases', to: 'gateway-memory', atLeast: 0.8 }],
      })
    } finally {
      await store.stop()
    }
  },
}

async function pidOf(url: string): Promise<number> {
  const client = new Redis(url)
  const info = await client.info('server')
  client.disconnect()
  return Number(/^process_id:(\d+)/m.exec(info)![1])
}
