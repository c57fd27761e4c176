/** Answers of 10 MB: what they cost, and the memory that they take. */
import { setTimeout as delay } from 'node:timers/promises'
import { compare } from '../compare.ts'
import { spread } from '../cost.ts'
import { forgetPeak, memoryBytes } from '../cpu.ts'
import { startGateway } from '../gateway.ts'
import { Loader } from '../load/loader.ts'
import { loads } from '../loads.ts'
import { BIG_BYTES } from '../node.ts'
import { peers } from '../peers.ts'
import { HOST } from '../server.ts'
import type { Scenario } from '../scenario.ts'

const TIMES = 3
/** Until memory of before is given back. */
const QUIET_MS = 500

export const bigAnswer: Scenario = {
  name: 'big-answer',
  title: 'Answers of 10 MB',
  run: async (context) => {
    const { nodePort } = context
    const found = await compare(
      {
        sides: [
          { name: 'gateway', start: () => startGateway({ nodePort }), load: loads.big },
          { name: 'node-pipe', start: () => peers['node-pipe'].start(nodePort), load: loads.big },
        ],
        yardstick: 'node-pipe',
        bounds: [{ work: '10 MB answer, CPU', side: 'gateway', to: 'node-pipe', atMost: 1.3 }],
      },
      context,
    )
    const grown = await growth(nodePort, context.pace.rounds)
    const measured = spread(grown.map((bytes) => bytes / BIG_BYTES))
    return {
      ...found,
      verdicts: [
        ...found.verdicts,
        {
          work: '10 MB answer, memory',
          target: `≤ ${TIMES} × its size`,
          measured: `${measured.median.toFixed(1)} × (${measured.least.toFixed(1)} – ${measured.most.toFixed(1)})`,
          isMet: measured.median <= TIMES,
        },
      ],
      raw: { cost: found.raw, grownBytes: grown },
    }
  },
}

/** By how much the gateway's resident memory peaks above where it was, for one answer. */
async function growth(nodePort: number, rounds: number): Promise<number[]> {
  const gateway = await startGateway({ nodePort })
  const { port, pids } = gateway
  const loader = new Loader()
  const grown: number[] = []
  try {
    await loader.open({ ...loads.singles, host: HOST, port })
    await loader.run(1)
    await loader.close()
    for (let round = 0; round < rounds; round++) {
      await delay(QUIET_MS)
      await loader.open({ ...loads.big, host: HOST, port })
      forgetPeak(pids)
      const before = memoryBytes(pids).now
      await loader.run(0)
      grown.push(memoryBytes(pids).peak - before)
      await loader.close()
    }
  } finally {
    await loader.stop()
    await gateway.stop()
  }
  return grown
}
