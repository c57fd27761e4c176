import { describe, expect, test } from 'vitest'
import { plugins } from '../../plugins/index.ts'
import { askingSession } from '../support/asking-session.ts'
import { configure } from '../support/configured.ts'

const TRUSTED = 'trusted_proxies: [10.0.0.0/8, "fd00::/8"]'

/** The address under which a request of this peer with these headers is known. */
async function addressOf(peer: string, headers: Record<string, string>, config = '{}', more = TRUSTED): Promise<string> {
  const plugin = (await configure(plugins, `{ jsonrpc-var: {}, real-ip: ${config} }`, {}, more)).plugin('real-ip')
  const session = askingSession({ peer, headers })
  expect(plugin.open!(session)).toBeUndefined()
  return session.remoteAddr
}

const forwarded = (list: string): Record<string, string> => ({ 'x-forwarded-for': list })

describe('whose word counts', () => {
  test("a stranger's header does not", async () => {
    expect(await addressOf('198.51.100.1', forwarded('192.0.2.7'))).toBe('198.51.100.1')
  })

  test("a trusted proxy's does, also when it speaks over IPv6 or in a mapped address", async () => {
    expect(await addressOf('10.0.0.1', forwarded('192.0.2.7'))).toBe('192.0.2.7')
    expect(await addressOf('fd00::1', forwarded('192.0.2.7'))).toBe('192.0.2.7')
    expect(await addressOf('::ffff:10.0.0.1', forwarded('192.0.2.7'))).toBe('192.0.2.7')
  })

  test('a proxy may be trusted by one route alone', async () => {
    expect(await addressOf('198.51.100.1', forwarded('192.0.2.7'), '{ trusted_addresses: [198.51.100.1] }')).toBe('192.0.2.7')
  })

  test('without the header the peer stays', async () => {
    expect(await addressOf('10.0.0.1', {})).toBe('10.0.0.1')
  })
})

describe('which address is taken', () => {
  test.each([
    ['192.0.2.7', '192.0.2.7'],
    ['203.0.113.9, 192.0.2.7', '192.0.2.7'],
    ['203.0.113.9,192.0.2.7 , 10.1.1.1,10.2.2.2', '192.0.2.7'],
    ['10.3.3.3, 10.1.1.1', '10.3.3.3'],
    ['2001:DB8::0:1', '2001:db8::1'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['192.0.2.7:4711', '192.0.2.7'],
    ['[2001:db8::1]:4711', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['192.0.2.7, ::ffff:10.1.1.1', '192.0.2.7'],
  ])('%s leads to %s', async (list, address) => {
    expect(await addressOf('10.0.0.1', forwarded(list))).toBe(address)
  })

  test.each([
    ['unknown', '10.0.0.1'],
    ['', '10.0.0.1'],
    ['192.0.2.7,', '10.0.0.1'],
    ['192.0.2.7, unknown', '10.0.0.1'],
    ['192.0.2.7, unknown, 10.1.1.1', '10.1.1.1'],
    ['192.0.2.7, 999.0.0.1, 203.0.113.9', '203.0.113.9'],
    ['192.0.2.7 203.0.113.9', '10.0.0.1'],
    ['0x7f.1', '10.0.0.1'],
  ])('nothing counts beyond what is no address: %j leads to %s', async (list, address) => {
    expect(await addressOf('10.0.0.1', forwarded(list))).toBe(address)
  })

  test('without recursion the last address counts, trusted or not', async () => {
    expect(await addressOf('10.0.0.1', forwarded('192.0.2.7, 10.1.1.1'), '{ recursive: false }')).toBe('10.1.1.1')
  })

  test.each(['X-Real-IP', 'x-real-ip', 'http_x_real_ip'])('the header may be another: %s', async (source) => {
    expect(await addressOf('10.0.0.1', { 'x-real-ip': '192.0.2.7', ...forwarded('192.0.2.8') }, `{ source: ${source} }`)).toBe('192.0.2.7')
  })
})

test('a list that names no addresses is a problem, and nobody to trust a warning', async () => {
  const { problems } = await configure(plugins, '{ jsonrpc-var: {}, real-ip: { trusted_addresses: [10.0.0.1, proxy.local, 10.0.0.0/99] } }')
  expect(problems).toEqual([expect.stringContaining('trusted_addresses[1]'), expect.stringContaining('trusted_addresses[2]')])
  const { warnings } = await configure(plugins, '{ jsonrpc-var: {}, real-ip: {} }')
  expect(warnings).toEqual([expect.stringContaining('no proxy is trusted')])
})
