/**
 * A price that depends on what a call asks and on what it is answered. What decides the price and cannot be told is
 * taken for the dearest that it can be, so that no way of writing params is cheaper than the plain one.
 */
import { ageOf, blockParamOf, blocksIn, mayStandTwice, patternMap, patternProblem, reachOf, takesBlockFilter, Type } from '#plugin'
import type { Call, ChainView, PatternMap, Reach, Static } from '#plugin'

export const Price = Type.Number({ minimum: 0, description: 'A price in CU; 0 is free of charge.' })

export const RuleSchema = Type.Object(
  {
    base: Type.Number({ minimum: 0, description: 'What every call costs.' }),
    per_1000_blocks: Type.Optional(
      Type.Number({ minimum: 0, description: 'For every full 1 000 blocks that the call spans (eth_getLogs, eth_newFilter, trace_filter).' }),
    ),
    per_kib_result: Type.Optional(Type.Number({ minimum: 0, description: 'For every full KiB of the answer.' })),
    tracers: Type.Optional(
      Type.Record(Type.String(), Price, {
        description: "In place of `base`, by the call's tracer; what is not listed costs as much as the dearest. A call that names no tracer costs `base`.",
      }),
    ),
    archive: Type.Optional(
      Type.Object(
        {
          after_blocks: Type.Integer({ minimum: 0, default: 128, description: 'How far behind the head a block is old.' }),
          multiply: Type.Number({ minimum: 1, default: 1, description: 'Times so much.' }),
          add: Type.Number({ minimum: 0, default: 0, description: 'And so much more.' }),
        },
        { additionalProperties: false, description: 'What a call costs more that reads an old block, or one of which the age cannot be told.' },
      ),
    ),
    max: Type.Optional(
      Type.Number({ minimum: 0, description: 'The most that a call may cost. It is drawn while the price is not known, and the rest given back.' }),
    ),
  },
  { additionalProperties: false },
)

type RuleYaml = Static<typeof RuleSchema>

const BLOCKS = 1000
const KIB = 1024

/** A price rounded to the thousandth of a CU, which is what budgets are counted in. */
export function exact(cu: number): number {
  return Math.round(cu * 1000) / 1000
}

/** What is wrong with the rule for a pattern of methods: the key, and a clause. */
export function ruleProblems(pattern: string, rule: RuleYaml): (readonly [path: readonly string[], problem: string])[] {
  const problems: (readonly [readonly string[], string])[] = []
  const isSpanning = takesBlockFilter(pattern)
  if (rule.max === undefined && (rule.per_1000_blocks !== undefined || rule.per_kib_result !== undefined))
    problems.push([['max'], 'is missing: it is drawn while the price is not known'])
  if (rule.max !== undefined && rule.max < rule.base) problems.push([['max'], 'must not be less than base'])
  if (rule.per_1000_blocks !== undefined && !isSpanning) problems.push([['per_1000_blocks'], `${pattern} is not known to span blocks`])
  if (rule.archive !== undefined && !isSpanning && blockParamOf(pattern) === undefined)
    problems.push([['archive'], `it is not known which param of ${pattern} names a block`])
  for (const tracer of Object.keys(rule.tracers ?? {})) {
    const problem = patternProblem(tracer)
    if (problem !== undefined) problems.push([['tracers', tracer], problem])
  }
  return problems
}

/** A rule without problems, ready to price calls. */
export class PriceRule {
  /** What is drawn ahead is settled by the answer. */
  readonly isSettled: boolean
  readonly max: number
  private readonly base: number
  private readonly perBlocks: number
  private readonly perKib: number
  private readonly archive: RuleYaml['archive']
  private readonly tracers: PatternMap<number> | undefined
  private readonly dearestTracer: number

  constructor(rule: RuleYaml) {
    this.base = rule.base
    this.perBlocks = rule.per_1000_blocks ?? 0
    this.perKib = rule.per_kib_result ?? 0
    this.archive = rule.archive
    this.tracers = rule.tracers && patternMap(Object.entries(rule.tracers))
    this.dearestTracer = Math.max(rule.base, ...Object.values(rule.tracers ?? {}))
    this.max = rule.max ?? Infinity
    this.isSettled = this.perKib > 0
  }

  /** The price as far as the call tells it. */
  ahead(call: Call, chain: ChainView | undefined): number {
    const needsReach = this.perBlocks > 0 || this.archive !== undefined
    const reach = needsReach ? reachOf(call.method, call.params, call.paramsText) : undefined
    const blocks = this.perBlocks > 0 ? blocksOf(reach, chain) : 0
    if (blocks === undefined) return this.max
    const { multiply, add } = this.archive !== undefined && isOld(reach, chain, this.archive.after_blocks) ? this.archive : { multiply: 1, add: 0 }
    return exact(Math.min(this.max, (this.byTracer(call) + Math.floor(blocks / BLOCKS) * this.perBlocks) * multiply + add))
  }

  /** The price of a call that was `ahead` before its answer of so many bytes. */
  settled(ahead: number, bytes: number): number {
    return exact(Math.min(this.max, ahead + Math.floor(bytes / KIB) * this.perKib))
  }

  private byTracer(call: Call): number {
    if (this.tracers === undefined) return this.base
    const tracer = tracerOf(call)
    if (tracer === undefined) return this.base
    return (tracer === 'unknown' ? undefined : this.tracers.find(tracer.name)) ?? this.dearestTracer
  }
}

function blocksOf(reach: Reach | undefined, chain: ChainView | undefined): number | undefined {
  return reach === undefined ? undefined : blocksIn(reach, chain)
}

function isOld(reach: Reach | undefined, chain: ChainView | undefined, afterBlocks: number): boolean {
  const age = reach === undefined ? undefined : ageOf(reach, chain)
  return age === undefined || age > afterBlocks
}

/** The tracer that a call of Geth's debug methods names: undefined for none, 'unknown' where nodes might read it differently. */
function tracerOf({ params, paramsText }: Call): { readonly name: string } | 'unknown' | undefined {
  if (params === undefined) return undefined
  if (!Array.isArray(params)) return 'unknown'
  // The first param is what is traced, never the configuration.
  const named = params
    .slice(1)
    .flatMap((param: unknown) => (typeof param === 'object' && param !== null ? (Object.entries(param) as [string, unknown][]) : []))
    .filter(([key]) => key.toLowerCase() === 'tracer')
  const [first] = named
  if (first === undefined) return undefined
  const [key, name] = first
  if (named.length > 1 || key !== 'tracer' || mayStandTwice(paramsText ?? '', [key])) return 'unknown'
  if (name === null) return undefined
  return typeof name === 'string' ? { name } : 'unknown'
}
