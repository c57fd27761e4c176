/**
 * Preloaded into a process under test with `--import`: each time that it gets SIGUSR2 it writes a line like one of the log, `loaded 1`,
 * `loaded 2` and so on, with the modules that it has loaded by then.
 */
import { registerHooks } from 'node:module'

const modules = new Set<string>()
registerHooks({
  load(url, context, next) {
    modules.add(url)
    return next(url, context)
  },
})

let asked = 0
process.on('SIGUSR2', () => {
  process.stdout.write(`${JSON.stringify({ msg: `loaded ${++asked}`, modules: [...modules, ...nodesOwn()] })}\n`)
})

/** `node:internal/deps/undici/undici` and such: of what Node itself consists, what it has loaded. */
function nodesOwn(): string[] {
  const { moduleLoadList } = process as unknown as { moduleLoadList: string[] }
  return moduleLoadList.filter((entry) => entry.startsWith('NativeModule ')).map((entry) => entry.replace('NativeModule ', 'node:'))
}
