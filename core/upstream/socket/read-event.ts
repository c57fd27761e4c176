/** What an event of a node says of its place in the chain. A node is not trusted: what is too large to be a head or a log is looked into by nobody. */
import { fromWire } from '../../jsonrpc/wire.ts'
import type { Wire } from '../../jsonrpc/wire.ts'

/** No gas limit lets a log be larger; to read so much takes some milliseconds. */
const MAX_BYTES = 1024 * 1024
/** Of a hash, in characters: those of the chains that are known have 66. */
const MAX_HASH = 128

const NOTHING: Readonly<Record<string, unknown>> = {}

/** The members of a head or a log; none where it is no object, or too large. */
export function readEvent(event: Wire): Readonly<Record<string, unknown>> {
  return event.length > MAX_BYTES ? NOTHING : ((JSON.parse(fromWire(event)) ?? NOTHING) as Readonly<Record<string, unknown>>)
}

/** A hash; undefined for what is none. */
export function hashOf(value: unknown): string | undefined {
  return typeof value === 'string' && value.length <= MAX_HASH ? value : undefined
}
