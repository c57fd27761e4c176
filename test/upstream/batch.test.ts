/** How calls are put together for the nodes: batches that are cut and spread, and reads that wait to travel together. */
import { expect, test } from 'vitest'
import { Room } from '../../core/plugin/room.ts'
import { hang, reply, reset } from '../support/scripted-node.ts'
import { ask, brief, call, context, deps, nodes, oneNode, upstreamOf } from './fixture.ts'
import type { ExchangeContext } from '../../core/pipeline/ports.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'

const result = (method: string): string => `result {"method":"${method}","params":[]}`
const METHODS = ['eth_chainId', 'eth_call', 'eth_getLogs', 'eth_gasPrice', 'eth_getCode']

/** How many calls each request of a node carried. */
function sizes(node: ScriptedNode): number[] {
  return node.requests.map((request) => request.calls.length)
}

test('a batch is cut into requests of as many calls as one may carry, spread over the nodes', async () => {
  const two = await nodes(2)
  const upstream = upstreamOf(
    two.map(({ url }) => url),
    { batch: { max: 2, waitMs: 0 } },
  )
  expect(await ask(upstream, ...METHODS)).toEqual(METHODS.map(result))
  expect(two.map(sizes)).toEqual([[2, 1], [2]])
})

test('with a maximum of one each call travels alone, and no node sees a batch', async () => {
  const two = await nodes(2)
  const upstream = upstreamOf(
    two.map(({ url }) => url),
    { batch: { max: 1, waitMs: 0 } },
  )
  expect(await ask(upstream, ...METHODS)).toEqual(METHODS.map(result))
  expect(two.flatMap((node) => node.requests).some((request) => request.isBatch)).toBe(false)
  expect(two.map((node) => node.requests.length).toSorted((a, b) => a - b)).toEqual([2, 3])
})

test('what fails takes only those with it that travelled in the same request', async () => {
  const node = await oneNode()
  node.next(reset)
  const outcomes = await ask(upstreamOf([node.url], { batch: { max: 1, waitMs: 0 } }), ...METHODS)
  expect(outcomes.filter((outcome) => outcome === 'upstreamUnavailable connection-lost')).toHaveLength(1)
  expect(outcomes.filter((outcome) => outcome.startsWith('result'))).toHaveLength(4)
})

test('what waits for the rest of its batch is counted as held', async () => {
  const held = { value: 0 }
  const node = await oneNode()
  node.results.set('eth_call', `"${'x'.repeat(100_000)}"`)
  const parts = { ...deps(), room: new Room(held, Infinity) }
  const upstream = upstreamOf([node.url], { batch: { max: 1, waitMs: 0 } }, parts)
  node.script((request, socket, self) => {
    if (request.calls[0]!.method === 'eth_getLogs') hang(request, socket, self)
    else reply(`{"id":{id},"result":"${'x'.repeat(100_000)}"}`)(request, socket, self)
  })
  const asking = context()
  const answered = upstream.exchange([call('eth_call'), call('eth_getLogs'), call('eth_getCode')], asking)
  const bodies = 2 * `{"id":1,"result":"${'x'.repeat(100_000)}"}`.length
  await expect.poll(() => held.value).toBe(bodies)
  asking.running!.cancel()
  await answered
  expect(held.value).toBe(0)
})

test('reads of several clients that wait travel in one request, and each has its own answer', async () => {
  const node = await oneNode()
  const upstream = upstreamOf([node.url], { batch: { max: 20, waitMs: 20 } })
  const answers = await Promise.all(METHODS.map((method) => ask(upstream, method)))
  expect(answers.flat()).toEqual(METHODS.map(result))
  expect(sizes(node)).toEqual([5])
})

test('they wait no longer when they are as many as may travel together', async () => {
  const node = await oneNode()
  const upstream = upstreamOf([node.url], { batch: { max: 2, waitMs: 60_000 }, coalesce: true })
  const answers = await Promise.all([ask(upstream, 'eth_chainId'), ask(upstream, 'eth_call'), ask(upstream, 'eth_getLogs'), ask(upstream, 'eth_getCode')])
  expect(answers.flat()).toEqual(['eth_chainId', 'eth_call', 'eth_getLogs', 'eth_getCode'].map(result))
  expect(sizes(node)).toEqual([2, 2])
})

test('a client’s own batch joins them where there is room', async () => {
  const node = await oneNode()
  const upstream = upstreamOf([node.url], { batch: { max: 3, waitMs: 20 } })
  await Promise.all([ask(upstream, 'eth_chainId'), ask(upstream, 'eth_call', 'eth_getLogs'), ask(upstream, 'eth_getCode')])
  expect(sizes(node)).toEqual([3, 1])
})

test('one of them that fails, fails alone', async () => {
  const node = await oneNode()
  node.next(reply('[{"id":{id},"result":1},{"id":{id+1},"error":{"code":3,"message":"execution reverted"}}]'))
  const upstream = upstreamOf([node.url], { batch: { max: 3, waitMs: 60_000 } })
  expect(await Promise.all(['eth_chainId', 'eth_call', 'eth_getCode'].map((method) => ask(upstream, method)))).toEqual([
    ['result 1'],
    ['error {"code":3,"message":"execution reverted"}'],
    ['upstreamUnavailable missing-answer'],
  ])
})

test.each<[what: string, method: string, asking: Partial<ExchangeContext>]>([
  ['is no read', 'eth_sendRawTransaction', {}],
  ['has a request of its own', 'eth_call', context({ headers: { 'x-tier': 'paid' } })],
])('what %s does not wait', async (_what, method, asking) => {
  const node = await oneNode()
  const upstream = upstreamOf([node.url], { batch: { max: 20, waitMs: 60_000 } })
  const [outcome] = await upstream.exchange([call(method)], { ...context(), ...asking })
  expect(brief(outcome)).toBe(result(method))
})

test('who leaves while it waits is not asked for, and the others are', async () => {
  const node = await oneNode()
  const upstream = upstreamOf([node.url], { batch: { max: 20, waitMs: 50 } })
  const asking = context()
  const leaving = upstream.exchange([call('eth_call')], asking)
  const staying = ask(upstream, 'eth_chainId')
  asking.running!.cancel()
  expect((await leaving).map(brief)).toEqual(['upstreamUnavailable client-gone'])
  expect(await staying).toEqual([result('eth_chainId')])
  expect(node.calls.map(({ method }) => method)).toEqual(['eth_chainId'])
})
