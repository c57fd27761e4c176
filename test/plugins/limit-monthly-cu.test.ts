import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import calculateCu from '../../plugins/calculate-cu.ts'
import jsonrpcVar from '../../plugins/jsonrpc-var.ts'
import keyAuth from '../../plugins/key-auth.ts'
import limitMonthlyCu from '../../plugins/limit-monthly-cu.ts'
import { cost, consumer } from '../../core/plugin/slots.ts'
import { callIn, configure, sessionOn } from '../support/configured.ts'
import { startMetered } from './metered.ts'
import type { Draw, Host } from '#plugin'
import type { Config } from '../support/gateway.ts'

const TOP = {
  plans: [
    { id: 'small', tier: 'free', seconds_quota: -1, monthly_quota: 100 },
    { id: 'fifteenth', tier: 'free', seconds_quota: -1, monthly_quota: 100, billing_day: 15 },
    { id: 'none', tier: 'free', seconds_quota: -1, monthly_quota: '0' },
    { id: 'open', tier: 'free', seconds_quota: -1, monthly_quota: 'unlimited' },
  ],
  consumers: [
    { username: 'sam', plan: 'small', plugins: { 'key-auth': { key: 'small' } } },
    { username: 'mia', plan: 'fifteenth', plugins: { 'key-auth': { key: 'fifteenth' } } },
    { username: 'nina', plan: 'none', plugins: { 'key-auth': { key: 'none' } } },
    { username: 'olga', plan: 'open', plugins: { 'key-auth': { key: 'open' } } },
    { username: 'own', plan: 'small', monthly_quota: 7, plugins: { 'key-auth': { key: 'own' } } },
    { username: 'nobody', seconds_quota: -1, plugins: { 'key-auth': { key: 'planless' } } },
  ],
} satisfies Config

const LAST_SECOND = Date.UTC(2026, 10, 30, 23, 59, 59)
const DECEMBER = Date.UTC(2026, 11, 1)

const month = (headers: Headers): (string | null)[] => ['quota', 'used', 'remaining'].map((name) => headers.get(`x-monthly-${name}`))

describe('limit-monthly-cu', () => {
  test('says how the cycle stands', async () => {
    const { ask, askAll } = await startMetered({ top: TOP })
    expect(month((await ask('eth_call', 'small')).headers)).toEqual(['100', '5', '95'])
    expect(month((await askAll(['eth_getLogs', 'eth_call', 'eth_getLogs'], 'small')).headers)).toEqual(['100', '30', '70'])
  })

  test('refuses what the quota has no room for until the cycle ends, and serves what still fits', async () => {
    const { ask, clock } = await startMetered({ top: TOP, at: LAST_SECOND })
    for (let at = 0; at < 9; at++) await ask('eth_getLogs', 'small')
    await ask('eth_call', 'small')
    const refused = await ask('eth_getLogs', 'small')
    expect([refused.status, refused.headers.get('retry-after'), ...month(refused.headers)]).toEqual([429, '1', '100', '95', '5'])
    expect(refused.error).toMatchObject({
      code: -32005,
      message: 'Monthly quota exceeded: this call costs 10 CU, and 5 of 100 CU are left until 2026-12-01',
      data: { reason: 'monthly-quota', cu: 10, limit: 100, retry_after_ms: 1000 },
    })
    expect((await ask('eth_call', 'small')).status).toBe(200)
    clock.ms = DECEMBER - 1
    expect((await ask('eth_chainId', 'small')).outcomes).toEqual(['monthly-quota'])
    clock.ms = DECEMBER
    const fresh = await ask('eth_getLogs', 'small')
    expect([fresh.status, ...month(fresh.headers)]).toEqual([200, '100', '10', '90'])
  })

  test('a month whose call was refused by the second, and the other way about, is not charged', async () => {
    const { ask } = await startMetered({
      top: { ...TOP, plans: [{ id: 'small', tier: 'free', seconds_quota: 6, monthly_quota: 9 }], consumers: [TOP.consumers[0]] },
    })
    expect((await ask('eth_call', 'small')).outcomes).toEqual(['ok'])
    const bySecond = await ask('eth_getBalance', 'small')
    expect([...bySecond.outcomes, ...month(bySecond.headers)]).toEqual(['rate', '9', '5', '4'])
    const byMonth = await ask('eth_call', 'small')
    expect([...byMonth.outcomes, byMonth.headers.get('x-ratelimit-remaining')]).toEqual(['monthly-quota', '1'])
  })

  test('a call whose cost exceeds the whole quota is told so', async () => {
    const { ask } = await startMetered({ top: TOP })
    const { headers, error } = await ask('eth_getLogs', 'own')
    expect(headers.get('retry-after')).toBe(null)
    expect(error).toMatchObject({
      message: 'This call costs 10 CU, more than the whole monthly quota of 7 CU',
      data: { reason: 'cost-above-limit', cu: 10, limit: 7 },
    })
  })

  test('a quota of 0 serves nothing, and a consumer without a plan has none', async () => {
    const { ask } = await startMetered({ top: TOP })
    const none = await ask('eth_chainId', 'none')
    expect([none.status, none.error!.message, none.headers.get('x-monthly-quota')]).toEqual([
      429,
      'This account has no compute units to spend: its monthly quota is 0',
      '0',
    ])
    const planless = await ask('eth_chainId', 'planless')
    expect([planless.status, planless.error!.data['reason']]).toEqual([403, 'no-plan'])
  })

  test('without a limit usage is recorded all the same', async () => {
    const { ask } = await startMetered({ top: TOP })
    await ask('eth_getLogs', 'open')
    expect(month((await ask('eth_getLogs', 'open')).headers)).toEqual([null, '20', null])
  })

  test('usage survives a reload and a restart', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'tollgate-data-'))
    onTestFinished(() => rm(dataDir, { recursive: true }))
    const before = await startMetered({ top: { ...TOP, data_dir: dataDir } })
    await before.ask('eth_getLogs', 'small')
    expect(await before.gateway.reload()).toBe(true)
    expect(month((await before.ask('eth_getLogs', 'small')).headers)).toEqual(['100', '20', '80'])
    await before.gateway.stop()
    const after = await startMetered({ top: { ...TOP, data_dir: dataDir } })
    expect(month((await after.ask('eth_getLogs', 'small')).headers)).toEqual(['100', '30', '70'])
  })

  test('what the node never did is not in the month', async () => {
    const { ask, node } = await startMetered({ top: TOP })
    node.next((_request, socket) => socket.resetAndDestroy())
    await ask('eth_getLogs', 'small')
    expect(month((await ask('eth_call', 'small')).headers)).toEqual(['100', '5', '95'])
  })

  test('a plan’s billing day begins the cycle', async () => {
    const { ask, clock } = await startMetered({ top: TOP, at: Date.UTC(2026, 10, 14, 23, 59, 59) })
    await ask('eth_getLogs', 'fifteenth')
    await ask('eth_getLogs', 'small')
    clock.ms += 1000
    expect(month((await ask('eth_call', 'fifteenth')).headers)).toEqual(['100', '5', '95'])
    expect(month((await ask('eth_call', 'small')).headers)).toEqual(['100', '15', '85'])
  })

  test('a clock that is set back over the boundary finds the month as it was left', async () => {
    const { ask, clock } = await startMetered({ top: TOP, at: LAST_SECOND })
    await ask('eth_getLogs', 'small')
    clock.ms = DECEMBER + 5
    await ask('eth_call', 'small')
    clock.ms = LAST_SECOND + 999
    expect(month((await ask('eth_call', 'small')).headers)).toEqual(['100', '15', '85'])
    clock.ms = DECEMBER + 6
    expect(month((await ask('eth_call', 'small')).headers)).toEqual(['100', '10', '90'])
  })

  test('without a plugin that tells who calls is refused', async () => {
    const { problems } = await configure(
      [jsonrpcVar, calculateCu, limitMonthlyCu],
      '{ jsonrpc-var: {}, calculate-cu: { config_path: p.yaml }, limit-monthly-cu: {} }',
      {
        'p.yaml': 'default: 1',
      },
    )
    expect(problems).toEqual([expect.stringContaining('limit-monthly-cu reads "consumer", which no plugin of this route fills')])
  })

  test('leaves a session without a consumer alone', async () => {
    const built = await configure(
      [jsonrpcVar, keyAuth, calculateCu, limitMonthlyCu],
      '{ jsonrpc-var: {}, key-auth: { required: false }, calculate-cu: { config_path: p.yaml }, limit-monthly-cu: {} }',
      { 'p.yaml': 'default: 1' },
    )
    expect(built.plugin('limit-monthly-cu').charge!(callIn(sessionOn('eth'), 'eth_call'))).toBe(undefined)
  })
})

/** The cycle that a charge falls in, by a clock and a billing day. */
async function cycles(): Promise<(nowMs: number, billingDay: number) => Extract<Draw['window'], { kind: 'cycle' }>> {
  let nowMs = 0
  const plugin = await limitMonthlyCu.create({}, { now: () => nowMs } as Host)
  return (at, billingDay) => {
    nowMs = at
    const session = sessionOn('eth')
    session.set(consumer, {
      username: 'a',
      secondsQuota: undefined,
      monthlyQuota: undefined,
      plan: { id: 'p', tier: 'free', secondsQuota: 1, monthlyQuota: 1, billingDay },
    })
    const call = callIn(session, 'eth_call')
    call.set(cost, 1)
    return (plugin.charge!(call) as Draw).window as Extract<Draw['window'], { kind: 'cycle' }>
  }
}

describe('a billing cycle', () => {
  test.each([
    ['2026-11-05T12:00:00Z', 1, '2026-11-01', '2026-12-01'],
    ['2026-12-31T23:59:59.999Z', 1, '2026-12-01', '2027-01-01'],
    ['2027-01-01T00:00:00Z', 1, '2027-01-01', '2027-02-01'],
    ['2028-02-29T12:00:00Z', 1, '2028-02-01', '2028-03-01'],
    ['2026-01-14T23:59:59.999Z', 15, '2025-12-15', '2026-01-15'],
    ['2026-01-15T00:00:00Z', 15, '2026-01-15', '2026-02-15'],
    ['2026-03-01T00:00:00Z', 28, '2026-02-28', '2026-03-28'],
  ])('at %s with billing day %d began on %s and ends on %s', async (now, billingDay, id, end) => {
    expect((await cycles())(Date.parse(now), billingDay)).toEqual({ kind: 'cycle', id, endsAt: Date.parse(end) })
  })

  test('holds every moment in exactly one, whatever the order in which moments come', async () => {
    const cycleOf = await cycles()
    const moments = fc.array(fc.integer({ min: Date.UTC(2020, 0, 1), max: Date.UTC(2040, 0, 1) }), { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(moments, fc.integer({ min: 1, max: 28 }), (times, billingDay) => {
        for (const at of times) {
          const { id, endsAt } = cycleOf(at, billingDay)
          expect(Date.parse(id)).toBeLessThanOrEqual(at)
          expect(endsAt).toBeGreaterThan(at)
          expect(new Date(Date.parse(id)).getUTCDate()).toBe(billingDay)
          expect(cycleOf(endsAt, billingDay).id).toBe(new Date(endsAt).toISOString().slice(0, 10))
          expect(cycleOf(endsAt - 1, billingDay).id).toBe(id)
        }
      }),
    )
  })
})
