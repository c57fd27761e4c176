/**
 * response-cache: answers calls from what nodes answered before, byte for byte but for the id. It knows finality: what cannot
 * change is kept for long, what depends on the head until that moves, and nothing is kept of errors, of null, of what is
 * pending or of what is no read. A replaced block takes with it what was kept of it. An answered call is judged, limited
 * and charged like any other; what part of its price it costs is `cache_hit_cost` of calculate-cu. Each place in the
 * configuration keeps its own, and begins anew with each reload.
 *
 * `X-Cache` says of an HTTP answer HIT or MISS, and BYPASS where nothing may be kept; of a batch what all its members have in
 * common, else MISS.
 */
import { answer, callSlot, compact, definePlugin, Duration, durationMs, network, sessionSlot, Type } from '#plugin'
import { memoryOf } from './response-cache/memory.ts'
import { ANY_BLOCK, compileRules, RuleSchema, validityOf, validityOfAnswer } from './response-cache/rules.ts'
import type { Call, ChainView, Result, Session } from '#plugin'
import type { Entry } from './response-cache/memory.ts'
import type { Rule } from './response-cache/rules.ts'

/** What became of a call here: it was answered, or its answer may be kept. A call without one was not looked up. */
type Lookup = 'hit' | Miss

interface Miss extends Omit<Entry, 'payload'> {
  readonly key: string
  readonly rule: Rule
  /** How often blocks had been replaced when the node was asked. */
  readonly turns: number
}

const lookup = callSlot<Lookup>('cache-lookup')
const header = sessionSlot<string>('cache-header')

const MIB = 1_048_576

export default definePlugin({
  name: 'response-cache',
  priority: 1005,
  summary: 'Answers calls from memory while no node would answer otherwise.',
  config: {
    max_bytes: Type.Integer({
      minimum: MIB,
      default: 64 * MIB,
      description: 'Bytes of answers that are kept. All places of the configuration with the same number share that much.',
    }),
    max_entry_bytes: Type.Integer({ minimum: 1, default: MIB, description: 'Larger answers are not kept.' }),
    max_age: Duration({ default: '24h', description: 'How long an answer is kept that cannot change.' }),
    latest_ttl: Type.Optional(
      Duration({ description: 'How long an answer is kept that depends on the head of the chain, while no head is known. Without it, not at all.' }),
    ),
    rules: Type.Record(Type.String(), RuleSchema, {
      default: {},
      description:
        'By method, in place of those for Ethereum: `forever`; `hash` (about a block that is named by its hash); `mined` (about a transaction); `blocks` (the params say which); `{ block: 1 }` (the param at this position says which); `head` (until the head moves); `never`.',
    }),
  },
  examples: [{}, { max_bytes: 268_435_456, latest_ttl: '500ms', rules: { eth_call: 'never', bor_getAuthor: { block: 0 } } }],
  onFault: 'pass',
  reads: [network],
  create(config, host) {
    const memory = memoryOf(host.metrics, config.max_bytes)
    // What another instance keeps may be of other nodes: of another route's, or of those before a reload.
    const owner = memory.nextOwner()
    const maxAgeMs = durationMs(config.max_age)
    const latestMs = config.latest_ttl === undefined ? 0 : durationMs(config.latest_ttl)
    const lookups = host.metrics.counter('tollgate_cache_lookups_total', 'Calls by what the cache had for them; bypass is what must not be kept.', [
      'method',
      'result',
    ])
    const rules = new Map(
      [...compileRules(config.rules, (method, problem) => host.report('error', ['rules', method], problem))].map(([method, rule]) => [
        method,
        { rule, hits: lookups(method, 'hit'), misses: lookups(method, 'miss'), bypassed: lookups(method, 'bypass') },
      ]),
    )
    const others = lookups('other', 'bypass')
    const chains = new Map<string, ChainView>()

    /** The chain behind a network; from the first time on, its turns are heard of. */
    function chainOf(name: string): ChainView | undefined {
      let chain = chains.get(name)
      if (chain === undefined && (chain = host.chain(name)) !== undefined) {
        chains.set(name, chain)
        chain.onReorg((fromNumber) => memory.turn(name, fromNumber))
      }
      return chain
    }

    /** Where a call's answer is kept, and for how long; undefined where it must not be. */
    function placeOf(call: Call, rule: Rule): Miss | undefined {
      const name = call.session.get(network) ?? ''
      const validity = validityOf(rule, call, chainOf(name))
      if (validity === undefined || (validity === 'head-unknown' && latestMs === 0)) return undefined
      const [until, ageMs] = validity === 'head-unknown' ? [ANY_BLOCK, latestMs] : [validity, maxAgeMs]
      return { ...until, key: `${owner} ${name} ${questionOf(call)}`, network: name, rule, expiresAt: host.now() + ageMs, turns: memory.turns(name) }
    }

    function keep({ key, rule, turns, ...asked }: Miss, { payload }: Result): void {
      const chain = chains.get(asked.network)
      const hasTurned = turns !== memory.turns(asked.network) || (asked.head !== undefined && asked.head !== chain?.head()?.hash)
      if (hasTurned || payload === 'null' || payload.length > config.max_entry_bytes) return
      const validity = validityOfAnswer(rule, asked, payload, chain)
      if (validity !== undefined) memory.set(key, { ...asked, head: validity.head, block: validity.block, payload })
    }

    return {
      access(call) {
        if (call.outcome !== undefined) return undefined
        const kept = rules.get(call.method)
        const place = kept && !call.isNotification ? placeOf(call, kept.rule) : undefined
        if (place === undefined) {
          ;(kept?.bypassed ?? others).value++
          return undefined
        }
        const payload = memory.get(place.key, chains.get(place.network)?.head()?.hash, host.now())
        if (payload === undefined) kept!.misses.value++
        else kept!.hits.value++
        call.set(lookup, payload === undefined ? place : 'hit')
        return payload === undefined ? undefined : answer(payload)
      },
      reply(call, outcome) {
        if (outcome.kind === 'refusal') return
        const found = call.get(lookup)
        if (call.session.scheme === 'http') tell(call.session, found === undefined ? 'BYPASS' : found === 'hit' ? 'HIT' : 'MISS')
        const isNodes = outcome.kind === 'result' && call.decidedBy === undefined
        if (isNodes && found !== undefined && found !== 'hit') keep(found, outcome)
      },
    }
  },
})

/** Tells the client what became of a call, or of all calls of its batch. */
function tell(session: Session, word: string): void {
  const before = session.get(header) ?? word
  const common = before === word ? word : 'MISS'
  session.set(header, common)
  session.setHeader('X-Cache', common)
}

/** Equal for calls that ask the same. */
function questionOf({ session, method, paramsText }: Call): string {
  const { path, host } = session.upstreamRequest
  const question = `${method} ${compact(paramsText ?? '[]')}`
  return path === undefined && host === undefined ? question : `${host ?? ''} ${path ?? ''} ${question}`
}
