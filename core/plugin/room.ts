/**
 * Room for what is held in memory: whoever holds some says so, and says so again when it lets go. A large answer travels as the
 * very bytes that came from a node, to as many clients as asked for it: they count once, with all that they keep from being freed.
 */
import type { Payload } from '../jsonrpc/encode.ts'
import type { CounterHandle } from './metrics.ts'

/** Who holds more than this leaves a part of the room to those who hold less: some large answers that nobody reads are not to keep all others from being served. */
const SMALL_BYTES = 65_536
const FOR_THE_SMALL = 1 / 4

export class Room {
  /** Bytes that are held now. */
  readonly held: CounterHandle
  /** More than this is not taken in. */
  readonly maxBytes: number
  /** How many hold each of the buffers that answers are views of. */
  private readonly holders = new Map<ArrayBufferLike, number>()
  /** How much is in use of buffers that were taken for more than came. */
  private readonly used = new WeakMap<ArrayBufferLike, number>()

  constructor(held: CounterHandle, maxBytes: number) {
    this.held = held
    this.maxBytes = maxBytes
  }

  /** Whether more is held than may be. */
  get isOverfull(): boolean {
    return this.held.value > this.maxBytes
  }

  /** Whether so many bytes more may be held. */
  fits(bytes: number): boolean {
    return this.held.value + bytes <= this.maxBytes
  }

  /** Whether one who holds so many bytes has to let go of them. */
  isTooFullFor(bytes: number): boolean {
    return this.held.value > this.maxFor(bytes)
  }

  /** Whether one who is to hold so many bytes `inAll` may hold so many of them more. */
  hasPlaceFor(bytes: number, inAll: number): boolean {
    return this.held.value + bytes <= this.maxFor(inAll)
  }

  private maxFor(bytes: number): number {
    return bytes > SMALL_BYTES ? this.maxBytes * (1 - FOR_THE_SMALL) : this.maxBytes
  }

  /** Counts bytes that are held from now on, whether there is room for them or not; below 0 they are let go. */
  count(bytes: number): void {
    this.held.value += bytes
  }

  /** From now on what a buffer is counted with is what its bytes are, and not what was set aside for them. */
  measure({ buffer, length }: Uint8Array): void {
    if (length < buffer.byteLength) this.used.set(buffer, length)
  }

  /** Holds a payload for one who holds so many bytes already, if there is room for it; answers whether there is. */
  admits(payload: Payload, already: number): boolean {
    if (!this.hasPlaceFor(this.costOf(payload), already + payload.length)) return false
    this.hold(payload)
    return true
  }

  /** Holds a payload, whether there is room for it or not. */
  hold(payload: Payload): void {
    this.count(this.costOf(payload))
    if (typeof payload !== 'string') this.holders.set(payload.buffer, (this.holders.get(payload.buffer) ?? 0) + 1)
  }

  letGo(payload: Payload): void {
    if (typeof payload !== 'string') {
      const others = this.holders.get(payload.buffer)! - 1
      if (others > 0) this.holders.set(payload.buffer, others)
      else this.holders.delete(payload.buffer)
    }
    this.count(-this.costOf(payload))
  }

  /** What there is more to hold with a payload: nothing, where others hold the same bytes. */
  private costOf(payload: Payload): number {
    if (typeof payload === 'string') return payload.length
    const { buffer } = payload
    return this.holders.has(buffer) ? 0 : (this.used.get(buffer) ?? buffer.byteLength)
  }
}
