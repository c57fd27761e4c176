/** From the start of the process until /readyz says yes. */
import { spawnSync } from 'node:child_process'
import { withSpread } from '../compare.ts'
import { spread } from '../cost.ts'
import { startGateway } from '../gateway.ts'
import type { Scenario } from '../scenario.ts'

const AT_MOST_MS = 400

export const start: Scenario = {
  name: 'start',
  title: 'Start to ready',
  run: async ({ nodePort, pace }) => {
    const ready: number[] = []
    const bare: number[] = []
    for (let round = 0; round < pace.rounds; round++) {
      const startedAt = performance.now()
      spawnSync(process.execPath, ['-e', ''])
      bare.push(performance.now() - startedAt)
      const gateway = await startGateway({ nodePort })
      ready.push(gateway.readyMs)
      await gateway.stop()
    }
    const measured = spread(ready)
    return {
      columns: ['', 'ms'],
      rows: [
        ['gateway, start to ready', withSpread(measured, 0)],
        ['node, start to end with nothing to do', withSpread(spread(bare), 0)],
      ],
      verdicts: [{ work: 'start to ready', target: `≤ ${AT_MOST_MS} ms`, measured: `${withSpread(measured, 0)} ms`, isMet: measured.median <= AT_MOST_MS }],
      bars: [],
      notes: [],
      raw: { readyMs: ready, bareMs: bare },
    }
  },
}
