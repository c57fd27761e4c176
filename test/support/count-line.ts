/** A vitest reporter that ends the run with one plain line, `N passed, N failed`, for whoever reads a log. */
import type { Reporter, TestModule } from 'vitest/node'

export default class CountLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    let passed = 0
    // A file that does not load, a hook that fails and an error that nobody caught fail the run, so they are counted.
    let failed = unhandledErrors.length
    for (const module of modules) {
      failed += module.errors().length
      for (const suite of module.children.allSuites()) failed += suite.errors().length
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state === 'passed') passed++
        if (state === 'failed') failed++
      }
    }
    // After the other reporters' summaries.
    setImmediate(() => process.stdout.write(`${passed} passed, ${failed} failed\n`))
  }
}
