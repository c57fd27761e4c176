/** How the tests run: two files at a time, each in a process of its own, because system tests start processes and sockets. */
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import CountLine from './test/support/count-line.ts'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    // Generous: a limit for what hangs, not a measure of what is slow on a busy machine.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    reporters: ['default', new CountLine()],
    sequence: { hooks: 'stack' },
    // The processes that tests start compile what they share once.
    env: { NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules/.cache/node') },
  },
})
