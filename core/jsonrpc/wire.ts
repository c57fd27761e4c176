/**
 * Wire text: how the bytes of a JSON document travel through the gateway.
 *
 * A `Wire` string holds one character per BYTE (the latin-1 image of UTF-8). V8 keeps such strings one byte
 * wide, slices them without a copy and writes them to a socket in one call, and because nothing is decoded
 * and encoded again, what is spliced through leaves character for character as it came.
 */

/** The latin-1 image of UTF-8 bytes. Written to a socket with encoding 'latin1'. */
export type Wire = string

// oxlint-disable-next-line no-control-regex -- ASCII is what both readings agree on
const ASCII = /^[\x00-\x7f]*$/

/** The wire image of a text. A lone surrogate becomes U+FFFD, as in every UTF-8 encoder. */
export function toWire(text: string): Wire {
  return ASCII.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1')
}

/** The text that a wire image stands for. */
export function fromWire(wire: Wire): string {
  return ASCII.test(wire) ? wire : Buffer.from(wire, 'latin1').toString('utf8')
}

/** The wire image of a value as JSON. */
export function jsonWire(value: unknown): Wire {
  return toWire(JSON.stringify(value))
}
