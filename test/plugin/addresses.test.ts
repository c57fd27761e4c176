import { describe, expect, test } from 'vitest'
import { addressList, addressProblem, canonicalAddress } from '#plugin'

describe('addresses', () => {
  test.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:c000:0201', '192.0.2.1'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['::1', '::1'],
  ])('%s has the one spelling %s', (text, spelling) => {
    expect(canonicalAddress(text)).toBe(spelling)
  })

  test.each(['', 'localhost', '192.0.2', '192.0.2.01', '192.0.2.1:80', '[::1]', '1.2.3.4.5', '::g', ' 192.0.2.1'])('%j is no address', (text) => {
    expect(canonicalAddress(text)).toBeUndefined()
    expect(addressList(['0.0.0.0/0', '::/0'])(text)).toBe(false)
  })

  test('a list holds its addresses and what its CIDRs cover, in every spelling', () => {
    const holds = addressList(['10.1.2.3/8', '192.0.2.7', '2001:db8::/32', '::ffff:198.51.100.0/120'])
    const cases = ['10.255.0.1', '::ffff:10.0.0.1', '::ffff:a00:1', '192.0.2.7', '2001:DB8:ffff::', '198.51.100.9', '::ffff:198.51.100.9']
    expect(cases.filter((address) => !holds(address))).toEqual([])
    expect(['11.0.0.1', '192.0.2.8', '2001:db9::', '198.51.101.0', '::1'].filter(holds)).toEqual([])
  })

  test('IPv4 in full does not open IPv6, nor the other way round', () => {
    expect(addressList(['0.0.0.0/0'])('2001:db8::1')).toBe(false)
    expect(addressList(['::/0'])('192.0.2.1')).toBe(false)
    expect(addressList(['::/0'])('::ffff:192.0.2.1')).toBe(false)
  })

  test.each([
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/',
    '10.0.0.0/08',
    '10.0.0.0/8/8',
    '2001:db8::/129',
    '::ffff:10.0.0.0/8',
    'example.org',
    'fe80::1%eth0',
    '',
  ])('%j is a problem', (entry) => {
    expect(addressProblem(entry)).toContain('must be an address or a CIDR')
    expect(() => addressList([entry])).toThrow(RangeError)
  })
})
