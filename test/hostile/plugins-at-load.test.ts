/** Plugins that break the contract while a configuration is loaded: a problem with a path, never an exception, never a gateway without a guard. */
import { expect, test } from 'vitest'
import { definePlugin, Type } from '#plugin'
import { build, fixtures } from '../config/fixtures.ts'
import type { AnyPlugin, PluginInstance } from '#plugin'

const never = (): Promise<never> => new Promise(() => undefined)

/** With an index of credentials that is made of this. */
const indexing = (parts: object): Partial<AnyPlugin> => {
  const index = () => ({ add: () => undefined, done: () => undefined, ...parts })
  return { credential: { schema: { key: Type.String() }, secrets: ['key'], index } }
}

function rogue(of: Partial<AnyPlugin>): AnyPlugin {
  return {
    ...definePlugin({ name: 'rogue', priority: 1, summary: 'Breaks the contract.', config: {}, examples: [{}], onFault: 'refuse', create: () => ({}) }),
    ...indexing({}),
    ...of,
  }
}

const CONFIG = `upstreams: [{ id: node, nodes: [{ url: http://127.0.0.1:8545 }] }]
routes: [{ id: rpc, uris: ["/*"], upstream_id: node, plugins: { decoder: {}, rogue: {} } }]
consumers: [{ username: demo, plugins: { rogue: { key: demo-key } } }]`

const AT_ROUTE = 'gateway.yaml:2 routes[0].plugins.rogue: cannot be created:'
const AT_CONSUMERS = 'gateway.yaml:3 consumers: rogue cannot index the credentials:'

test.each<[string, Partial<AnyPlugin>, string]>([
  ['never answers', { create: never }, `${AT_ROUTE} no answer within 50 ms`],
  ['throws', { create: () => { throw new Error('boom') } }, `${AT_ROUTE} boom`], // prettier-ignore
  ['rejects', { create: () => Promise.reject(new Error('boom')) }, `${AT_ROUTE} boom`],
  ['returns nothing', { create: () => undefined as never }, `${AT_ROUTE} create must return an object of hooks`],
  ['returns a number', { create: () => 5 as never }, `${AT_ROUTE} create must return an object of hooks`],
  ['returns a list', { create: () => [] as never }, `${AT_ROUTE} create must return an object of hooks`],
  ['returns a hook that is no function', { create: () => ({ access: true }) as unknown as PluginInstance }, `${AT_ROUTE} the hook access must be a function`],
  ['never finishes its index', indexing({ done: never }), `${AT_CONSUMERS} no answer within 50 ms`],
  ['never takes a credential', indexing({ add: never }), `${AT_CONSUMERS} no answer within 50 ms`],
  ['throws at a credential', indexing({ add: () => { throw new Error('boom') } }), `${AT_CONSUMERS} boom`], // prettier-ignore
  ['has an index that takes no credentials', indexing({ add: 5 }), `${AT_CONSUMERS} `],
])('a plugin that %s is a problem', async (_, of, problem) => {
  const { printed, snapshot } = await build({ 'gateway.yaml': CONFIG }, { catalogue: [...fixtures, rogue(of)], pluginTimeoutMs: 50 })
  expect(printed.join('\n')).toContain(problem)
  expect(snapshot).toBeUndefined()
})
