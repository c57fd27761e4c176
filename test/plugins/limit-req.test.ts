import { describe, expect, test } from 'vitest'
import jsonrpcVar from '../../plugins/jsonrpc-var.ts'
import limitReq from '../../plugins/limit-req.ts'
import { callIn, configure, sessionOn } from '../support/configured.ts'
import { startMetered } from './metered.ts'
import type { Host, Refusal } from '#plugin'

type Config = Parameters<typeof limitReq.create>[0]

/** The plugin with a held clock; a call is answered with `ok`, how long it is delayed in milliseconds, or the refusal's retry. */
async function bucket(config: Partial<Config> & { rate: number }) {
  const clock = { ms: 1_000_000 }
  const delays: number[] = []
  const host = { now: () => clock.ms, delay: (ms: number) => Promise.resolve(void delays.push(ms)) } as unknown as Host
  const all: Config = { burst: 0, nodelay: false, key: '$remote_addr', rejected_code: undefined, rejected_msg: undefined, ...config }
  const plugin = await limitReq.create(all, host)
  const call = (address = '192.0.2.1', method = 'eth_call'): string => {
    const verdict = plugin.access!(callIn(sessionOn('eth', { address }), method))
    if (verdict === undefined) return 'ok'
    return verdict instanceof Promise ? `after ${delays.at(-1)}` : `refused, again in ${(verdict as Refusal).retryAfterMs}`
  }
  return { clock, call }
}

describe('limit-req', () => {
  test('lets calls at the rate go on at once', async () => {
    const { clock, call } = await bucket({ rate: 10 })
    for (let at = 0; at < 50; at++, clock.ms += 100) expect(call()).toBe('ok')
  })

  test('refuses what is above the rate and says when it would go on, and means it', async () => {
    const { clock, call } = await bucket({ rate: 10 })
    expect(call()).toBe('ok')
    clock.ms += 40
    expect(call()).toBe('refused, again in 60')
    clock.ms += 59
    expect(call()).toBe('refused, again in 1')
    clock.ms += 1
    expect(call()).toBe('ok')
  })

  test('delays calls within the burst to the rate, and refuses those beyond', async () => {
    const { call, clock } = await bucket({ rate: 10, burst: 3 })
    expect(Array.from({ length: 6 }, () => call())).toEqual(['ok', 'after 100', 'after 200', 'after 300', 'refused, again in 100', 'refused, again in 100'])
    clock.ms += 100
    expect(call()).toBe('after 300')
    clock.ms += 1000
    expect(call()).toBe('ok')
  })

  test('with nodelay lets the burst go on at once', async () => {
    const { call } = await bucket({ rate: 10, burst: 3, nodelay: true })
    expect(Array.from({ length: 5 }, () => call())).toEqual(['ok', 'ok', 'ok', 'ok', 'refused, again in 100'])
  })

  test('keeps a rate that is no whole number of milliseconds', async () => {
    const { clock, call } = await bucket({ rate: 3, burst: 3, nodelay: true })
    let served = 0
    for (let at = 0; at < 10_000; at++, clock.ms++) if (call() === 'ok') served++
    expect(served).toBe(3 + 30)
  })

  test('a refused call does not put off those that follow', async () => {
    const { clock, call } = await bucket({ rate: 1 })
    expect(call()).toBe('ok')
    for (let at = 0; at < 9; at++) {
      clock.ms += 100
      expect(call()).toMatch(/^refused/)
    }
    clock.ms += 100
    expect(call()).toBe('ok')
  })

  test('keys have buckets of their own', async () => {
    const { call } = await bucket({ rate: 1, key: '$remote_addr $rpc_method' })
    expect([call('a'), call('b'), call('a', 'eth_chainId'), call('a')]).toEqual(['ok', 'ok', 'ok', 'refused, again in 1000'])
  })

  test('a key without a value is the address', async () => {
    const { call } = await bucket({ rate: 1, key: '$consumer_name' })
    expect([call('a'), call('b'), call('a')]).toEqual(['ok', 'ok', 'refused, again in 1000'])
  })

  test('a clock that is set back neither empties a bucket nor keeps it full', async () => {
    const { clock, call } = await bucket({ rate: 1 })
    call()
    clock.ms -= 3_600_000
    expect(call()).toBe('refused, again in 1000')
    clock.ms += 1000
    expect(call()).toBe('ok')
  })

  test('through the gateway delays calls and serves them, and refuses with its own words', async () => {
    const { askAll } = await startMetered({ plugins: { 'limit-req': { rate: 100, burst: 2, rejected_code: 503, rejected_msg: 'Too fast' } } })
    const begun = performance.now()
    const { outcomes, error } = await askAll(['eth_call', 'eth_call', 'eth_call'])
    expect(outcomes).toEqual(['ok', 'ok', 'ok']) // 0, 10 and 20 ms late: the clock is held
    expect(performance.now() - begun).toBeGreaterThan(25)
    expect(error).toBe(undefined)
    const refused = await askAll(['eth_call'])
    expect([refused.status, refused.error!.message, refused.error!.data['reason']]).toEqual([503, 'Too fast', 'request-rate'])
  })

  test.each([
    ['{}', 'rate'],
    ['{ rate: 0 }', 'rate'],
    ['{ rate: 1, burst: 100 }', 'burst: calls would wait 100 seconds, at most 20 are allowed (lower it, raise rate, or set nodelay)'],
    ['{ rate: 1, key: "$nobody" }', 'key: there is no variable $nobody'],
  ])('a configuration %s is refused', async (yaml, problem) => {
    const { problems } = await configure([jsonrpcVar, limitReq], `{ jsonrpc-var: {}, limit-req: ${yaml} }`)
    expect(problems).toEqual([expect.stringContaining(problem)])
  })
})
