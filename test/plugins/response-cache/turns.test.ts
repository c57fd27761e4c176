/** A real chain that turns behind a gateway with a cache: what was kept of replaced blocks is never answered again. */
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startAnvil } from '../../support/anvil.ts'
import { basic, basicFiles, startTestGateway } from '../../support/gateway.ts'
import type { Anvil } from '../../support/anvil.ts'
import type { TestGateway } from '../../support/gateway.ts'

let anvil: Anvil
let gateway: TestGateway

/** Blocks are final that are 64 behind the head: anvil's own count. */
const FINAL_AFTER = 64

const PATIENT = { timeout: 5000 }

async function start(isPushed: boolean): Promise<void> {
  const plugins = { 'response-cache': {}, whitelist: undefined, 'limit-cu': undefined, 'limit-monthly-cu': undefined }
  const nodes = [{ url: anvil.url, ...(isPushed && { ws_url: anvil.wsUrl }) }]
  const config = basic({
    nodeUrl: anvil.url,
    plugins,
    top: { upstreams: [{ id: 'eth', nodes, coalesce: false, checks: { active: { interval: '100ms' } } }] },
  })
  gateway = await startTestGateway(config, { files: basicFiles })
}

beforeEach(async () => {
  anvil = await startAnvil()
})
afterEach(async () => {
  await gateway.stop()
  await anvil.stop()
})

interface Kept {
  readonly word: string | null
  readonly result: unknown
}

async function ask(method: string, params: readonly unknown[]): Promise<Kept> {
  const { headers, json } = await gateway.post('/eth/v1/paid-key', JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }))
  return { word: headers.get('x-cache'), result: (json as { result?: unknown }).result }
}

/** Asks until the answer comes from memory: from then on the chain is followed. */
async function warm(method: string, params: readonly unknown[]): Promise<unknown> {
  for (;;) {
    const { word, result } = await ask(method, params)
    if (word === 'HIT') return result
    await delay(10)
  }
}

function block(number: number | string): readonly unknown[] {
  return [typeof number === 'number' ? `0x${number.toString(16)}` : number, false]
}

async function hashOf(number: number | string, from = (params: readonly unknown[]) => anvil.call('eth_getBlockByNumber', params)): Promise<string> {
  return ((await from(block(number))) as { hash: string }).hash
}

/** Resolves once the gateway knows the head that the node has. */
function followed(): Promise<void> {
  return expect
    .poll(async () => {
      const [{ result }, newest] = [await ask('eth_getBlockByNumber', block('latest')), await hashOf('latest')]
      return (result as { hash: string }).hash === newest
    }, PATIENT)
    .toBe(true)
}

/** All that the gateway says of these blocks is what the node says. */
async function expectFresh(numbers: readonly (number | string)[]): Promise<void> {
  for (const number of numbers) {
    for (let i = 0; i < 2; i++) {
      const { result } = await ask('eth_getBlockByNumber', block(number))
      expect((result as { hash: string } | null)?.hash, `block ${number}`).toBe(await hashOf(number))
    }
  }
}

describe.each([
  ['pushed', true],
  ['asked for', false],
])('where new heads are %s', (_how, isPushed) => {
  beforeEach(() => start(isPushed))

  test('blocks that were replaced are not answered from memory, blocks below them are', async () => {
    await anvil.call('anvil_mine', [`0x${(FINAL_AFTER + 20).toString(16)}`])
    const numbers = [5, 15, FINAL_AFTER + 10, FINAL_AFTER + 15, FINAL_AFTER + 20, 'latest']
    for (const number of numbers) await warm('eth_getBlockByNumber', block(number))
    await anvil.call('anvil_reorg', [8, []])
    await followed()
    expect((await ask('eth_getBlockByNumber', block(5))).word).toBe('HIT')
    await expectFresh(numbers)
    expect(await gateway.metric('tollgate_cache_dropped_total', { why: 'reorg' })).toBeGreaterThan(0)
  })

  test('blocks that were taken back, and mined anew, are not answered from memory', async () => {
    await anvil.call('anvil_mine', ['0xa'])
    const snapshot = await anvil.call('evm_snapshot')
    await anvil.call('anvil_mine', ['0x5'])
    const numbers = [3, 11, 13, 15, 'latest']
    for (const number of numbers) await warm('eth_getBlockByNumber', block(number))
    const before = await hashOf(15)
    await anvil.call('evm_revert', [snapshot])
    await anvil.call('evm_increaseTime', [1000])
    await anvil.call('anvil_mine', ['0x5'])
    expect(await hashOf(15)).not.toBe(before)
    await followed()
    await expectFresh(numbers)
  })

  test('what depends on the head is answered from memory until it moves', async () => {
    const [from, to] = (await anvil.call('eth_accounts')) as string[]
    const before = await warm('eth_getBalance', [from, 'latest'])
    await anvil.call('eth_sendTransaction', [{ from, to, value: '0xde0b6b3a7640000' }])
    await expect.poll(async () => (await ask('eth_getBalance', [from, 'latest'])).result, PATIENT).not.toBe(before)
    expect(await warm('eth_getBalance', [from, 'latest'])).toBe(await anvil.call('eth_getBalance', [from, 'latest']))
  })

  test('a reload begins anew, and the chain is still followed', async () => {
    await anvil.call('anvil_mine', ['0x5'])
    await warm('eth_getBlockByNumber', block('latest'))
    expect(await gateway.reload()).toBe(true)
    const before = (await warm('eth_getBlockByNumber', block('latest'))) as { hash: string }
    await anvil.call('anvil_reorg', [2, []])
    await followed()
    await expectFresh([4, 5, 'latest'])
    expect(before.hash).not.toBe(await hashOf('latest'))
  })
})
