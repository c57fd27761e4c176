/** Plugins that show what the configuration makes of them, and a configuration built from a temporary directory. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import * as fc from 'fast-check'
import { onTestFinished } from 'vitest'
import { Type, answer, decode, definePlugin, fact, sessionSlot } from '#plugin'
import { formatProblem } from '../../core/config/problem.ts'
import { buildSnapshot } from '../../core/config/snapshot.ts'
import { createMetrics } from '../../core/observe/metrics.ts'
import type { AnyPlugin, PluginInstance, PluginLog } from '#plugin'
import type { ConfiguredPlugin, SnapshotDeps, SnapshotResult } from '../../core/config/snapshot.ts'

const LIMITS = { maxBatch: 10, maxDepth: 64, maxMethodLength: 128, maxIdBytes: 256, strict: true }
const priced = fact<ReadonlySet<string>>('priced')
const mood = sessionSlot<string>('mood')

/** An instance that shows its configuration. */
function showing(config: unknown, hooks: PluginInstance): PluginInstance {
  return Object.assign(hooks, { config })
}

/** The configuration that a plugin was created with. */
export function configOf(member: ConfiguredPlugin | undefined): unknown {
  return (member?.instance as { readonly config?: unknown } | undefined)?.config
}

const decoder = definePlugin({
  name: 'decoder',
  priority: 100,
  summary: 'Decodes.',
  config: {},
  examples: [],
  onFault: 'refuse',
  create: (config) => showing(config, { decode: (bytes) => decode(bytes, LIMITS) }),
})

const limit = definePlugin({
  name: 'limit',
  priority: 10,
  summary: 'Limits.',
  config: {
    time_window: Type.Integer({ minimum: 1, default: 1, description: 'Seconds.' }),
    burst: Type.Optional(Type.Integer({ minimum: 0, description: 'More at once.' })),
    rejected: Type.Enum(['drop', 'delay'], { default: 'drop', description: 'What becomes of more.' }),
  },
  examples: [],
  onFault: 'refuse',
  create: (config) => showing(config, { charge: () => undefined }),
})

const keys = definePlugin({
  name: 'keys',
  priority: 20,
  summary: 'Authenticates.',
  config: { header: Type.String({ default: 'apikey', description: 'The header.' }) },
  examples: [],
  onFault: 'refuse',
  credential: {
    schema: { key: Type.String({ minLength: 4, description: 'The key.' }) },
    secrets: ['key'],
    index() {
      const index = new Map<string, number>()
      return {
        add({ consumer, config }, report) {
          if (index.has(config.key)) report('the key is taken')
          index.set(config.key, consumer)
        },
        done: () => index,
      }
    },
  },
  create: (config, host) =>
    showing({ ...config, index: host.credentials, consumer: (which: string | number) => host.consumer(which) }, { open: () => undefined }),
})

const prices = definePlugin({
  name: 'prices',
  priority: 12,
  summary: 'Prices calls.',
  config: { config_path: Type.String({ description: 'The price list.' }) },
  examples: [],
  onFault: 'refuse',
  files: {
    config_path: Type.Object({
      default: Type.Integer({ minimum: 0, default: 1 }),
      methods: Type.Record(Type.String(), Type.Integer({ minimum: 0 }), { default: {} }),
    }),
  },
  create(config, host) {
    const { config_path: list } = host.files
    const { value } = list
    for (const [method, price] of Object.entries(value.methods)) if (price > 1000) list.report('warning', ['methods', method], 'is dear')
    host.tell(priced, new Set(Object.keys(value.methods)))
    return showing({ ...config, prices: value }, { access: () => undefined })
  },
})

const offers = definePlugin({
  name: 'offers',
  priority: 30,
  summary: 'Offers methods.',
  config: { methods: Type.Array(Type.String(), { description: 'The methods.' }) },
  examples: [],
  onFault: 'refuse',
  create(config, host) {
    host.hear(priced, (known) => {
      for (const [at, method] of config.methods.entries()) if (!known.has(method)) host.report('warning', ['methods', at], 'has no price')
    })
    return showing(config, { access: () => answer('null') })
  },
})

const moody = definePlugin({
  name: 'moody',
  priority: 1,
  summary: 'Reads what nobody fills.',
  config: { word: Type.Optional(Type.String({ description: 'Refused when it is no.' })) },
  examples: [],
  onFault: 'pass',
  reads: [mood],
  create(config) {
    if (config.word === 'no') throw new Error('not in the mood')
    return showing(config, { log: () => undefined })
  },
})

export const fixtures: readonly AnyPlugin[] = [decoder, limit, keys, prices, offers, moody]

const SILENT: PluginLog = { isEnabled: () => false, debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

/** What a snapshot is built with in these tests. */
export function snapshotDeps(changes: Partial<SnapshotDeps> = {}): SnapshotDeps {
  const stop = new AbortController().signal
  return { catalogue: fixtures, env: {}, generation: 1, now: () => 0, log: () => SILENT, metrics: createMetrics(), stop, ...changes }
}

/** A directory with these files; it goes with the test. */
export async function directoryWith(files: Readonly<Record<string, string>>): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'tollgate-config-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(directory, name)), { recursive: true })
    await writeFile(join(directory, name), text)
  }
  return directory
}

export interface Built extends SnapshotResult {
  readonly directory: string
  /** Problems as they are printed, with file names instead of paths. */
  readonly printed: readonly string[]
  readonly printedWarnings: readonly string[]
}

/** Builds a snapshot from these files, `gateway.yaml` among them. */
export async function build(files: Readonly<Record<string, string>>, changes: Partial<SnapshotDeps> = {}): Promise<Built> {
  const directory = await directoryWith(files)
  const result = await buildSnapshot(join(directory, 'gateway.yaml'), snapshotDeps(changes))
  const print = (problems: SnapshotResult['problems']): string[] => problems.map((problem) => formatProblem(problem).replaceAll(`${directory}/`, ''))
  return { ...result, directory, printed: print(result.problems), printedWarnings: print(result.warnings) }
}

/** What YAML is made of. */
const YAML_PIECES = ['a', ': ', '- ', '\n', '  ', 'list:', '[', ']', '{', '}', ',', '&x ', '*x', '"', "'", '|', '>', '#', '!!str ', '? '].concat([
  '${NAME}',
  '${A}',
  '---\n',
  '...',
  '\t',
  '\r\n',
  '%YAML 1.2\n',
])

/** Texts of these pieces, most of them malformed. */
export const anyYaml: fc.Arbitrary<string> = fc.array(fc.constantFrom(...YAML_PIECES), { maxLength: 30 }).map((pieces) => pieces.join(''))
