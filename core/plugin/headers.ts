/** Headers that plugins set, on answers and on requests to nodes. */

/** What a header may be called, and carry (RFC 9110 sections 5.1 and 5.5), one character per byte. */
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

/** Names that were found good: plugins set the same few on every answer. */
const goodNames = new Set<string>()
const MAX_GOOD_NAMES = 256

function isName(name: string): boolean {
  if (goodNames.has(name)) return true
  if (!NAME.test(name)) return false
  if (goodNames.size < MAX_GOOD_NAMES) goodNames.add(name)
  return true
}

/** Whether a header can be sent. */
export function isHeader(name: string, value: unknown): boolean {
  return isName(name) && (typeof value === 'number' || (typeof value === 'string' && VALUE.test(value)))
}
