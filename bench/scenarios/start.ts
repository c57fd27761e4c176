/**
 * From the start of the process until /readyz says yes: as the package is installed, which is compiled (deploy/dist.ts), and as
 * the repository runs it. Node finds what it compiled before in its compile cache, but in a container that keeps nothing.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { withSpread } from '../compare.ts'
import { spread } from '../cost.ts'
import { SOURCES, startGateway } from '../gateway.ts'
import type { GatewayOptions } from '../gateway.ts'
import type { Scenario } from '../scenario.ts'

const AT_MOST_MS = 400
const ROOT = join(import.meta.dirname, '../..')
const INSTALLED = join(ROOT, 'dist/core/main.js')

interface Way extends Pick<GatewayOptions, 'program' | 'env'> {
  readonly name: string
}

/** The target is for the first. */
const WAYS: readonly Way[] = [
  { name: 'as installed', program: INSTALLED },
  { name: 'as installed, without a compile cache', program: INSTALLED, env: { NODE_DISABLE_COMPILE_CACHE: '1' } },
  { name: 'from the repository', program: SOURCES },
]

export const start: Scenario = {
  name: 'start',
  title: 'Start to ready',
  run: async ({ nodePort, pace }) => {
    execFileSync('npm', ['run', '--silent', 'build'], { cwd: ROOT, stdio: 'inherit' })
    const timed = async ({ name: _name, ...way }: Way): Promise<number> => {
      const gateway = await startGateway({ nodePort, ...way })
      await gateway.stop()
      return gateway.readyMs
    }
    for (const way of WAYS) await timed(way) // fills the compile cache
    const readyMs: number[][] = WAYS.map(() => [])
    const bareMs: number[] = []
    for (let round = 0; round < pace.rounds; round++) {
      for (const [at, way] of WAYS.entries()) readyMs[at]!.push(await timed(way))
      const startedAt = performance.now()
      spawnSync(process.execPath, ['-e', ''])
      bareMs.push(performance.now() - startedAt)
    }
    const measured = spread(readyMs[0]!)
    return {
      columns: ['', 'ms'],
      rows: [
        ...WAYS.map(({ name }, at) => [name, withSpread(spread(readyMs[at]!), 0)]),
        ['node, start to end with nothing to do', withSpread(spread(bareMs), 0)],
      ],
      verdicts: [
        { work: 'start to ready, as installed', target: `≤ ${AT_MOST_MS} ms`, measured: `${withSpread(measured, 0)} ms`, isMet: measured.median <= AT_MOST_MS },
      ],
      bars: [],
      notes: [],
      raw: { ways: WAYS.map(({ name }) => name), readyMs, bareMs },
    }
  },
}
