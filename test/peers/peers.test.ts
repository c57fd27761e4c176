import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { MAX_REVOKED, Peers } from '../../core/peers/peers.ts'
import { openRedisChannel } from '../../core/peers/redis-channel.ts'
import { command, startRedis, startRedisCluster } from '../support/redis.ts'
import type { Channel, ChannelEvents } from '../../core/peers/peers.ts'

/** A channel in this process that can be cut. */
class Air {
  isCut = false
  readonly #ends = new Set<ChannelEvents>()

  readonly open = (events: ChannelEvents): Channel => {
    this.#ends.add(events)
    queueMicrotask(events.open)
    return { publish: (text) => this.say(text), close: () => void this.#ends.delete(events) }
  }

  say(text: string): void {
    if (!this.isCut) for (const end of this.#ends) queueMicrotask(() => end.heard(text))
  }
}

interface Gateway {
  readonly peers: Peers
  readonly shown: { readonly gateways: { value: number }; readonly differing: { value: number } }
  /** What it was told to look at, newest last. */
  readonly seen: (readonly string[])[]
  readonly warnings: string[]
}

const BEAT_MS = 10

function gateway(name: string, open: (events: ChannelEvents) => Channel, beatMs = BEAT_MS): Gateway {
  const shown = { gateways: { value: 0 }, differing: { value: 0 } }
  const seen: (readonly string[])[] = []
  const warnings: string[] = []
  const log = { info: () => undefined, warn: (_: unknown, message: string) => void warnings.push(message) }
  const peers = new Peers({ open, gateway: name, log, shown, onRevoked: () => void seen.push(peers.revoked), beatMs })
  onTestFinished(() => peers.close())
  return { peers, shown, seen, warnings }
}

describe('gateways on one channel', () => {
  test('hear whom any of the others disables, and when it takes that back', async () => {
    const { open } = new Air()
    const [one, two, three] = [gateway('1', open), gateway('2', open), gateway('3', open)]
    one.peers.tell('x', ['alice'])
    two.peers.tell('x', ['bob', 'alice'])
    three.peers.tell('x', [])
    await expect.poll(() => three.peers.revoked).toEqual(['alice', 'bob'])
    expect(one.peers.revoked).toEqual(['alice', 'bob']) // of which the second is news to it
    two.peers.tell('x', [])
    await expect.poll(() => three.peers.revoked).toEqual(['alice'])
    one.peers.tell('x', [])
    await expect.poll(() => three.seen.at(-1)).toEqual([])
  })

  test('never take what they hear for what they say: nobody stays revoked by an echo', async () => {
    const { open } = new Air()
    const [one, two] = [gateway('1', open), gateway('2', open)]
    one.peers.tell('x', ['alice'])
    two.peers.tell('x', [])
    await expect.poll(() => two.peers.revoked).toEqual(['alice'])
    one.peers.tell('x', [])
    await expect.poll(() => two.peers.revoked).toEqual([])
    expect(one.seen).toEqual([])
  })

  test('are told at once by the others when they come', async () => {
    const air = new Air()
    const one = gateway('1', air.open, 1e6)
    one.peers.tell('x', ['alice'])
    const two = gateway('2', air.open, 1e6)
    two.peers.tell('x', [])
    await expect.poll(() => two.peers.revoked).toEqual(['alice'])
  })

  test('count each other, and those that serve another configuration', async () => {
    const { open } = new Air()
    const [one, two, three] = [gateway('1', open), gateway('2', open), gateway('3', open)]
    for (const { peers } of [one, two, three]) peers.tell('old', [])
    await expect.poll(() => one.shown.gateways.value).toBe(3)
    one.peers.tell('new', [])
    expect(one.shown.differing.value).toBe(2)
    await expect.poll(() => two.shown.differing.value).toBe(1)
    for (const { peers } of [two, three]) peers.tell('new', [])
    await expect.poll(() => one.shown.differing.value + two.shown.differing.value).toBe(0)
  })

  test('forget one that is gone, with what it said, while their own beats go round; and nobody while nothing does', async () => {
    const air = new Air()
    const [one, two] = [gateway('1', air.open), gateway('2', air.open)]
    one.peers.tell('x', ['alice'])
    two.peers.tell('x', [])
    await expect.poll(() => two.peers.revoked).toEqual(['alice'])
    air.isCut = true
    await delay(20 * BEAT_MS)
    expect(two.peers.revoked).toEqual(['alice'])
    one.peers.close()
    air.isCut = false
    await expect.poll(() => two.peers.revoked).toEqual([])
    expect(two.shown.gateways.value).toBe(1)
  })

  test('pay no heed to what is none of theirs', async () => {
    const air = new Air()
    const one = gateway('1', air.open)
    one.peers.tell('x', [])
    const sound = { gateway: '2', configuration: 'x', revoked: ['alice'] }
    const odd = ['', 'null', '[]', '"x"', '{', '{}', '\0', { ...sound, revoked: 'alice' }, { ...sound, revoked: [1] }, { ...sound, gateway: 2 }]
    const large = [
      { ...sound, revoked: ['x'.repeat(129)] },
      { ...sound, revoked: Array.from({ length: MAX_REVOKED + 1 }, () => 'x') },
    ]
    for (const message of [...odd, ...large]) air.say(typeof message === 'string' ? message : JSON.stringify(message))
    await delay(20)
    expect([one.peers.revoked, one.shown.gateways.value]).toEqual([[], 1])
    for (let at = 0; at < 2000; at++) air.say(JSON.stringify({ ...sound, gateway: `forged ${at}` }))
    await expect.poll(() => one.shown.gateways.value).toBe(1001)
  })

  test('say so when there is more to tell than is told', () => {
    const one = gateway('1', new Air().open)
    one.peers.tell(
      'x',
      Array.from({ length: MAX_REVOKED + 1 }, (_, at) => `c${at}`),
    )
    expect(one.warnings).toEqual(['more consumers are disabled than other gateways are told of'])
  })
})

describe('over Redis', () => {
  test('what is said is heard, and again after Redis was killed', async () => {
    const server = await startRedis()
    onTestFinished(() => server.stop())
    const open = (events: ChannelEvents): Channel => openRedisChannel({ kind: 'redis', url: server.url }, events)
    const [one, two] = [gateway('1', open, 100), gateway('2', open, 100)]
    one.peers.tell('x', ['alice'])
    two.peers.tell('x', [])
    await expect.poll(() => two.peers.revoked, { timeout: 5000 }).toEqual(['alice'])
    server.signal('SIGKILL')
    await delay(600) // longer than it takes to miss a gateway
    expect(two.peers.revoked).toEqual(['alice'])
    one.peers.tell('x', ['alice', 'bob'])
    const again = await startRedis({ port: server.port })
    onTestFinished(() => again.stop())
    await expect.poll(() => two.peers.revoked, { timeout: 5000 }).toEqual(['alice', 'bob'])
    expect(await command(again.port, 'PUBSUB', 'NUMSUB', 'tollgate:gateways')).toContain(':2')
  })

  test('of a cluster what is said is heard by all', async () => {
    const cluster = await startRedisCluster()
    onTestFinished(() => cluster.stop())
    const gateways = ['1', '2', '3'].map((name) => gateway(name, (events) => openRedisChannel({ kind: 'cluster', urls: cluster.urls }, events), 100))
    for (const [at, { peers }] of gateways.entries()) peers.tell('x', [`c${at}`])
    for (const { peers } of gateways) await expect.poll(() => peers.revoked.length, { timeout: 5000 }).toBe(2)
  })
})
