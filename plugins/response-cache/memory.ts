/**
 * Kept answers: bounded in bytes, the least recently used go first. What is handed in is copied: a text that was cut from a
 * node's document would keep the whole document alive.
 */
import { LRUCache } from 'lru-cache'
import type { CounterHandle, Metrics, Result } from '#plugin'
import type { Validity } from './rules.ts'

type Payload = Result['payload']

export interface Entry extends Validity {
  readonly payload: Payload
  readonly network: string
  /** Epoch milliseconds. */
  readonly expiresAt: number
}

/** What an entry costs beside its text: the objects, and its place in the list. Counted generously. */
const ENTRY_BYTES = 500

export class Memory {
  private readonly entries: LRUCache<string, Entry>
  /** By network. */
  private readonly turned = new Map<string, number>()
  private readonly dropped: (why: string) => CounterHandle
  private readonly bytes: CounterHandle
  private readonly count: CounterHandle
  private owners = 0
  /** This memory's part of the gauges. */
  private counted = { bytes: 0, entries: 0 }

  constructor(maxBytes: number, metrics: Metrics) {
    this.bytes = metrics.gauge('tollgate_cache_bytes', 'Bytes of kept answers, their keys included.', [])()
    this.count = metrics.gauge('tollgate_cache_entries', 'Kept answers.', [])()
    this.dropped = metrics.counter('tollgate_cache_dropped_total', 'Kept answers that had to go: for want of room, or because a block was replaced.', ['why'])
    const evicted = this.dropped('room')
    this.entries = new LRUCache({
      maxSize: maxBytes,
      sizeCalculation: ({ payload }, key) => payload.length + key.length + ENTRY_BYTES,
      dispose: (_entry, _key, reason) => {
        if (reason === 'evict') evicted.value++
      },
    })
  }

  /** The answer under a key, if it is still good. */
  get(key: string, head: string | undefined, nowMs: number): Payload | undefined {
    const entry = this.entries.get(key)
    if (entry === undefined) return undefined
    if (entry.expiresAt > nowMs && (entry.head === undefined || entry.head === head)) return entry.payload
    this.entries.delete(key)
    this.recount()
    return undefined
  }

  /** Keeps an answer; what is larger than everything is not kept. */
  set(key: string, { payload, ...entry }: Entry): void {
    const copy = typeof payload === 'string' ? Buffer.from(payload, 'latin1').toString('latin1') : Buffer.from(payload)
    this.entries.set(key, { ...entry, payload: copy })
    this.recount()
  }

  /** How often blocks of a network were replaced so far. */
  turns(network: string): number {
    return this.turned.get(network) ?? 0
  }

  /** Blocks from this number on were replaced: drops what depends on them. */
  turn(network: string, fromNumber: number): void {
    this.turned.set(network, this.turns(network) + 1)
    const touched = [...this.entries.entries()].filter(([, entry]) => entry.network === network && entry.block >= fromNumber)
    for (const [key] of touched) this.entries.delete(key)
    this.dropped('reorg').value += touched.length
    this.recount()
  }

  /** A word that begins the keys of one instance and of no other. */
  nextOwner(): string {
    return String(++this.owners)
  }

  private recount(): void {
    const now = { bytes: this.entries.calculatedSize, entries: this.entries.size }
    this.bytes.value += now.bytes - this.counted.bytes
    this.count.value += now.entries - this.counted.entries
    this.counted = now
  }
}

const memories = new WeakMap<Metrics, Map<number, Memory>>()

/**
 * The gateway's memory of a size. It outlives a reload of the configuration, so that what was kept before it makes room for
 * what is kept after it; metrics live as long as the gateway.
 */
export function memoryOf(metrics: Metrics, maxBytes: number): Memory {
  let ofGateway = memories.get(metrics)
  if (ofGateway === undefined) memories.set(metrics, (ofGateway = new Map<number, Memory>()))
  let memory = ofGateway.get(maxBytes)
  if (memory === undefined) ofGateway.set(maxBytes, (memory = new Memory(maxBytes, metrics)))
  return memory
}
