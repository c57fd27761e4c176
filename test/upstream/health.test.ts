/** When a node is out and when it is back, as calls themselves tell. */
import { describe, expect, onTestFinished, test } from 'vitest'
import { NodeHealth } from '../../core/upstream/node-health.ts'
import { RetryBudget } from '../../core/upstream/retry-budget.ts'
import { hang, reply, reset, startScriptedNode } from '../support/scripted-node.ts'
import { ask, call, context, deps, nodeOf, nodes, oneNode, upstreamOf } from './fixture.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'

const ANSWER = 'result {"method":"eth_call","params":[]}'
const OUT = ['upstreamUnavailable no-healthy-node']

function counts(asked: readonly ScriptedNode[]): number[] {
  return asked.map((node) => node.requests.length)
}

/** A clock that stands still until it is moved. */
function clock() {
  const time = { now: 0 }
  return { ...deps(), monotonicMs: () => time.now, pass: (ms: number) => void (time.now += ms) }
}

describe('a node', () => {
  test('that does not answer is out after failures in a row, calls are refused at once, and it is back with the first call that it answers', async () => {
    const parts = clock()
    const node = await oneNode()
    const upstream = upstreamOf([node.url], {}, parts)
    await node.stop()
    for (let i = 0; i < 3; i++) expect(await ask(upstream, 'eth_call')).toEqual(['upstreamUnavailable connect-failed'])
    for (let i = 0; i < 50; i++) expect(await ask(upstream, 'eth_call')).toEqual(OUT)
    parts.pass(1000)
    expect(await ask(upstream, 'eth_call')).toEqual(['upstreamUnavailable connect-failed'])
    expect(await ask(upstream, 'eth_call')).toEqual(OUT)
    const again = await startScriptedNode({ port: node.port })
    onTestFinished(() => again.stop())
    parts.pass(1000)
    expect(await ask(upstream, 'eth_call')).toEqual([ANSWER])
    expect(await ask(upstream, 'eth_call')).toEqual([ANSWER])
  })

  test('that is the only one is not out for answering badly', async () => {
    const node = await oneNode()
    const upstream = upstreamOf([node.url])
    node.script(reset)
    for (let i = 0; i < 20; i++) await ask(upstream, 'eth_call')
    node.script(reply('busy', 503))
    for (let i = 0; i < 20; i++) await ask(upstream, 'eth_call')
    node.script(undefined)
    expect(await ask(upstream, 'eth_call')).toEqual([ANSWER])
  })

  test('is looked at with one call at a time, which others do not wait for', async () => {
    const parts = clock()
    const [bad, good] = await nodes(2)
    const upstream = upstreamOf([], { nodes: [nodeOf(bad!.url, { priority: 1 }), nodeOf(good!.url)], retries: 1 }, parts)
    bad!.script(reset)
    for (let i = 0; i < 3; i++) await ask(upstream, 'eth_call')
    bad!.script(hang)
    parts.pass(1000)
    const asking = context()
    const probe = upstream.exchange([call()], asking)
    await bad!.arrived(4)
    for (let i = 0; i < 5; i++) expect(await ask(upstream, 'eth_call')).toEqual([ANSWER])
    expect(counts([bad!, good!])).toEqual([4, 8])
    asking.running!.cancel()
    await probe
    bad!.script(undefined)
    expect(await ask(upstream, 'eth_call')).toEqual([ANSWER])
    expect(bad!.requests).toHaveLength(5)
  })

  test('is not looked at with a transaction while another node can take it', async () => {
    const parts = clock()
    const [bad, good] = await nodes(2)
    const upstream = upstreamOf([], { nodes: [nodeOf(bad!.url, { priority: 1 }), nodeOf(good!.url)], retries: 1 }, parts)
    bad!.script(reset)
    for (let i = 0; i < 3; i++) await ask(upstream, 'eth_call')
    parts.pass(1000)
    await ask(upstream, 'eth_sendRawTransaction')
    expect(bad!.requests).toHaveLength(3)
    await good!.stop()
    bad!.script(undefined)
    for (let i = 0; i < 3; i++) await ask(upstream, 'eth_sendRawTransaction')
    expect(bad!.requests.length).toBeGreaterThan(3)
  })

  test.each([
    ['HTTP errors', reply('down', 503)],
    ['pages that are no JSON', reply('<html>')],
    ['wrong ids', reply('{"id":4711,"result":1}')],
    ['requests to slow down', reply('{"id":{id},"error":{"code":-32005,"message":"limit exceeded"}}')],
    ['timeouts', hang],
  ])('is out after %s', async (_what, script) => {
    const [bad, good] = await nodes(2)
    const upstream = upstreamOf([bad!.url, good!.url], { retries: 1, readTimeoutMs: 100 })
    bad!.script(script)
    for (let i = 0; i < 12; i++) expect(await ask(upstream, 'eth_call')).toEqual([ANSWER])
    expect(bad!.requests).toHaveLength(3)
  })

  test.each([
    ['errors about the call', reply('{"id":{id},"error":{"code":3,"message":"execution reverted"}}')],
    ['a batch that is too large for it', reply('too large', 413)],
    ['answers that are too large for us', reply(`{"id":{id},"result":"${'x'.repeat(2000)}"}`)],
    ['errors about itself that the other node has too', reply('{"id":{id},"error":{"code":-32000,"message":"header not found"}}')],
  ])('is not out after %s', async (_what, script) => {
    const two = await nodes(2)
    for (const node of two) node.script(script)
    const upstream = upstreamOf(
      two.map(({ url }) => url),
      { retries: 1, maxAnswerBytes: 1000 },
    )
    for (let i = 0; i < 10; i++) await ask(upstream, 'eth_call')
    for (const node of two) node.script(undefined)
    const before = counts(two)
    for (let i = 0; i < 4; i++) expect(await ask(upstream, 'eth_call')).toEqual([ANSWER])
    expect(counts(two)).toEqual(before.map((count) => count + 2))
  })

  test('is out after errors about itself that another node does not have', async () => {
    const [bad, good] = await nodes(2)
    bad!.script(reply('{"id":{id},"error":{"code":-32000,"message":"missing trie node 1a2b"}}'))
    const upstream = upstreamOf([], { nodes: [nodeOf(bad!.url, { priority: 1 }), nodeOf(good!.url)], retries: 1 })
    for (let i = 0; i < 8; i++) expect(await ask(upstream, 'eth_call')).toEqual([ANSWER])
    expect(bad!.requests).toHaveLength(3)
  })

  test('that asks for a pause has it, and is back when the pause is over', async () => {
    const [busy, other] = await nodes(2)
    const upstream = upstreamOf([], { nodes: [nodeOf(busy!.url, { priority: 1 }), nodeOf(other!.url)], retries: 1 })
    busy!.next(reply('slow down', 429, { 'retry-after': 1 }))
    for (let i = 0; i < 5; i++) expect(await ask(upstream, 'eth_call')).toEqual([ANSWER])
    expect(counts([busy!, other!])).toEqual([1, 5])
    while (busy!.requests.length === 1) {
      await ask(upstream, 'eth_call')
      await new Promise((resolve) => void setTimeout(resolve, 50))
    }
    expect(await ask(upstream, 'eth_call')).toEqual([ANSWER])
    expect(busy!.requests).toHaveLength(3)
  })

  test('may say with a date until when it wants a pause', async () => {
    const [busy, other] = await nodes(2)
    const upstream = upstreamOf([], { nodes: [nodeOf(busy!.url, { priority: 1 }), nodeOf(other!.url)], retries: 1 })
    busy!.next(reply('', 503, { date: 'Thu, 01 Jan 2026 00:00:00 GMT', 'retry-after': 'Thu, 01 Jan 2026 00:00:30 GMT' }))
    for (let i = 0; i < 5; i++) await ask(upstream, 'eth_call')
    expect(counts([busy!, other!])).toEqual([1, 5])
  })
})

describe('the breaker', () => {
  function healthOf(failures: number) {
    const changes: boolean[] = []
    const time = { now: 0 }
    const health: NodeHealth = new NodeHealth(
      { failures, ratio: 0.5, coolDownMs: 1000 },
      () => time.now,
      false,
      undefined,
      () => void changes.push(health.isUp),
    )
    onTestFinished(() => health.stop())
    return { health, changes, time }
  }

  test('opens when too many of the last answers were failures, though never many in a row', () => {
    const { health, changes } = healthOf(5)
    for (let i = 0; i < 16; i++) {
      health.answered()
      health.failed()
    }
    expect(changes).toEqual([false])
    expect(health.standing).toBe('failing')
  })

  test('stays closed while fewer fail', () => {
    const { health } = healthOf(5)
    for (let i = 0; i < 300; i++) {
      health.answered()
      health.answered()
      health.failed()
    }
    expect(health.isUp).toBe(true)
  })

  test('does not look at what was before it closed', () => {
    const { health, time } = healthOf(3)
    for (let i = 0; i < 3; i++) health.failed()
    time.now = 1000
    expect(health.mayProbe()).toBe(true)
    health.probing()
    expect(health.mayProbe()).toBe(false)
    health.answered()
    for (let i = 0; i < 2; i++) health.failed()
    expect(health.isUp).toBe(true)
  })

  test('an answer to a call of before does not close it', () => {
    const { health } = healthOf(3)
    for (let i = 0; i < 3; i++) health.failed()
    health.answered()
    expect(health.isUp).toBe(false)
  })
})

test('nodes that all fail are asked little more than once for each call', async () => {
  const three = await nodes(3)
  for (const node of three) node.script(reset)
  const upstream = upstreamOf(
    three.map(({ url }) => url),
    { retries: 3, passive: { failures: 1000, ratio: 1, coolDownMs: 1000 } },
    clock(),
  )
  for (let i = 0; i < 10; i++) await Promise.all(Array.from({ length: 30 }, () => ask(upstream, 'eth_call')))
  expect(counts(three).reduce((sum, count) => sum + count)).toBeLessThanOrEqual(1.2 * 300)
})

test('a budget of retries fills with requests, and slowly with time', () => {
  const budget = new RetryBudget()
  const take = (now: number): boolean => {
    const hasRoom = budget.hasRoom(now)
    if (hasRoom) budget.spend()
    return hasRoom
  }
  expect(Array.from({ length: 12 }, () => take(0)).filter(Boolean)).toHaveLength(10)
  for (let i = 0; i < 21; i++) budget.deposit()
  expect([take(0), take(0), take(0)]).toEqual([true, true, false])
  expect([take(1000), take(1000)]).toEqual([true, false])
})

test('while all nodes are out a call is refused at once: nothing is waited for', async () => {
  const two = await nodes(2)
  const upstream = upstreamOf(two.map(({ url }) => url))
  for (const node of two) node.script(reset)
  for (let i = 0; i < 6; i++) await ask(upstream, 'eth_call')
  const later = new Promise((resolve) => void setImmediate(resolve, 'later'))
  expect(await Promise.race([later, ask(upstream, 'eth_call')])).toEqual(OUT)
})
