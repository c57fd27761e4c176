/** What was looked up lately, to be found again at once. It begins anew when it is full: whoever asks for ever more cannot make it grow. */
export class BoundedMap<V> {
  readonly #maxSize: number
  #entries = new Map<string, V>()

  constructor(maxSize: number) {
    this.#maxSize = maxSize
  }

  get(key: string): V | undefined {
    return this.#entries.get(key)
  }

  has(key: string): boolean {
    return this.#entries.has(key)
  }

  /** Adds a key that it does not have. */
  add(key: string, value: V): void {
    if (this.#entries.size >= this.#maxSize) this.#entries = new Map()
    this.#entries.set(key, value)
  }
}
