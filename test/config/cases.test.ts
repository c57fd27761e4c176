/**
 * Configurations and what is said of them. Each file of cases/ begins with a sentence and lists its problems in
 * comments, `# error LINE PATH: MESSAGE (HINT)` or `# warning ...`; a file without any has none.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { formatProblem } from '../../core/config/problem.ts'
import { buildSnapshot } from '../../core/config/snapshot.ts'
import { snapshotDeps } from './fixtures.ts'
import type { Problem } from '../../core/config/problem.ts'

const DIRECTORY = join(import.meta.dirname, 'cases')

const cases = readdirSync(DIRECTORY)
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => {
    const lines = readFileSync(join(DIRECTORY, name), 'utf8').split('\n')
    const expected = lines.flatMap((line) => /^# ((?:error|warning) .*)/.exec(line)?.[1] ?? [])
    return { name, sentence: lines[0]!.replace(/^# /, ''), expected }
  })

/** The problem without the name of the case's own file. */
function show(name: string, problem: Problem): string {
  return `${problem.severity} ${formatProblem(problem).replaceAll(`${DIRECTORY}/`, '').replace(`${name}:`, '')}`
}

test.for(cases)('$name: $sentence', async ({ name, expected }) => {
  const { snapshot, problems, warnings } = await buildSnapshot(join(DIRECTORY, name), snapshotDeps({ env: { KEY: 'secret', NUMBER: '7' } }))
  expect([...problems, ...warnings].map((problem) => show(name, problem))).toEqual(expected)
  expect(snapshot === undefined).toBe(expected.some((line) => line.startsWith('error')))
})
