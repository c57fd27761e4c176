/**
 * Calls that wait for their answer on one socket, found by id. A table of its own and not a Map: one that lives as long as
 * the process while entries come and go keeps dead ones alive from one generation of the heap to the next.
 */

/** Chains of entries; a power of two, some for each call that a crowded socket carries. */
const SLOTS = 512

interface Entry<T> {
  readonly id: number
  readonly value: T
  next: Entry<T> | undefined
}

export class CallsInFlight<T> {
  /** How many wait. */
  size = 0
  private readonly slots: (Entry<T> | undefined)[] = Array.from({ length: SLOTS })

  /** No other call has the id. */
  add(id: number, value: T): void {
    const slot = id & (SLOTS - 1)
    this.slots[slot] = { id, value, next: this.slots[slot] }
    this.size++
  }

  /** Of what a node sends anything may be an id: a fraction, NaN, one of long ago. */
  find(id: number): T | undefined {
    let entry = this.slots[id & (SLOTS - 1)]
    while (entry !== undefined && entry.id !== id) entry = entry.next
    return entry?.value
  }

  remove(id: number): void {
    const slot = id & (SLOTS - 1)
    let before: Entry<T> | undefined
    let entry = this.slots[slot]
    while (entry !== undefined && entry.id !== id) {
      before = entry
      entry = entry.next
    }
    if (entry === undefined) return
    if (before === undefined) this.slots[slot] = entry.next
    else before.next = entry.next
    entry.next = undefined // else a dead entry that has grown old would keep a young one
    this.size--
  }

  /** All that wait now. */
  entries(): (readonly [id: number, value: T])[] {
    const entries: (readonly [number, T])[] = []
    for (let entry of this.slots) for (; entry !== undefined; entry = entry.next) entries.push([entry.id, entry.value])
    return entries
  }
}
