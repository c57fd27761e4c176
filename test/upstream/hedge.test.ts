/** Reads that take long are asked of another node too: when, where, and what becomes of the request that loses. */
import { expect, test } from 'vitest'
import { RpcRequest } from '../../core/jsonrpc/frame.ts'
import { HedgeDelays } from '../../core/upstream/hedge-delays.ts'
import { answer, hang, reply, reset } from '../support/scripted-node.ts'
import { ask, brief, call, context, deps, nodeOf, nodes, oneNode, upstreamOf } from './fixture.ts'
import type { Flight } from '../../core/upstream/flight.ts'
import type { UpstreamSpec } from '../../core/upstream/spec.ts'
import type { Script, ScriptedNode } from '../support/scripted-node.ts'

const SOON: Partial<UpstreamSpec> = { hedge: { after: { ms: 20 }, max: 1 } }
const ANSWER = 'result {"method":"eth_call","params":[]}'

function urls(of: readonly ScriptedNode[]): string[] {
  return of.map(({ url }) => url)
}

function counts(of: readonly ScriptedNode[]): number[] {
  return of.map((node) => node.requests.length)
}

const late: Script = (request, socket, node) => void setTimeout(() => answer(request, socket, node), 150)

test('a read that takes long is answered by another node, and the request that lost is let go', async () => {
  const parts = deps()
  const two = await nodes(2)
  two[0]!.script(hang)
  const upstream = upstreamOf(urls(two), SOON, parts)
  expect(await ask(upstream, 'eth_call')).toEqual([ANSWER])
  await two[0]!.deserted()
  expect(counts(two)).toEqual([1, 1])
  const text = await parts.registry.text()
  expect(text).toContain('tollgate_upstream_hedges_total{upstream="test"} 1')
  expect(text).toContain('tollgate_upstream_in_flight{upstream="test"} 0')
  expect(text).not.toContain('tollgate_upstream_failures_total{')
})

test('the first node still counts when it is the quicker one', async () => {
  const two = await nodes(2)
  two[0]!.script((request, socket, node) => void setTimeout(() => answer(request, socket, node), 80))
  two[1]!.script(hang)
  expect(await ask(upstreamOf(urls(two), SOON), 'eth_call')).toEqual([ANSWER])
  await two[1]!.deserted()
})

test('to lose is not held against a node', async () => {
  const two = await nodes(2)
  const upstream = upstreamOf([], { ...SOON, nodes: [nodeOf(two[0]!.url, { priority: 1 }), nodeOf(two[1]!.url)] })
  two[0]!.script(hang)
  for (let i = 0; i < 8; i++) expect(await ask(upstream, 'eth_call')).toEqual([ANSWER])
  two[0]!.script(undefined)
  expect(await ask(upstream, 'eth_call')).toEqual([ANSWER])
  expect(counts(two)).toEqual([9, 8])
})

test.each([
  ['a transaction', 'eth_sendRawTransaction'],
  ['a method that is not known as a read', 'eth_newFilter'],
])('%s is never asked twice', async (_what, method) => {
  const two = await nodes(2)
  two[0]!.script(late)
  await ask(upstreamOf(urls(two), SOON), method)
  expect(counts(two)).toEqual([1, 0])
})

test('neither is a batch with a transaction in it, but one of reads is', async () => {
  const two = await nodes(2)
  two[0]!.script(late)
  const upstream = upstreamOf([], { ...SOON, nodes: [nodeOf(two[0]!.url, { priority: 1 }), nodeOf(two[1]!.url)] })
  await ask(upstream, 'eth_call', 'eth_sendRawTransaction')
  expect(counts(two)).toEqual([1, 0])
  expect(await ask(upstream, 'eth_call', 'eth_chainId')).toEqual([ANSWER, ANSWER.replace('eth_call', 'eth_chainId')])
  expect(counts(two)).toEqual([2, 1])
})

test('what is quick, or has no other node, is asked once; so is everything where it is not asked for', async () => {
  const two = await nodes(2)
  const upstream = upstreamOf(urls(two), { hedge: { after: { ms: 5000 }, max: 1 } })
  for (let i = 0; i < 10; i++) await ask(upstream, 'eth_call')
  expect(counts(two)).toEqual([5, 5])
  const alone = await oneNode()
  alone.script(late)
  await ask(upstreamOf([alone.url], SOON), 'eth_call')
  expect(alone.requests).toHaveLength(1)
  for (const node of two) node.script(late)
  await ask(upstreamOf(urls(two)), 'eth_call')
  expect(counts(two)).toEqual([6, 5])
})

test('as many nodes are asked as is allowed, each once', async () => {
  const four = await nodes(4)
  for (const node of four.slice(0, 2)) node.script(hang)
  four[2]!.script(late)
  expect(await ask(upstreamOf(urls(four), { hedge: { after: { ms: 20 }, max: 2 } }), 'eth_call')).toEqual([ANSWER])
  expect(counts(four)).toEqual([1, 1, 1, 0])
})

test.each([
  ['is reset', reset],
  ['is an error of the node about itself', reply('{"id":{id},"error":{"code":-32603,"message":"internal error"}}')],
])('when one of two %s the other is waited for, and nothing more is sent', async (_what, script) => {
  const two = await nodes(2)
  two[0]!.script((request, socket, node) => void setTimeout(() => script(request, socket, node), 60))
  two[1]!.script(late)
  expect(await ask(upstreamOf(urls(two), { ...SOON, retries: 1 }), 'eth_call')).toEqual([ANSWER])
  expect(counts(two)).toEqual([1, 1])
})

test('when both fail, a retry goes to a third', async () => {
  const three = await nodes(3)
  for (const node of three.slice(0, 2)) node.script((request, socket, self) => void setTimeout(() => reset(request, socket, self), 60))
  expect(await ask(upstreamOf(urls(three), { ...SOON, retries: 1 }), 'eth_call')).toEqual([ANSWER])
  expect(counts(three)).toEqual([1, 1, 1])
})

test('of a batch that one node answered in part, the other brings the rest', async () => {
  const two = await nodes(2)
  two[0]!.script((request, socket, node) => void setTimeout(() => reply('[{"id":{id},"result":"early"}]')(request, socket, node), 60))
  two[1]!.script(late)
  expect(await ask(upstreamOf(urls(two), SOON), 'eth_chainId', 'eth_call')).toEqual(['result "early"', ANSWER])
})

test('a client that goes takes both requests with it', async () => {
  const two = await nodes(2)
  for (const node of two) node.script(hang)
  const asking = context()
  const answered = upstreamOf(urls(two), SOON).exchange([call()], asking)
  await two[1]!.arrived(1)
  asking.running!.cancel()
  expect((await answered).map(brief)).toEqual(['upstreamUnavailable client-gone'])
  await Promise.all(two.map((node) => node.deserted()))
})

test('they draw on the budget of retries: nodes that are all slow are asked little more than once for each call', async () => {
  const two = await nodes(2)
  for (const node of two) node.script(late)
  const parts = { ...deps(), monotonicMs: () => 0 }
  const upstream = upstreamOf(urls(two), { hedge: { after: { ms: 5 }, max: 1 } }, parts)
  for (let i = 0; i < 4; i++) await Promise.all(Array.from({ length: 50 }, () => ask(upstream, 'eth_call')))
  const sent = counts(two).reduce((sum, count) => sum + count)
  expect(sent).toBeGreaterThan(200)
  expect(sent).toBeLessThanOrEqual(1.2 * 200)
})

test('both are over with the total time', async () => {
  const two = await nodes(2)
  for (const node of two) node.script(hang)
  expect(await ask(upstreamOf(urls(two), { ...SOON, totalTimeoutMs: 120 }), 'eth_call')).toEqual(['upstreamTimeout total-timeout'])
})

test('an upstream learns from its answers how long is long', async () => {
  const two = await nodes(2)
  const upstream = upstreamOf([], { hedge: { after: { part: 0.95 }, max: 1 }, nodes: [nodeOf(two[0]!.url, { priority: 1 }), nodeOf(two[1]!.url)] })
  for (let i = 0; i < 32; i++) await ask(upstream, 'eth_call')
  const before = two[1]!.requests.length
  two[0]!.script(hang)
  expect(await ask(upstream, 'eth_call')).toEqual([ANSWER])
  expect(two[1]!.requests.length).toBe(before + 1)
})

function flights(...methods: string[]): readonly Flight[] {
  return methods.map((method) => ({ request: new RpcRequest('1', method, JSON.stringify(method), undefined) }) as Flight)
}

test('a percentile is that of the last answers to the method, once there are enough', () => {
  const delays = new HedgeDelays({ after: { part: 0.95 }, max: 1 })
  const one = flights('eth_call')
  for (let ms = 1; ms < 32; ms++) delays.took(one, ms, true)
  expect(delays.afterMs(one)).toBeUndefined()
  delays.took(one, 32, true)
  expect(delays.afterMs(one)).toBe(31)
  for (let ms = 0; ms < 128; ms++) delays.took(one, 1000, true)
  expect(delays.afterMs(one)).toBe(1000)
  expect(delays.afterMs(flights('eth_call', 'eth_getLogs')), 'of a batch the slowest counts, and all have to be known').toBeUndefined()
})

test('a request that lost counts as long as it took so far, if that was long: times do not seem to shrink', () => {
  const delays = new HedgeDelays({ after: { part: 0.5 }, max: 1 })
  const one = flights('eth_call')
  for (let i = 0; i < 32; i++) delays.took(one, 100, true)
  for (let i = 0; i < 128; i++) delays.took(one, 3, false)
  expect(delays.afterMs(one)).toBe(100)
  for (let i = 0; i < 128; i++) delays.took(one, 150, false)
  expect(delays.afterMs(one)).toBe(150)
})
