/** Upstreams over a reload. */
import { expect, onTestFinished, test } from 'vitest'
import { UpstreamSet } from '../../core/upstream/set.ts'
import { hang, http } from '../support/scripted-node.ts'
import { ask, brief, call, context, deps, nodes, oneNode, specOf, turn } from './fixture.ts'

function set(): UpstreamSet {
  const upstreams = new UpstreamSet(deps())
  onTestFinished(() => upstreams.close())
  return upstreams
}

const ANSWER = ['result {"method":"eth_call","params":[]}']

test('an upstream that a reload leaves as it was keeps its connections', async () => {
  const node = await oneNode()
  const upstreams = set()
  upstreams.update([specOf([node.url])])
  const before = upstreams.get('test')!
  expect(await ask(before, 'eth_call')).toEqual(ANSWER)
  await turn()
  upstreams.update([specOf([node.url]), specOf([node.url], { id: 'other' })])
  expect(upstreams.get('test')).toBe(before)
  expect(await ask(upstreams.get('test')!, 'eth_call')).toEqual(ANSWER)
  expect(node.connections).toBe(1)
})

test('an upstream that was removed closes its connections when its last request has ended', async () => {
  const node = await oneNode()
  const upstreams = set()
  upstreams.update([specOf([node.url])])
  const removed = upstreams.get('test')!
  await ask(removed, 'eth_call')
  node.next((request, socket) => void setTimeout(() => socket.write(http(`{"id":${request.calls[0]!.id},"result":7}`)), 50))
  const answered = removed.exchange([call()], context())
  await node.arrived(2)
  upstreams.update([])
  expect(upstreams.get('test')).toBeUndefined()
  expect((await answered).map(brief)).toEqual(['result 7'])
  await node.deserted()
})

test('idle connections of a removed upstream close at once', async () => {
  const node = await oneNode()
  const upstreams = set()
  upstreams.update([specOf([node.url])])
  await ask(upstreams.get('test')!, 'eth_call')
  upstreams.update([])
  await node.deserted()
})

test('a frame that began before the reload is still served by the upstream that it knew', async () => {
  const [before, after] = await nodes(2)
  const upstreams = set()
  upstreams.update([specOf([before!.url])])
  const known = upstreams.get('test')!
  upstreams.update([specOf([after!.url])])
  expect(await ask(known, 'eth_call')).toEqual(ANSWER)
  expect(await ask(upstreams.get('test')!, 'eth_call')).toEqual(ANSWER)
  expect([before!.requests.length, after!.requests.length]).toEqual([1, 1])
  await before!.deserted()
})

test('once closed, what runs fails and what comes is refused', async () => {
  const [current, removed] = await nodes(2)
  const upstreams = new UpstreamSet(deps())
  upstreams.update([specOf([removed!.url], { retries: 1 })])
  for (const node of [current!, removed!]) node.script(hang)
  const answers = [upstreams.get('test')!.exchange([call()], context())]
  await removed!.arrived(1)
  upstreams.update([specOf([current!.url], { retries: 1 })])
  const upstream = upstreams.get('test')!
  answers.push(upstream.exchange([call()], context()))
  await current!.arrived(1)
  await upstreams.close()
  expect((await Promise.all(answers)).flat().map(brief)).toEqual(['upstreamUnavailable connection-lost', 'upstreamUnavailable connection-lost'])
  expect(await ask(upstream, 'eth_call')).toEqual(['upstreamUnavailable no-node'])
  await Promise.all([current!.deserted(), removed!.deserted()])
})

test('an upstream opens no connection before its first call', async () => {
  const node = await oneNode()
  const upstreams = set()
  upstreams.update(Array.from({ length: 100 }, (_, i) => specOf([node.url], { id: `chain-${i}` })))
  await ask(upstreams.get('chain-42')!, 'eth_call')
  expect(node.connections).toBe(1)
})
