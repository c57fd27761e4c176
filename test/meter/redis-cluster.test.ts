/** A real cluster of three, and a master behind a sentinel. */
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { startRedis, startRedisCluster, startSentinel } from '../support/redis.ts'
import { want } from './held-clock.ts'
import { PATIENT, openMeterOn } from './redis-meters.ts'
import type { RedisSpec } from '../../core/meter/redis-client.ts'
import type { Window } from '../../core/plugin/budget.ts'
import type { RedisCluster } from '../support/redis.ts'
import type { OpenedMeter, RedisMeterOptions } from './redis-meters.ts'

const HOUR: Window = { kind: 'sliding', ms: 3_600_000 }
const CYCLE: Window = { kind: 'cycle', id: '2099-01-01', endsAt: Date.UTC(2099, 1, 1) }

let cluster: RedisCluster
let spec: RedisSpec
beforeAll(async () => {
  cluster = await startRedisCluster()
  spec = { kind: 'cluster', urls: cluster.urls.slice(0, 2) }
})
afterAll(() => cluster.stop())

function meters(count: number, options: RedisMeterOptions = {}): Promise<OpenedMeter[]> {
  return Promise.all(Array.from({ length: count }, () => openMeterOn(spec, { ...PATIENT, ...options })))
}

/** Scripts that all nodes have run so far. */
async function scriptCalls(): Promise<number> {
  let calls = 0
  for (const { url } of cluster.nodes) {
    const client = new Redis(url)
    const stats = await client.info('commandstats')
    client.disconnect()
    for (const [, count] of stats.matchAll(/^cmdstat_eval(?:sha)?:calls=(\d+)/gm)) calls += Number(count)
  }
  return calls
}

describe('on a cluster', () => {
  test.each(['exact', 'auto'] as const)('a budget of 50 admits exactly 50 of 400 draws that four processes make at once, twenty times (%s)', async (lease) => {
    const processes = await meters(4, { lease })
    for (let round = 0; round < 20; round++) {
      const tries = await Promise.all(Array.from({ length: 400 }, (_, at) => processes[at % 4]!.take(want(1, 50, HOUR, `${lease}-${round}`))))
      expect(tries.filter(Boolean)).toHaveLength(50)
    }
  })

  test('all budgets of a consumer are one script, wherever they lie', async () => {
    const [{ meter }] = (await meters(1, { lease: 'exact' })) as [OpenedMeter]
    for (let frame = 0; frame < 10; frame++) await meter.draw([[want(0, 50, HOUR, `warm-${frame}`)]], false) // every node knows the script
    const [before, startedAt] = [await scriptCalls(), performance.now()]
    for (let frame = 0; frame < 100; frame++) await meter.draw([[want(1, 50, HOUR, `c-${frame % 20}`), want(1, 500, CYCLE, `c-${frame % 20}`)]], false)
    const beats = 1 + Math.ceil((performance.now() - startedAt) / 1000)
    expect((await scriptCalls()) - before).toBeLessThanOrEqual(100 + beats)
  })

  test('a frame that draws under several keys takes all draws of a call or none, once it is settled', async () => {
    const [process] = await meters(1, { lease: 'exact' })
    const key = (of: string): string => `several-${of}`
    await process!.take(want(95, 100, CYCLE, key('month')))
    const call = [want(10, 50, HOUR, key('second')), want(10, 100, CYCLE, key('month')), want(1, 5, HOUR, key('address'))]
    expect(await process!.meter.draw([call], false)).toEqual([1])
    expect(call.map(({ held }) => held)).toEqual([0, 0, 0])
    await process!.settled()
    const next = [want(50, 50, HOUR, key('second')), want(5, 100, CYCLE, key('month')), want(5, 5, HOUR, key('address'))]
    expect(await process!.meter.draw([next], false)).toEqual([-1])
  })

  test('processes that draw under several keys never go beyond any limit, nor leave much of it', async () => {
    const processes = await meters(4, { lease: 'exact' })
    const served = await Promise.all(
      Array.from({ length: 400 }, async (_, at) => {
        const draws = [want(1, 50, HOUR, 'both-a'), want(1, 60, HOUR, `both-${at % 2}`), want(1, 1000, CYCLE, 'both-c')]
        return (await processes[at % 4]!.meter.draw([draws], false))[0] === -1
      }),
    )
    expect(served.filter(Boolean).length).toBeLessThanOrEqual(50)
    for (const { settled } of processes) await settled()
    let more = 0
    while (await processes[0]!.take(want(1, 50, HOUR, 'both-a'))) more++
    expect(served.filter(Boolean).length + more).toBe(50)
  })

  test('what a lost node holds is counted alone, and the rest goes on', async () => {
    const own = await startRedisCluster()
    onTestFinished(() => own.stop())
    const process = await openMeterOn({ kind: 'cluster', urls: own.urls }, { lease: 'exact' })
    for (let at = 0; at < 30; at++) await process.take(want(1, 50, HOUR, `k-${at}`))
    own.nodes[2]!.signal('SIGKILL')
    const startedAt = performance.now()
    for (let at = 0; at < 30; at++) expect(await process.take(want(1, 50, HOUR, `k-${at}`))).toBe(true)
    expect(performance.now() - startedAt).toBeLessThan(30 * 100)
    expect(await process.metric('tollgate_store_frames_total', 'by="alone"')).toBeGreaterThan(0)
    expect(await process.metric('tollgate_store_frames_total', 'by="store"')).toBeGreaterThan(30)
  })
})

test('behind sentinels, the master that they name is drawn on', async () => {
  const master = await startRedis({ args: ['--requirepass', 'sesame', '--masterauth', 'sesame'] })
  onTestFinished(() => master.stop())
  const sentinel = await startSentinel(master, 'budgets', 'sesame')
  onTestFinished(() => sentinel.stop())
  const url = `redis://:sesame@127.0.0.1:${sentinel.port}/3`
  const processes = await Promise.all([1, 2].map(() => openMeterOn({ kind: 'sentinel', urls: [url], name: 'budgets' }, { ...PATIENT, lease: 'exact' })))
  const tries = await Promise.all(Array.from({ length: 100 }, (_, at) => processes[at % 2]!.take(want(1, 50, HOUR))))
  expect(tries.filter(Boolean)).toHaveLength(50)
  const client = new Redis(master.url.replace('//', '//:sesame@').replace(/0$/, '3'))
  onTestFinished(() => client.disconnect())
  expect(await client.exists('tollgate:{somebody}:test-sliding:s3600000')).toBe(1)
})
