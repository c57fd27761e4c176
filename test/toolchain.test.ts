/** The tools that everything else is proved with. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const { devDependencies, dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as Record<'devDependencies' | 'dependencies', Record<string, string>>

test('the tests run on the Node that package.json pins, whatever the machine has', () => {
  expect(process.version).toBe(`v${devDependencies['node']}`)
})

test('every dependency is pinned to a version', () => {
  const loose = Object.entries({ ...dependencies, ...devDependencies }).filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))
  expect(loose).toEqual([])
})
