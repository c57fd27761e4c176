/**
 * A map that forgets. A key that was used in one period is kept through the next and gone with the one after,
 * without a timer or a sweep: keys in use move to the young generation, and when a period ends the old
 * generation is dropped whole. So a million keys that are met once cost nothing to remove, and a flood of keys
 * costs at most `maxKeys` entries: the generation then turns early and what was used least recently goes first.
 */

/** Each generation is spread over this many maps: growing one JS Map past 2^18 keys stalls the loop for 25 ms and more. */
const SHARDS = 16

/** Keys and what is remembered of them. Times in milliseconds, of a clock that the caller keeps from running backwards. */
export class RecentMap<V> {
  readonly #periodMs: number
  readonly #maxYoung: number
  #young: readonly Map<string, V>[] = generation()
  #old: readonly Map<string, V>[] = generation()
  #youngKeys = 0
  #period = -Infinity

  /** `maxKeys` bounds both generations together. */
  constructor(periodMs: number, maxKeys: number) {
    this.#periodMs = periodMs
    this.#maxYoung = Math.max(1, Math.floor(maxKeys / 2))
  }

  /** How many keys are held at most; one that moved between the generations counts twice until the period ends. */
  get size(): number {
    let keys = this.#youngKeys
    for (const map of this.#old) keys += map.size
    return keys
  }

  /** What is remembered of a key, which counts as a use of it. */
  get(key: string, nowMs: number): V | undefined {
    this.forget(nowMs)
    const shard = shardOf(key)
    const young = this.#young[shard]!.get(key)
    if (young !== undefined) return young
    const old = this.#old[shard]!.get(key)
    if (old !== undefined) this.#put(shard, key, old)
    return old
  }

  /** What is remembered of a key, which does not count as a use of it. */
  peek(key: string): V | undefined {
    const shard = shardOf(key)
    return this.#young[shard]!.get(key) ?? this.#old[shard]!.get(key)
  }

  set(key: string, value: V, nowMs: number): void {
    this.forget(nowMs)
    this.#put(shardOf(key), key, value)
  }

  /** Drops what is due. Called by `get` and `set`; call it when neither may come for a while. */
  forget(nowMs: number): void {
    const period = Math.floor(nowMs / this.#periodMs)
    if (period <= this.#period) return
    this.#turn()
    if (period !== this.#period + 1) this.#turn()
    this.#period = period
  }

  #turn(): void {
    this.#old = this.#young
    this.#young = generation()
    this.#youngKeys = 0
  }

  #put(shard: number, key: string, value: V): void {
    if (this.#youngKeys >= this.#maxYoung) this.#turn()
    const map = this.#young[shard]!
    const before = map.size
    map.set(key, value)
    this.#youngKeys += map.size - before
  }
}

function generation<V>(): readonly Map<string, V>[] {
  return Array.from({ length: SHARDS }, () => new Map<string, V>())
}

function shardOf(key: string): number {
  return (key.charCodeAt(key.length - 1) ^ key.charCodeAt(key.length >> 1)) & (SHARDS - 1)
}
