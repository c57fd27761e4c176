/**
 * Addresses and CIDRs, one meaning everywhere: an IPv4-mapped IPv6 address (`::ffff:192.0.2.1`, RFC 4291 section
 * 2.5.5.2) is the IPv4 address that it holds, so no rule is walked around by spelling.
 */
import { BlockList, SocketAddress, isIP } from 'node:net'

const MAPPED = '::ffff:'
/** Bits that come before the IPv4 address in a mapped one. */
const MAPPED_BITS = 96

/** The one spelling of an address: dotted IPv4, or IPv6 as RFC 5952 writes it, without a zone. Undefined for what is no address. */
export function canonicalAddress(text: string): string | undefined {
  const family = isIP(text)
  if (family === 4) return text
  if (family === 0) return undefined
  const { address } = new SocketAddress({ address: text, family: 'ipv6' })
  return address.startsWith(MAPPED) && address.includes('.') ? address.slice(MAPPED.length) : address
}

/** What is wrong with an entry of an address list, as a clause; undefined when nothing is. */
export function addressProblem(entry: string): string | undefined {
  return parse(entry) === undefined ? 'must be an address or a CIDR such as 192.0.2.0/24 or 2001:db8::/32' : undefined
}

/**
 * Compiles addresses and CIDRs. The list answers whether it holds an address; it holds nothing that is no address.
 * Throws RangeError on an entry with an `addressProblem`.
 */
export function addressList(entries: Iterable<string>): (address: string) => boolean {
  // One list for each family: Node lets ::/0 hold every IPv4 address too.
  const ipv4 = new BlockList()
  const ipv6 = new BlockList()
  for (const entry of entries) {
    const parsed = parse(entry)
    if (parsed === undefined) throw new RangeError(`not an address or a CIDR: ${entry}`)
    const list = parsed.family === 'ipv4' ? ipv4 : ipv6
    list.addSubnet(parsed.address, parsed.bits, parsed.family)
  }
  return (address) => {
    const canonical = canonicalAddress(address)
    if (canonical === undefined) return false
    return canonical.includes(':') ? ipv6.check(canonical, 'ipv6') : ipv4.check(canonical)
  }
}

function parse(entry: string): { address: string; bits: number; family: 'ipv4' | 'ipv6' } | undefined {
  const [text = '', prefix, ...more] = entry.split('/')
  const address = text.includes('%') ? undefined : canonicalAddress(text)
  if (address === undefined || more.length > 0 || (prefix !== undefined && !/^(0|[1-9]\d{0,2})$/.test(prefix))) return undefined
  const isIpv4 = isIP(address) === 4
  const isMapped = isIpv4 && text.includes(':')
  const longest = isIpv4 ? 32 : 128
  const bits = prefix === undefined ? longest : Number(prefix) - (isMapped ? MAPPED_BITS : 0)
  return bits < 0 || bits > longest ? undefined : { address, bits, family: isIpv4 ? 'ipv4' : 'ipv6' }
}
