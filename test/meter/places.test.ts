import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises'
import * as fc from 'fast-check'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { connectRedis } from '../../core/meter/redis-client.ts'
import { RedisLink } from '../../core/meter/redis-link.ts'
import { RedisPlaces } from '../../core/meter/redis-places.ts'
import { HeldPlaces, RemotePlaces } from '../../core/meter/remote-places.ts'
import { LIFE_MS, PlaceBook } from '../../core/meter/places.ts'
import { StoreClock } from '../../core/meter/store-clock.ts'
import { storeMetrics } from '../../core/meter/store-metrics.ts'
import { createMetrics } from '../../core/observe/metrics.ts'
import { startRedis, startRedisCluster } from '../support/redis.ts'
import type { Hold, PlaceSource } from '../../core/meter/places.ts'
import type { RedisSpec } from '../../core/meter/redis-client.ts'
import type { Places } from '../../core/plugin/places.ts'
import type { Redis as RedisServer } from '../support/redis.ts'

let server: RedisServer
let client: Redis
beforeAll(async () => {
  server = await startRedis()
  client = new Redis(server.url)
})
afterAll(async () => {
  client.disconnect()
  await server.stop()
})

interface Line {
  readonly source: PlaceSource
  readonly link: RedisLink
}

/** A line to Redis as a process of its own has it. */
async function line(spec: RedisSpec, process: string, now?: () => number): Promise<Line> {
  const redis = connectRedis(spec, { ready: () => link.connected(), lost: (error) => link.lost(error) })
  const link: RedisLink = new RedisLink(redis, {
    timeoutMs: 5000,
    process,
    clock: new StoreClock(() => performance.now(), Date.now()),
    monotonicMs: () => performance.now(),
    log: { info: () => undefined, error: () => undefined },
    metrics: storeMetrics(createMetrics()),
    back: () => undefined,
    ...(now && { now }),
  })
  onTestFinished(() => link.close())
  await link.opened(5000)
  return { source: new RedisPlaces(link), link }
}

/** Places on a store that answers when it is told to: by question, what the process holds then, and what others do. */
function slowStore() {
  const answers: ((own: number, others?: number) => void)[] = []
  const wants: number[] = []
  const places = placesOn({
    isAway: false,
    processes: 2,
    hold: ([first], hear) => {
      if (first === undefined) return
      wants.push(first.want)
      answers.push((own, others = 0) => hear(0, { own, others }))
    },
  })
  return { places, answers, wants }
}

function placesOn(source: PlaceSource): Places {
  const book = new PlaceBook()
  book.share(source)
  onTestFinished(() => book.close())
  return book.of('test')
}

/** Processes on a primary, messages between them taking a turn of the loop. */
function workers(count: number, held = new HeldPlaces()): RemotePlaces[] {
  return Array.from({ length: count }, (_, at) => {
    const worker: RemotePlaces = new RemotePlaces(count, (request) => setImmediate(() => worker.receive(held.answer(request, at))))
    return worker
  })
}

const HOLDERS = ['a primary', 'Redis', 'a cluster'] as const

/** So many processes on one holder of places. */
async function processes(holder: (typeof HOLDERS)[number], count: number): Promise<Places[]> {
  if (holder === 'a primary') return workers(count).map(placesOn)
  let spec: RedisSpec = { kind: 'redis', url: server.url }
  if (holder === 'a cluster') {
    const cluster = await startRedisCluster()
    onTestFinished(() => cluster.stop())
    spec = { kind: 'cluster', urls: cluster.urls }
  }
  const lines = await Promise.all(Array.from({ length: count }, (_, at) => line(spec, `process-${at}`)))
  return lines.map(({ source }) => placesOn(source))
}

function ask(source: PlaceSource, hold: Hold): Promise<unknown> {
  return new Promise((resolve) => source.hold([hold], (_, held) => resolve(held)))
}

let names = 0
const fresh = (): string => `key-${names++}`

describe.each(HOLDERS)('places of %s', (holder) => {
  test('of 50 are taken by exactly 50 of 400 that four processes want at once, ten times', async () => {
    const all = await processes(holder, 4)
    for (let round = 0; round < 10; round++) {
      const key = fresh()
      const taken = await Promise.all(Array.from({ length: 400 }, async (_, at) => all[at % 4]!.take(key, 50)))
      expect(taken.filter((place) => place !== undefined)).toHaveLength(50)
      expect(Math.max(...taken.map((place) => place ?? 0))).toBe(50)
    }
  })

  test('are never more than there are, in whatever rhythm processes take and free them; and those that were freed can be taken', async () => {
    const all = await processes(holder, 4)
    const key = fresh()
    let [open, most, refused] = [0, 0, 0]
    const until = performance.now() + 1500
    const guest = async (places: Places, at: number): Promise<void> => {
      while (performance.now() < until) {
        if ((await places.take(key, 10)) === undefined) refused++
        else {
          most = Math.max(most, ++open)
          await delay((at * 7) % 40)
          open--
          places.free(key)
        }
        await delay((at * 3) % 10)
      }
    }
    await Promise.all(Array.from({ length: 32 }, (_, at) => guest(all[at % 4]!, at)))
    expect(most).toBe(10)
    expect(refused).toBeGreaterThan(0)
    let left = 0
    const takeAll = async (): Promise<number> => {
      while ((await all[3]!.take(key, 10)) !== undefined) left++
      return left
    }
    await expect.poll(takeAll).toBe(10)
  })
})

describe('a process', () => {
  test('takes again at once what was just freed, without asking', async () => {
    let asked = 0
    const [worker] = workers(1) as [RemotePlaces]
    const source: PlaceSource = {
      isAway: false,
      processes: 1,
      hold(holds, hear) {
        asked += holds.length
        worker.hold(holds, hear)
      },
    }
    const places = placesOn(source)
    expect(await places.take('key', 5)).toBe(1)
    const before = asked
    for (let at = 0; at < 1000; at++) {
      places.free('key')
      expect(places.take('key', 5)).toBe(1)
    }
    expect(asked).toBe(before)
  })

  test('fills no place that it has given back, though the answer to an earlier question says that it holds it', async () => {
    const { places, answers, wants } = slowStore()
    const taken = [1, 2, 3].map(async () => places.take('key', 10))
    await expect.poll(() => wants).toEqual([3])
    answers[0]!(3)
    expect(await Promise.all(taken)).toEqual([1, 2, 3])
    await expect.poll(() => wants).toEqual([3, 3]) // the store is told what is filled
    answers[1]!(3)

    const late = places.take('key', 10)
    await expect.poll(() => wants).toEqual([3, 3, 4])
    places.free('key')
    places.free('key')
    await expect.poll(() => wants.length).toBe(4)
    await expect.poll(() => wants.length).toBe(5)
    expect(wants.at(-1)).toBe(2)
    answers[2]!(4)
    expect(await late).toBe(2)
    expect(places.take('key', 10)).toBeInstanceOf(Promise) // another process may have the other two by now
  })

  test('fills no more than it says that it wants, whether it says so to give back or to ask', async () => {
    const { places, answers, wants } = slowStore()
    const taken = [1, 2, 3].map(async () => places.take('key', 10))
    await expect.poll(() => wants).toEqual([3])
    answers[0]!(3, 7)
    await Promise.all(taken)
    await expect.poll(() => wants).toEqual([3, 3])
    answers[1]!(3, 7)
    for (let at = 0; at < 3; at++) places.free('key')
    await expect.poll(() => wants).toEqual([3, 3, 3]) // so many were filled since the store was told last
    const late = places.take('key', 7) // others have as many: it asks
    await nextTurn()
    expect(wants).toEqual([3, 3, 3, 1])
    expect(places.take('key', 10)).toBe(8)
    expect(places.take('key', 10)).toBeInstanceOf(Promise)
    expect(late).toBeInstanceOf(Promise)
  })

  test('that was killed has its places taken by others once Redis was not told of it for a while; one that lives keeps them for ever', async () => {
    const clock = { ms: 2e12 }
    const lines = await Promise.all(['dead', 'living', 'other'].map((name) => line({ kind: 'redis', url: server.url }, name, () => clock.ms)))
    const [dead, living, other] = lines.map(({ source }) => source) as [PlaceSource, PlaceSource, PlaceSource]
    const key = fresh()
    const say = (source: PlaceSource, hold: Partial<Hold>): Promise<unknown> => ask(source, { place: 'test', key, open: 0, want: 0, max: 10, ...hold })
    expect(await say(dead, { want: 6 })).toEqual({ own: 6, others: 0 })
    expect(await say(living, { want: 4 })).toEqual({ own: 4, others: 6 })
    expect(await say(other, { want: 10 })).toEqual({ own: 0, others: 10 })
    for (const until = clock.ms + LIFE_MS; clock.ms <= until; clock.ms += 1000) await say(living, { open: 4, want: 4 })
    expect(await say(other, { want: 10 })).toEqual({ own: 6, others: 4 })
    expect(await say(other, { open: 6, want: 6, max: 3 })).toEqual({ own: 6, others: 4 }) // what is filled is not taken away
  })

  test('that was killed, and was a worker, has its places taken by others at once', async () => {
    const held = new HeldPlaces()
    const [dead, other] = workers(2, held).map(placesOn) as [Places, Places]
    for (let at = 1; at <= 5; at++) await dead.take('key', 5)
    expect(await other.take('key', 5)).toBeUndefined()
    held.drop(0)
    expect(await other.take('key', 5)).toBe(1)
  })

  test('fills its share while nobody answers, and says what it holds as soon as somebody does', async () => {
    const held = new HeldPlaces()
    const [worker, other] = workers(2, held) as [RemotePlaces, RemotePlaces]
    const source = { isAway: true, processes: 2, hold: worker.hold.bind(worker) }
    const places = placesOn(source)
    const taken = await Promise.all(Array.from({ length: 10 }, async () => places.take('key', 8)))
    expect(taken.filter((place) => place !== undefined)).toHaveLength(4)
    source.isAway = false
    await delay(200)
    const others = placesOn(other)
    const later = await Promise.all(Array.from({ length: 10 }, async () => others.take('key', 8)))
    expect(later.filter((place) => place !== undefined)).toHaveLength(4)
  })

  test('remembers no key of which nobody has a place, whether the store answers or not', async () => {
    const [worker] = workers(1) as [RemotePlaces]
    const source = { isAway: false, processes: 1, hold: worker.hold.bind(worker) }
    const book = new PlaceBook()
    book.share(source)
    onTestFinished(() => book.close())
    const places = book.of('test')
    for (const isAway of [false, true]) {
      source.isAway = isAway
      for (let at = 0; at < 3000; at++) if ((await places.take(`key ${at}`, 5)) !== undefined) places.free(`key ${at}`)
      await places.take('kept', 5)
      await expect.poll(() => book.size, { timeout: 5000 }).toBe(1)
    }
  })

  test('that is not answered fills its share, too', async () => {
    const places = placesOn({ isAway: false, processes: 4, hold: (holds, hear) => holds.forEach((_, at) => hear(at, undefined)) })
    const taken = await Promise.all(Array.from({ length: 10 }, async () => places.take('key', 8)))
    expect(taken.filter((place) => place !== undefined)).toHaveLength(2)
  })

  test('keeps to a limit that was lowered, and to one alone where it shares with nobody', async () => {
    const [places] = (await processes('a primary', 1)) as [Places]
    for (let at = 1; at <= 5; at++) expect(await places.take('key', 5)).toBe(at)
    places.free('key')
    expect(await places.take('key', 3)).toBeUndefined()
    const alone = new PlaceBook().of('test')
    expect([alone.take('key', 2), alone.take('key', 2), alone.take('key', 2), alone.take('other', 2)]).toEqual([1, 2, undefined, 1])
  })
})

const MAX = 10
const holds = fc.array(
  fc.record({
    who: fc.nat(2),
    key: fc.constantFrom('a', 'b{c}%'),
    open: fc.nat(4),
    more: fc.nat(8),
    max: fc.constantFrom(MAX, MAX, 3),
    waitMs: fc.constantFrom(0, 0, 100), // all of them live
  }),
  { minLength: 1, maxLength: 25 },
)

test('Redis holds places exactly as a primary does', async () => {
  const clock = { ms: 1e12 }
  const spec: RedisSpec = { kind: 'redis', url: server.url }
  const lines = await Promise.all([0, 1, 2].map((who) => line(spec, `worker-${who}`, () => clock.ms)))
  await fc.assert(
    fc.asyncProperty(holds, async (script) => {
      clock.ms += 1e6
      await client.flushdb()
      const near = workers(3)
      for (const { who, key, open, more, max, waitMs } of script) {
        clock.ms += waitMs
        const hold = { place: 'test', key, open, want: open + more, max }
        expect(await ask(lines[who]!.source, hold)).toEqual(await ask(near[who]!, hold))
      }
    }),
    { numRuns: 100 },
  )
})
