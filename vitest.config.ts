/** How the tests run: two files at a time, each in a process of its own, because system tests start processes and sockets. */
import { defineConfig } from 'vitest/config'
import CountLine from './test/support/count-line.ts'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 30_000,
    reporters: ['default', new CountLine()],
    sequence: { hooks: 'stack' },
  },
})
