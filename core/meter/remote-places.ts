/** The primary of some workers as the holder of places: the worker's end, and the primary's. */
import type { Held, Hold, PlaceSource } from './places.ts'

export interface HoldRequest {
  readonly kind: 'hold'
  readonly id: number
  readonly holds: readonly Hold[]
}

export interface HoldReply {
  readonly kind: 'held'
  readonly id: number
  readonly held: readonly Held[]
}

export class RemotePlaces implements PlaceSource {
  /** A worker does not outlive its primary. */
  readonly isAway = false
  readonly processes: number
  readonly #send: (request: HoldRequest) => void
  readonly #asked = new Map<number, (position: number, held: Held) => void>()
  #nextId = 0

  constructor(processes: number, send: (request: HoldRequest) => void) {
    this.processes = processes
    this.#send = send
  }

  hold(holds: readonly Hold[], hear: (position: number, held: Held | undefined) => void): void {
    if (holds.length === 0) return
    const id = this.#nextId++
    this.#asked.set(id, hear)
    this.#send({ kind: 'hold', id, holds })
  }

  /** Takes in an answer of the primary. */
  receive({ id, held }: HoldReply): void {
    const hear = this.#asked.get(id)
    this.#asked.delete(id)
    for (const [position, one] of held.entries()) hear?.(position, one)
  }
}

/** What the primary knows of the places of living workers. The script `hold` of redis-scripts.ts does the same, and a test compares. */
export class HeldPlaces {
  /** By place and key, and by worker. */
  readonly #keys = new Map<string, Map<number, number>>()

  answer({ id, holds }: HoldRequest, worker: number): HoldReply {
    return { kind: 'held', id, held: holds.map((hold) => this.#hold(worker, hold)) }
  }

  /** A worker has ended: its places are free. */
  drop(worker: number): void {
    for (const [name, parts] of this.#keys) this.#set(name, parts, worker, 0)
  }

  #hold(worker: number, { place, key, open, want, max }: Hold): Held {
    const name = `${place}\n${key}`
    const parts = this.#keys.get(name) ?? new Map<number, number>()
    let others = 0
    for (const [other, held] of parts) if (other !== worker) others += held
    const own = Math.max(open, Math.min(want, max - others))
    this.#set(name, parts, worker, own)
    return { own, others }
  }

  #set(name: string, parts: Map<number, number>, worker: number, own: number): void {
    if (own > 0) parts.set(worker, own)
    else parts.delete(worker)
    if (parts.size > 0) this.#keys.set(name, parts)
    else this.#keys.delete(name)
  }
}
