import { once } from 'node:events'
import { describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import jsonrpcVar from '../../plugins/jsonrpc-var.ts'
import limitConn from '../../plugins/limit-conn.ts'
import { configure, sessionOn } from '../support/configured.ts'
import { hang } from '../support/scripted-node.ts'
import { startMetered } from './metered.ts'
import { OwnPlaces } from '#plugin'
import type { Host } from '#plugin'

type Config = Parameters<typeof limitConn.create>[0]

async function counter(config: Partial<Config> & { conn: number }) {
  const delays: number[] = []
  const host = { delay: (ms: number) => Promise.resolve(void delays.push(ms)), places: () => new OwnPlaces() } as unknown as Host
  const all: Config = { burst: 0, default_conn_delay: 0.1, key: '$remote_addr', calls: undefined, rejected_code: undefined, rejected_msg: undefined, ...config }
  const plugin = await limitConn.create(all, host)
  return {
    begin: (caller: Parameters<typeof sessionOn>[1] = {}) => {
      const session = sessionOn('eth', caller)
      const verdict = plugin.open!(session)
      const said = verdict === undefined ? 'ok' : verdict instanceof Promise ? `after ${delays.at(-1)}` : 'refused'
      return { said, end: () => plugin.close!(session) }
    },
  }
}

describe('limit-conn', () => {
  test('lets so many sessions be open at once and refuses more', async () => {
    const { begin } = await counter({ conn: 2 })
    const [first, second, third] = [begin(), begin(), begin()]
    expect([first.said, second.said, third.said]).toEqual(['ok', 'ok', 'refused'])
    third.end()
    expect(begin().said).toBe('refused')
    first.end()
    expect(begin().said).toBe('ok')
    expect(begin().said).toBe('refused')
  })

  test('a session is released once, however often it is closed', async () => {
    const { begin } = await counter({ conn: 1 })
    const first = begin()
    first.end()
    first.end()
    const second = begin()
    expect(second.said).toBe('ok')
    first.end()
    expect(begin().said).toBe('refused')
  })

  test('delays sessions within the burst, the longer the more there are', async () => {
    const { begin } = await counter({ conn: 2, burst: 4, default_conn_delay: 0.05 })
    expect(Array.from({ length: 7 }, () => begin().said)).toEqual(['ok', 'ok', 'after 50', 'after 50', 'after 100', 'after 100', 'refused'])
  })

  test('counts addresses apart, or consumers', async () => {
    const byAddress = await counter({ conn: 1 })
    expect([byAddress.begin({ address: 'a' }).said, byAddress.begin({ address: 'b' }).said, byAddress.begin({ address: 'a' }).said]).toEqual([
      'ok',
      'ok',
      'refused',
    ])
    const byConsumer = await counter({ conn: 1, key: '$consumer_name' })
    const as = (username: string) => byConsumer.begin({ tier: 'free', username, address: 'a' }).said
    expect([as('alice'), as('bob'), as('alice'), byConsumer.begin({ address: 'a' }).said]).toEqual(['ok', 'ok', 'refused', 'ok'])
  })

  test('through the gateway counts requests while they are answered, and lets go of those that were given up', async () => {
    const { ask, gateway, node } = await startMetered({ plugins: { 'limit-conn': { conn: 1, key: '$consumer_name' } } })
    node.next(hang)
    const giveUp = new AbortController()
    const hanging = fetch(`${gateway.url}/eth`, {
      method: 'POST',
      headers: { apikey: 'free-key', 'content-type': 'application/json' },
      body: '{"jsonrpc":"2.0","id":1,"method":"eth_call"}',
      signal: giveUp.signal,
    }).catch(() => 'given up')
    await node.arrived(1)
    const refused = await ask('eth_call')
    expect([refused.status, refused.error!.message, refused.error!.data['reason']]).toEqual([429, 'Too many sessions at once: the limit is 1', 'connections'])
    expect((await ask('eth_call', 'paid-key')).status).toBe(200)
    giveUp.abort()
    expect(await hanging).toBe('given up')
    await expect.poll(async () => (await ask('eth_call')).status).toBe(200)
    expect((await ask('eth_call')).status).toBe(200)
  })

  test('bounds calls in flight over all sessions of a consumer, and lets go of each once', async () => {
    const { ask, askAll, gateway, node } = await startMetered({ plugins: { 'limit-conn': { conn: 9, calls: 2, key: '$consumer_name' } } })
    expect((await askAll(['eth_call', 'eth_call', 'eth_call'])).outcomes).toEqual(['ok', 'ok', 'calls-in-flight'])
    expect((await askAll(['eth_call', 'nope', 'eth_call'])).outcomes).toEqual(['ok', 'not-offered', 'ok'])
    node.next(hang)
    const socket = new WebSocket(`${gateway.wsUrl}/eth/v1/free-key`)
    onTestFinished(() => socket.terminate())
    await once(socket, 'open')
    socket.send('[{"jsonrpc":"2.0","id":1,"method":"eth_call"},{"jsonrpc":"2.0","id":2,"method":"eth_call"}]')
    await node.arrived(3)
    expect((await ask('eth_call')).outcomes).toEqual(['calls-in-flight'])
    expect((await ask('eth_call', 'paid-key')).outcomes).toEqual(['ok'])
    socket.terminate()
    await expect.poll(async () => (await ask('eth_call')).outcomes).toEqual(['ok'])
  })

  test.each([
    ['{}', 'conn'],
    ['{ conn: 0 }', 'conn: must be >= 1'],
    [
      '{ conn: 1, burst: 100, default_conn_delay: 1 }',
      'default_conn_delay: sessions would wait 100 seconds, at most 20 are allowed (lower it, or lower burst)',
    ],
    ['{ conn: 1, key: $rpc_method }', 'key: there is no variable $rpc_method'],
    ['{ conn: 1, key: consumer_name }', 'key: is the same for every caller: write $consumer_name'],
  ])('a configuration %s is refused', async (yaml, problem) => {
    const { problems } = await configure([jsonrpcVar, limitConn], `{ jsonrpc-var: {}, limit-conn: ${yaml} }`)
    expect(problems).toEqual([expect.stringContaining(problem)])
  })
})
