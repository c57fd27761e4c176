/** Reads that are the same at the same moment are one request, and what becomes of those who share it. */
import { expect, test } from 'vitest'
import { flightKey } from '../../core/upstream/departures.ts'
import { answer, hang, http, reset } from '../support/scripted-node.ts'
import { ask, brief, call, context, deps, nodes, oneNode, upstreamOf } from './fixture.ts'
import type { UpstreamRequest } from '../../core/plugin/session.ts'
import type { Script } from '../support/scripted-node.ts'

const NO_REWRITE: UpstreamRequest = { path: undefined, host: undefined, headers: undefined }

/** Answers once `release` is called. */
function held(): { script: Script; release: () => void } {
  const waiting: (() => void)[] = []
  return {
    script: (request, socket, node) => void waiting.push(() => answer(request, socket, node)),
    release: () => {
      for (const run of waiting.splice(0)) run()
    },
  }
}

test('a thousand calls that are the same are one request, and each has its answer', async () => {
  const parts = deps()
  const node = await oneNode()
  const gate = held()
  node.script(gate.script)
  const upstream = upstreamOf([node.url], { coalesce: true }, parts)
  const answers = Array.from({ length: 1000 }, () => ask(upstream, 'eth_getBalance'))
  await node.arrived(1)
  gate.release()
  expect(new Set((await Promise.all(answers)).flat())).toEqual(new Set(['result {"method":"eth_getBalance","params":[]}']))
  expect(node.requests).toHaveLength(1)
  expect(await parts.registry.text()).toContain('tollgate_upstream_coalesced_total{upstream="test"} 999')
})

test('a call that comes after the answer is a request of its own', async () => {
  const node = await oneNode()
  const upstream = upstreamOf([node.url], { coalesce: true })
  for (let i = 0; i < 3; i++) await ask(upstream, 'eth_call')
  expect(node.requests).toHaveLength(3)
})

test('members of batches join too, but not each other', async () => {
  const node = await oneNode()
  const gate = held()
  node.script(gate.script)
  const upstream = upstreamOf([node.url], { coalesce: true })
  const first = ask(upstream, 'eth_chainId', 'eth_call', 'eth_chainId')
  const second = ask(upstream, 'eth_call', 'eth_gasPrice')
  await node.arrived(2)
  gate.release()
  const result = (method: string): string => `result {"method":"${method}","params":[]}`
  expect(await first).toEqual(['eth_chainId', 'eth_call', 'eth_chainId'].map(result))
  expect(await second).toEqual(['eth_call', 'eth_gasPrice'].map(result))
  expect(node.calls.map(({ method }) => method)).toEqual(['eth_chainId', 'eth_call', 'eth_chainId', 'eth_gasPrice'])
})

test('what is no read, or is not the same, travels alone', async () => {
  const node = await oneNode()
  const gate = held()
  node.script(gate.script)
  const upstream = upstreamOf([node.url], { coalesce: true })
  const send = (params: string, method = 'eth_call', rewrite: Partial<UpstreamRequest> = {}) => upstream.exchange([call(method, params)], context(rewrite))
  const answers = [
    send('["0x1"]', 'eth_sendRawTransaction'),
    send('["0x1"]', 'eth_sendRawTransaction'),
    send('["0x1"]'),
    send('[ "0x1"\n]'),
    send('["0x 1"]'),
    send('["0x1"]', 'eth_getCode'),
    send('["0x1"]', 'eth_call', { headers: { 'x-tier': 'paid' } }),
    send('["0x1"]', 'eth_call', { path: '/other' }),
  ]
  await node.arrived(7)
  gate.release()
  await Promise.all(answers)
  expect(node.requests).toHaveLength(7)
})

test('the first that goes away does not take the others with it', async () => {
  const node = await oneNode()
  const gate = held()
  node.script(gate.script)
  const upstream = upstreamOf([node.url], { coalesce: true })
  const leader = context()
  const leaving = upstream.exchange([call()], leader)
  const staying = ask(upstream, 'eth_blockNumber')
  await node.arrived(1)
  leader.running!.cancel()
  expect((await leaving).map(brief)).toEqual(['upstreamUnavailable client-gone'])
  gate.release()
  expect(await staying).toEqual(['result {"method":"eth_blockNumber","params":[]}'])
  expect(node.requests).toHaveLength(1)
})

test('when the last has gone the request is dropped, and the next call is a new one', async () => {
  const node = await oneNode()
  node.script(hang)
  const upstream = upstreamOf([node.url], { coalesce: true })
  const both = [context(), context()]
  const answers = both.map((each) => upstream.exchange([call()], each))
  await node.arrived(1)
  for (const each of both) each.running!.cancel()
  await Promise.all(answers)
  await node.deserted()
  node.script(undefined)
  expect(await ask(upstream, 'eth_blockNumber')).toEqual(['result {"method":"eth_blockNumber","params":[]}'])
})

test('a batch goes on while any of its calls is waited for', async () => {
  const node = await oneNode()
  const gate = held()
  node.script(gate.script)
  const upstream = upstreamOf([node.url], { coalesce: true })
  const leader = context()
  const leaving = upstream.exchange([call('eth_call'), call('eth_chainId')], leader)
  const staying = ask(upstream, 'eth_chainId')
  await node.arrived(1)
  leader.running!.cancel()
  await leaving
  gate.release()
  expect(await staying).toEqual(['result {"method":"eth_chainId","params":[]}'])
  expect(node.requests).toHaveLength(1)
})

test('a failure is everybody’s, and an error of the node’s too', async () => {
  const node = await oneNode()
  const upstream = upstreamOf([node.url], { coalesce: true })
  node.next((request, socket, self) => void setTimeout(() => reset(request, socket, self), 20))
  expect(await Promise.all([ask(upstream, 'eth_call'), ask(upstream, 'eth_call')])).toEqual([
    ['upstreamUnavailable connection-lost'],
    ['upstreamUnavailable connection-lost'],
  ])
  node.next(
    (request, socket) => void setTimeout(() => socket.write(http(`{"id":${request.calls[0]!.id},"error":{"code":3,"message":"execution reverted"}}`)), 20),
  )
  expect(await Promise.all([ask(upstream, 'eth_call'), ask(upstream, 'eth_call')])).toEqual([
    ['error {"code":3,"message":"execution reverted"}'],
    ['error {"code":3,"message":"execution reverted"}'],
  ])
})

test('who joined late has a time of its own when that of the first is over', async () => {
  const node = await oneNode()
  node.next(hang)
  const upstream = upstreamOf([node.url], { coalesce: true, totalTimeoutMs: 300 })
  const first = ask(upstream, 'eth_call')
  await node.arrived(1)
  await new Promise((resolve) => void setTimeout(resolve, 100))
  const late = ask(upstream, 'eth_call')
  expect(await first).toEqual(['upstreamTimeout total-timeout'])
  expect(await late).toEqual(['result {"method":"eth_call","params":[]}'])
})

test('nodes of chash are chosen by key, so calls of other keys are others', async () => {
  const two = await nodes(2)
  const upstream = upstreamOf(
    two.map(({ url }) => url),
    { coalesce: true, type: 'chash' },
  )
  const from = (remoteAddr: string) => upstream.exchange([call()], { ...context(), calls: [{ session: { remoteAddr } } as never] })
  await Promise.all(Array.from({ length: 20 }, (_, i) => from(`192.0.2.${i % 10}`)))
  expect(two[0]!.requests.length + two[1]!.requests.length).toBe(10)
})

test('params are the same whatever white space stands between their tokens, and else as they are written', () => {
  const key = (params: string) => flightKey(params, '', NO_REWRITE)!.params
  expect(key('[ "a b",\r\n\t{"c" : [1, 2]} ]')).toBe('["a b",{"c":[1,2]}]')
  expect(key(String.raw`[ "a \" b" ]`)).toBe(String.raw`["a \" b"]`)
  expect(key('[1.0]')).not.toBe(key('[1]'))
  expect(flightKey(`["${'x'.repeat(20_000)}"]`, '', NO_REWRITE)).toBeUndefined()
})
