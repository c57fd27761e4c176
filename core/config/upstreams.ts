/** The upstreams that gateway.yaml names: what is wrong with them beside their form, and what rooms make of them. */
import { patternProblem } from '../plugin/method-patterns.ts'
import { Type, durationMs } from '../plugin/schema.ts'
import { unknownVariable } from '../plugin/template.ts'
import { judge } from './judge.ts'
import { text } from './values.ts'
import type { Static } from 'typebox'
import type { HedgeSpec, Rules, UpstreamSpec } from '../upstream/spec.ts'
import type { Document } from './document.ts'
import type { Draft } from './draft.ts'
import type { Path, Problems } from './problem.ts'
import type { Tell } from './references.ts'
import type { Sources } from './sources.ts'
import type { UpstreamYaml } from './upstream-schema.ts'

const RuleSchema = Type.Object({
  tags: Type.Array(text('^[a-z0-9][a-z0-9_-]{0,63}$', 'must be a word of lower-case letters, digits, _ and -', 'A word.'), {
    minItems: 1,
    description: 'What a node must have. A tag that no node of an upstream has is not asked for.',
  }),
  block: Type.Optional(
    Type.Integer({ minimum: 0, maximum: 15, description: 'Position of the param that names a block, from 0: then the tags are needed only for old blocks.' }),
  ),
})

/** A file of rules. */
const RulesSchema = Type.Object({
  recent_blocks: Type.Integer({ minimum: 0, default: 128, description: 'A block is old that is more than so many behind the head.' }),
  methods: Type.Record(Type.String(), RuleSchema, { description: 'By method, or by pattern such as `trace_*`; the best fit counts.' }),
})

/** A timer takes some weeks at most, and begins anew at once beyond that. */
const MAX_CHECK_MS = 86_400_000

/** Says what is wrong with an upstream that has the right form. */
export function checkUpstream(yaml: UpstreamYaml, path: Path, tell: Tell): void {
  const names = new Set<string>()
  for (const [position, node] of yaml.nodes.entries()) {
    const at = [...path, 'nodes', position]
    for (const key of ['url', 'ws_url'] as const) {
      if (node[key] !== undefined && !URL.canParse(node[key])) tell([...at, key], 'is not a URL')
    }
    for (const [which, pattern] of node.methods.entries()) {
      const problem = patternProblem(pattern.replace(/^!/, ''))
      if (problem !== undefined) tell([...at, 'methods', which], problem)
    }
    const name = node.id ?? String(position)
    if (names.has(name)) tell([...at, 'id'], `another node of the upstream is called ${name}`)
    names.add(name)
  }
  for (const key of ['interval', 'timeout'] as const) {
    const ms = durationMs(yaml.checks.active?.[key] ?? '1s')
    if (ms === 0 || ms > MAX_CHECK_MS) tell([...path, 'checks', 'active', key], 'must be more than 0s and at most 1d')
  }
  const unknown = unknownVariable(yaml.key, 'call')
  if (unknown !== undefined) tell([...path, 'key'], `there is no variable $${unknown}`)
}

/** Reads the upstreams and the files that they name. */
export function readUpstreams(draft: Draft, document: Document, sources: Sources, problems: Problems): Promise<UpstreamSpec[]> {
  return Promise.all(
    draft.items('upstreams').map(async ([at, yaml]) => {
      const place = (...keys: string[]) => ({ in: document, path: ['upstreams', at, ...keys] })
      const ca = yaml.tls?.ca === undefined ? undefined : await sources.text(yaml.tls.ca, place('tls', 'ca'))
      const rules = yaml.rules === undefined ? undefined : readRules(await sources.document(yaml.rules, place('rules')), problems)
      return toUpstream(yaml, ca, rules)
    }),
  )
}

function readRules(file: Document, problems: Problems): Rules | undefined {
  if (file.value === undefined || judge(RulesSchema, file.value, { in: file, path: [] }, problems).length > 0) return undefined
  const { recent_blocks: recentBlocks, methods } = file.value as Static<typeof RulesSchema>
  for (const pattern of Object.keys(methods)) {
    const problem = patternProblem(pattern)
    if (problem !== undefined) problems.add('error', file, ['methods', pattern], problem)
  }
  return { recentBlocks, methods: Object.fromEntries(Object.entries(methods).map(([pattern, { tags, block }]) => [pattern, { tags, block }])) }
}

/** `ca` and `rules` are what stands in the files that the upstream names. */
function toUpstream(yaml: UpstreamYaml, ca: string | undefined, rules: Rules | undefined): UpstreamSpec {
  const { timeout, tls, checks } = yaml
  return {
    id: yaml.id,
    type: yaml.type,
    key: yaml.key,
    nodes: yaml.nodes.map(({ id, ws_url: wsUrl, ...node }) => ({ ...node, id, wsUrl })),
    connectTimeoutMs: durationMs(timeout.connect),
    readTimeoutMs: durationMs(timeout.read),
    totalTimeoutMs: durationMs(timeout.total),
    retries: yaml.retries,
    maxAnswerBytes: yaml.max_answer,
    maxConnections: yaml.max_connections,
    keepAliveMs: durationMs(yaml.keep_alive),
    gzip: yaml.gzip,
    tls: tls && { ca, servername: tls.servername, verify: tls.verify },
    rules,
    coalesce: yaml.coalesce,
    multiplex: yaml.multiplex,
    hedge: yaml.hedge && { after: hedgeAfter(yaml.hedge.after), max: yaml.hedge.max },
    broadcast: yaml.broadcast,
    batch: { max: yaml.batch.max, waitMs: durationMs(yaml.batch.wait) },
    finality: yaml.finality,
    active: checks.active && {
      intervalMs: durationMs(checks.active.interval),
      timeoutMs: durationMs(checks.active.timeout),
      chainId: checks.active.chain_id,
      maxLag: checks.active.max_lag,
      successes: checks.active.successes,
      failures: checks.active.failures,
    },
    passive: { failures: checks.passive.failures, ratio: checks.passive.ratio, coolDownMs: durationMs(checks.passive.cool_down) },
  }
}

/** `p95`, or a duration. */
function hedgeAfter(after: string): HedgeSpec['after'] {
  return after.startsWith('p') ? { part: Number(after.slice(1)) / 100 } : { ms: durationMs(after) }
}
