/**
 * An operator's own plugins: every .ts or .js file of `plugins_dir`, and every folder in it with an index file, under
 * the same contract as the built-in ones. They import `#plugin`, and may import files beside them. When any file of
 * the directory changes, all of them are loaded anew.
 */
import { registerHooks } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { isMapping } from './draft.ts'
import { digestOf } from './digest.ts'
import type { AnyPlugin } from '../plugin/define.ts'
import type { Place } from './judge.ts'
import type { Problems } from './problem.ts'
import type { Sources } from './sources.ts'

const CODE = /\.[cm]?[jt]s$/
const NOT_A_PLUGIN = /\.d\.[cm]?ts$|\.test\.[cm]?[jt]s$|^[._]|^node_modules$/
/** Folders in folders: a plugin with its own helpers has two levels. */
const MAX_FOLDER_DEPTH = 8

/** Loads the plugins of a directory. Those that cannot be loaded are problems; so is one that takes a built-in plugin's name. */
export async function loadPluginsDir(
  directory: string,
  builtIn: readonly AnyPlugin[],
  sources: Sources,
  namedAt: Place,
  problems: Problems,
): Promise<AnyPlugin[]> {
  const texts: string[] = []
  const files = await collect(directory, sources, namedAt, texts, MAX_FOLDER_DEPTH)
  const version = digestOf(texts.join('\0')).replaceAll('-', '_')
  const plugins = new Map(builtIn.map((plugin) => [plugin.name, 'built in']))
  const loaded: AnyPlugin[] = []
  for (const file of files.filter((file) => isEntry(file, directory))) {
    const shown = sources.shown(file)
    const tell = (line: number | undefined, message: string): void => void problems.add('error', { file: shown, lineOf: () => line }, [], message)
    const plugin = await importPlugin(sources.absolute(file), version, tell)
    if (plugin === undefined) continue
    const other = plugins.get(plugin.name)
    if (other !== undefined) tell(undefined, `the plugin name ${plugin.name} is taken (${other})`)
    plugins.set(plugin.name, shown)
    loaded.push(plugin)
  }
  for (const file of files) {
    if (await sources.hasChanged(file)) problems.add('error', { file: sources.shown(file), lineOf: () => undefined }, [], 'has changed while it was loaded')
  }
  return loaded
}

/** Reads all code under a directory, so that it is watched and its digest known. */
async function collect(directory: string, sources: Sources, namedAt: Place, texts: string[], depth: number): Promise<string[]> {
  const files: string[] = []
  for (const { name, isDirectory } of await sources.entries(directory, namedAt)) {
    if (NOT_A_PLUGIN.test(name) || depth === 0) continue
    const path = join(directory, name)
    if (isDirectory) files.push(...(await collect(path, sources, namedAt, texts, depth - 1)))
    else if (CODE.test(name)) {
      texts.push(name, (await sources.text(path, namedAt)) ?? '')
      files.push(path)
    }
  }
  return files
}

/** A file at the top, or the index file of a folder at the top; all others are helpers. */
function isEntry(file: string, directory: string): boolean {
  const [first, second, ...more] = file.slice(join(directory, '/').length).split('/')
  return second === undefined || (more.length === 0 && first !== '' && /^index\.[cm]?[jt]s$/.test(second))
}

async function importPlugin(path: string, version: string, tell: (line: number | undefined, message: string) => void): Promise<AnyPlugin | undefined> {
  const url = `${pathToFileURL(path).href}?${VERSION}=${version}`
  resolveContract()
  let module: { readonly default?: unknown }
  try {
    module = (await import(url)) as typeof module
  } catch (error) {
    const line = new RegExp(`\\?${VERSION}=\\w+:(\\d+)`).exec(String((error as Error).stack))?.[1]
    tell(line === undefined ? undefined : Number(line), `cannot be loaded: ${(error as Error).message}`)
    return undefined
  }
  if (isPlugin(module.default)) return module.default
  tell(undefined, 'must have a default export made by definePlugin')
  return undefined
}

function isPlugin(value: unknown): value is AnyPlugin {
  return (
    isMapping(value) &&
    typeof value['name'] === 'string' &&
    /^[a-z][a-z0-9-]*$/.test(value['name']) &&
    Number.isFinite(value['priority']) &&
    isMapping(value['config']) &&
    (value['onFault'] === 'refuse' || value['onFault'] === 'pass') &&
    typeof value['create'] === 'function'
  )
}

/** Marks the URLs of an operator's modules with the version of their directory: another version is another module. */
const VERSION = 'tollgate'
const VERSIONED = new RegExp(`\\?${VERSION}=\\w+$`)
const CONTRACT = import.meta.resolve('#plugin')

let isResolving = false

/** From now on an operator's modules find `#plugin`, and the files that they import are as new as they are. */
function resolveContract(): void {
  if (isResolving) return
  isResolving = true
  registerHooks({
    resolve(specifier, context, next) {
      const version = VERSIONED.exec(context.parentURL ?? '')?.[0]
      if (version === undefined) return next(specifier, context)
      if (specifier === '#plugin') return next(CONTRACT, context)
      const resolved = next(specifier, context)
      return specifier.startsWith('.') ? { ...resolved, url: resolved.url + version } : resolved
    },
  })
}
