import { afterAll, beforeAll, expect, test } from 'vitest'
import { startAnvil } from './anvil.ts'
import type { Anvil } from './anvil.ts'

let anvil: Anvil
beforeAll(async () => {
  anvil = await startAnvil({ chainId: 1234 })
})
afterAll(() => anvil.stop())

test('anvil is a real chain of its own', async () => {
  expect(await anvil.call('eth_chainId')).toBe('0x4d2')
  await anvil.call('anvil_mine', ['0x5'])
  expect(await anvil.call('eth_blockNumber')).toBe('0x5')
})

test('its errors are told', async () => {
  await expect(anvil.call('eth_noSuchMethod')).rejects.toThrow('eth_noSuchMethod')
})

test('a port that is taken is told in one line', async () => {
  await expect(startAnvil({ port: anvil.port })).rejects.toThrow(/^anvil ended before it listened: .+/)
})
