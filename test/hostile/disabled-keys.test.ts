/** The keys of a disabled consumer: to whoever tries them they are keys that never were, in what they are told and in how long it takes. */
import { expect, test } from 'vitest'
import { Type, definePlugin } from '#plugin'
import { plugins } from '../../plugins/index.ts'
import { askingSession } from '../support/asking-session.ts'
import { configure } from '../support/configured.ts'
import type { Consumer } from '#plugin'

const ENABLED = 1000
const DISABLED = 1000
const key = (kind: string, n: number): string => `${kind}-key-${String(n).padStart(4, '0')}`

function consumersOf(kind: string, count: number, more = ''): string {
  return Array.from({ length: count }, (_, n) => `  - { username: ${kind}-${n}, ${more}plugins: { key-auth: { key: ${key(kind, n)} }, witness: {} } }\n`).join(
    '',
  )
}

const consumers = `consumers:\n${consumersOf('enabled', ENABLED)}${consumersOf('disabled', DISABLED, 'disabled: true, ')}`

/** Whom the index of a plugin's credentials was made of, and whom the plugin finds by name. */
let indexed: (string | undefined)[] = []
let found: (Consumer | undefined)[] = []
const witness = definePlugin({
  name: 'witness',
  priority: 1,
  summary: 'Notes whose credentials it is given.',
  config: {},
  examples: [{}],
  onFault: 'refuse',
  credential: {
    schema: { note: Type.Optional(Type.String()) },
    secrets: [],
    index() {
      const consumers: number[] = []
      return { add: ({ consumer }) => void consumers.push(consumer), done: () => consumers }
    },
  },
  create: (_config, host) => {
    indexed = host.credentials.map((consumer) => host.consumer(consumer)?.username)
    found = ['enabled-0', 'disabled-0', 'nobody'].map((name) => host.consumer(name))
    return {}
  },
})

test('no plugin is given them: a lookup has nothing to tell them by', async () => {
  await configure([...plugins, witness], '{ jsonrpc-var: {}, key-auth: {}, witness: {} }', {}, consumers)
  expect(indexed).toEqual(Array.from({ length: ENABLED }, (_, n) => `enabled-${n}`))
  expect(found.map((consumer) => consumer?.username)).toEqual(['enabled-0', undefined, undefined])
})

const median = (numbers: readonly number[]): number => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]!

test('they are refused by the very refusal that unknown ones are, and as fast', async () => {
  const keyAuth = (await configure([...plugins, witness], '{ jsonrpc-var: {}, key-auth: {}, witness: {} }', {}, consumers)).plugin('key-auth')
  /** What a thousand keys of a kind are told, and how long it takes. */
  const ask = (kind: string): { told: Set<unknown>; ms: number } => {
    const sessions = Array.from({ length: DISABLED }, (_, n) => askingSession({ headers: { apikey: key(kind, n) } }))
    const from = performance.now()
    const told = new Set(sessions.map((session) => keyAuth.open!(session)))
    return { told, ms: performance.now() - from }
  }
  const times = { disabled: [] as number[], unknown: [] as number[] }
  const all = new Set<unknown>()
  for (let round = 0; round < 60; round++) {
    for (const kind of round % 2 === 0 ? (['disabled', 'unknown'] as const) : (['unknown', 'disabled'] as const)) {
      const { told, ms } = ask(kind)
      times[kind].push(ms)
      for (const each of told) all.add(each)
    }
  }
  expect([...all]).toMatchObject([{ kind: 'refusal', why: 'invalid-key' }])
  const ratio = median(times.disabled) / median(times.unknown)
  expect(ratio).toBeGreaterThan(2 / 3)
  expect(ratio).toBeLessThan(3 / 2)
})
