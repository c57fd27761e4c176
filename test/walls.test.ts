/** The architecture as tests: who may import whom, where what may be said, how files are named and how long they grow. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, join, normalize } from 'node:path'
import { expect, test } from 'vitest'

/** What each room of core/ may import of the others: a room, a single file of it, or with `type` only its types. */
const WALLS: Readonly<Record<string, readonly string[]>> = {
  jsonrpc: [],
  plugin: ['jsonrpc'],
  pipeline: ['plugin', 'jsonrpc'],
  transport: ['pipeline', 'plugin', 'jsonrpc', 'type route'],
  upstream: ['type pipeline/ports.ts', 'plugin', 'jsonrpc'],
  meter: ['type pipeline/ports.ts', 'plugin', 'jsonrpc', 'type config/snapshot.ts'],
  route: ['pipeline', 'plugin', 'jsonrpc', 'config/snapshot.ts'],
  config: ['plugin', 'jsonrpc', 'pipeline/chain.ts', 'type pipeline', 'type upstream/spec.ts', 'route/pattern.ts'],
  observe: ['plugin'],
  admin: ['plugin', 'observe', 'transport/node-http.ts', 'type upstream'],
  peers: ['plugin', 'meter/redis-client.ts'],
  workers: ['plugin', 'observe', 'type meter', 'type config/snapshot.ts'],
}

const ROOMS = Object.keys(WALLS)
const TOP_LEVEL = ['bench', 'conf', 'core', 'deploy', 'plugins', 'test']
/** Lines; what is longer wants to be split by idea. */
const LONGEST_FILE = 400

interface Source {
  readonly path: string
  readonly text: string
  /** The text without its comments. */
  readonly code: string
  readonly imports: readonly Import[]
}

interface Import {
  readonly specifier: string
  readonly isType: boolean
  /** The file it names, from the root; undefined for packages. */
  readonly file: string | undefined
}

const TOKENS = /'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g
const IMPORT = /^(?:import|export)\b([^'"`;]*?)\bfrom '([^']+)'|^import '([^']+)'|\bimport\('([^']+)'\)/gm

const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { encoding: 'utf8' })
  .split('\n')
  .filter((path) => existsSync(path))
const sources = files.filter((path) => path.endsWith('.ts')).map(read)
const core = sources.filter(({ path }) => path.startsWith('core/'))
const plugins = sources.filter(({ path }) => path.startsWith('plugins/'))
const rooms = core.filter(({ path }) => ROOMS.includes(roomOf(path)))

function read(path: string): Source {
  const text = readFileSync(path, 'utf8')
  const code = text.replace(TOKENS, (token) => (token.startsWith('/') ? '' : token))
  const imports = [...code.matchAll(IMPORT)].map(([, clause, from, bare, dynamic]) => {
    const specifier = (from ?? bare ?? dynamic)!
    return {
      specifier,
      isType: clause !== undefined && /^\s*type\b/.test(clause),
      file: specifier.startsWith('.') ? normalize(join(dirname(path), specifier)) : undefined,
    }
  })
  return { path, text, code, imports }
}

function roomOf(path: string): string {
  return path.split('/')[1]!
}

/** All imports of some files that are not allowed, as sentences. */
function offences(of: readonly Source[], judge: (source: Source, imported: Import) => string | undefined): string[] {
  return of.flatMap((source) => source.imports.flatMap((imported) => judge(source, imported) ?? [])).toSorted()
}

function isAllowed(room: string, file: string, isType: boolean): boolean {
  return (WALLS[room] ?? []).some((rule) => {
    const [, typeOnly, target] = /^(type )?(.*)$/.exec(rule)!
    return (typeOnly === undefined || isType) && (file === `core/${target}` || file.startsWith(`core/${target}/`))
  })
}

test('the imports of all files are seen', () => {
  const source = read('core/main.ts')
  expect(source.imports.map(({ specifier }) => specifier)).toEqual(expect.arrayContaining(['node:fs', './gateway.ts', '../plugins/index.ts']))
  expect(core.length).toBeGreaterThan(40)
  expect(rooms.flatMap(({ imports }) => imports).length).toBeGreaterThan(100)
})

test('each room of core imports only the rooms below it', () => {
  const wrong = offences(rooms, ({ path }, { file, isType }) => {
    const room = roomOf(path)
    if (file === undefined || file.startsWith(`core/${room}/`) || isAllowed(room, file, isType)) return undefined
    const may = WALLS[room]!.length === 0 ? 'nothing else of ours' : WALLS[room]!.join(', ')
    return `core/${room} may not import ${isType ? 'the types of ' : ''}${file} (${path}); it may import ${may}`
  })
  expect(wrong).toEqual([])
})

test('core/jsonrpc imports nothing but Node', () => {
  const wrong = offences(
    core.filter(({ path }) => path.startsWith('core/jsonrpc/')),
    ({ path }, { specifier, file }) =>
      file?.startsWith('core/jsonrpc/') === true || isBuiltin(specifier) ? undefined : `core/jsonrpc may not import ${specifier} (${path})`,
  )
  expect(wrong).toEqual([])
})

test('core never imports plugins; core/main.ts hands the catalogue in', () => {
  const wrong = offences(core, ({ path }, { file }) =>
    file?.startsWith('plugins/') === true && path !== 'core/main.ts' ? `core may not import plugins (${path} imports ${file})` : undefined,
  )
  expect(wrong).toEqual([])
})

test('plugins import #plugin, Node, packages and their own folder', () => {
  const wrong = offences(plugins, ({ path }, { specifier, file }) => {
    if (path === 'plugins/index.ts' || specifier === '#plugin') return undefined
    if (file === undefined) return specifier.startsWith('#') ? `plugins may import #plugin, not ${specifier} (${path})` : undefined
    if (file.startsWith('core/')) return `plugins may not import ${dirname(file)} (${path} imports ${file})`
    const own = path.split('/')[1]!.replace(/\.ts$/, '')
    return file.startsWith(`plugins/${own}/`) || file === `plugins/${own}.ts` ? undefined : `a plugin may not import another (${path} imports ${file})`
  })
  expect(wrong).toEqual([])
})

test('every plugin is in the catalogue', () => {
  const listed = sources.find(({ path }) => path === 'plugins/index.ts')!.imports.flatMap(({ file }) => file ?? [])
  const owned = files.filter((path) => /^plugins\/[^/]+\.ts$/.test(path) && path !== 'plugins/index.ts')
  expect(listed.toSorted()).toEqual(owned.toSorted())
})

test('only core/main.ts knows core/gateway.ts', () => {
  const wrong = offences(
    sources.filter(({ path }) => !path.startsWith('test/') && path !== 'core/main.ts'),
    ({ path }, { file }) => (file === 'core/gateway.ts' ? `only core/main.ts may import core/gateway.ts (${path} does)` : undefined),
  )
  expect(wrong).toEqual([])
})

test('nothing imports tests or benchmarks but tests and benchmarks', () => {
  const wrong = offences([...core, ...plugins], ({ path }, { file }) =>
    file !== undefined && /^(test|bench|deploy)\//.test(file) ? `${path} may not import ${file}` : undefined,
  )
  expect(wrong).toEqual([])
})

/** The files of some sources in whose code a pattern occurs, with the line. Texts in quotes do not count. */
function occurrences(of: readonly Source[], pattern: RegExp): string[] {
  return of.flatMap(({ path, code }) =>
    code
      .replace(TOKENS, (token) => (token.startsWith('`') ? token : "''"))
      .split('\n')
      .filter((line) => pattern.test(line))
      .map((line) => `${path}: ${line.trim()}`),
  )
}

test('only core/main.ts touches process', () => {
  const others = [...core, ...plugins].filter(({ path }) => path !== 'core/main.ts')
  expect(occurrences(others, /(?<![#.\w])process\s*[.[]/)).toEqual([])
  expect(
    offences(others, ({ path }, { specifier }) => (specifier === 'node:process' || specifier === 'process' ? `${path} imports ${specifier}` : undefined)),
  ).toEqual([])
})

test("plugins take the time from their host's clock", () => {
  expect(occurrences(plugins, /\bDate\.now\(|\bnew Date\(\)|\bperformance\.now\(/)).toEqual([])
})

test('core knows no plugin by name', () => {
  const names = plugins.flatMap(({ path }) => /^plugins\/([^/]+)\.ts$/.exec(path)?.[1] ?? []).filter((name) => name !== 'index' && name !== 'prometheus')
  const words = [
    ...names.map((name) => `'${name}'`),
    "'whitelist.yaml'",
    "'cu-pricing.yaml'",
    'whitelist',
    'cuPricing',
    'calculateCu',
    'limitCu',
    'limitMonthlyCu',
  ]
  // Prose may name an example, so texts with a space in them do not count.
  const wrong = core.flatMap(({ path, code }) => {
    const spoken = code.replace(TOKENS, (token) => (token.includes(' ') && !token.includes('${') ? "''" : token))
    return words.filter((word) => new RegExp(String.raw`(?<![\w-])${word}(?![\w-])`).test(spoken)).map((word) => `core may not know ${word} (${path})`)
  })
  expect(wrong).toEqual([])
})

test('no import goes in a circle', () => {
  const edges = new Map(sources.map(({ path, imports }) => [path, imports.filter(({ isType }) => !isType).flatMap(({ file }) => file ?? [])]))
  const done = new Set<string>()
  const circles: string[] = []
  const visit = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) circles.push([...trail.slice(trail.indexOf(path)), path].join(' -> '))
    else if (!done.has(path)) {
      for (const next of edges.get(path) ?? []) visit(next, [...trail, path])
      done.add(path)
    }
  }
  for (const path of edges.keys()) visit(path, [])
  expect(circles).toEqual([])
})

test('files are named in kebab-case', () => {
  const odd = sources.map(({ path }) => path).filter((path) => !path.split('/').every((part) => /^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z]+)*$/.test(part)))
  expect(odd).toEqual([])
})

test('no file is called utils, helpers, common or misc, and none is a numbered part', () => {
  const odd = sources.map(({ path }) => path).filter((path) => /(^|\/)(utils?|helpers?|common|misc)(\.ts|\/)|[a-z]-?[0-9]\.ts$/.test(path))
  expect(odd).toEqual([])
})

test(`no file of core or plugins is longer than ${LONGEST_FILE} lines`, () => {
  const long = [...core, ...plugins].map(({ path, text }) => ({ path, lines: text.split('\n').length })).filter(({ lines }) => lines > LONGEST_FILE)
  expect(long).toEqual([])
})

test('every file of core and plugins begins by saying what it is', () => {
  const silent = [...core, ...plugins].filter(({ text }) => !text.replace(/^#!.*\n/, '').startsWith('/**')).map(({ path }) => path)
  expect(silent).toEqual([])
})

test('the rooms are those of the design', () => {
  const folders = [...new Set(files.filter((path) => path.includes('/') && !path.startsWith('.')).map((path) => path.split('/')[0]!))].toSorted()
  expect(TOP_LEVEL).toEqual(expect.arrayContaining(folders))
  const found = new Set(core.filter(({ path }) => path.split('/').length > 2).map(({ path }) => roomOf(path)))
  expect(ROOMS).toEqual(expect.arrayContaining([...found]))
})

test('each plugin has a test of its own name', () => {
  const names = plugins.flatMap(({ path }) => /^plugins\/([^/]+)\.ts$/.exec(path)?.[1] ?? []).filter((name) => name !== 'index')
  expect(names.filter((name) => !files.includes(`test/plugins/${name}.test.ts`))).toEqual([])
})
