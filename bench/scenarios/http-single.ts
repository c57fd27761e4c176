/** One small call per request over HTTP, the node over HTTP, budgets counted in memory. */
import { compare, peerSides } from '../compare.ts'
import { startGateway } from '../gateway.ts'
import { singles } from '../loads.ts'
import type { Scenario } from '../scenario.ts'

export const httpSingle: Scenario = {
  name: 'http-single',
  title: 'Single call over HTTP, node over HTTP, local counters',
  run: (context) => {
    const { sides, left } = peerSides(
      context.withPeers ? ['nginx-lua', 'nginx', 'haproxy', 'node-dispatch', 'node-request'] : ['node-dispatch', 'node-request'],
      context,
      singles,
    )
    return compare(
      {
        sides: [{ name: 'gateway', start: () => startGateway({ nodePort: context.nodePort }), load: singles }, ...sides],
        left,
        yardstick: context.withPeers ? 'nginx-lua' : 'node-dispatch',
        bounds: [{ work: 'single call over HTTP, node over HTTP, local counters', side: 'gateway', to: 'nginx-lua', toTitle: 'nginx + Lua', atMost: 1.5 }],
      },
      context,
    )
  },
}
