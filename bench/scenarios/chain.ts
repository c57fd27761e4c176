/** The chain without I/O, in a process of its own. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { withSpread } from '../compare.ts'
import type { ChainCost } from '../chain.ts'
import type { Spread } from '../cost.ts'
import type { Scenario, Verdict } from '../scenario.ts'

const run = promisify(execFile)

export const chain: Scenario = {
  name: 'chain',
  title: 'The whole chain without I/O, one call at a time',
  run: async () => {
    const { stdout } = await run(process.execPath, [join(import.meta.dirname, '../chain.ts')])
    const { http, ws, furtherPlugin } = JSON.parse(stdout) as ChainCost
    return {
      columns: ['', 'CPU µs'],
      rows: [
        ['a session with one call, as over HTTP', withSpread(http, 1)],
        ['a call in an open session, as over WebSocket', withSpread(ws, 1)],
        ['each further plugin that has every hook and no opinion', withSpread(furtherPlugin, 2)],
      ],
      verdicts: [judge('the whole chain, without I/O, one call', http, 5, 1), judge('each further no-op plugin', furtherPlugin, 0.3, 2)],
      bars: [],
      notes: [],
      raw: { http, ws, furtherPlugin },
    }
  },
}

function judge(work: string, cost: Spread, atMostUs: number, digits: number): Verdict {
  return { work, target: `≤ ${atMostUs} µs`, measured: `${withSpread(cost, digits)} µs`, isMet: cost.median <= atMostUs }
}
