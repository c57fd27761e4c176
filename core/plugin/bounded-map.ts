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

/** Answers that one question remembers: more than any node has methods. */
const MAX_REMEMBERED = 1024

/** Makes a question remember its answers, `undefined` too: the same few are asked for again and again. */
export function remembered<V>(judge: (key: string) => V): (key: string) => V {
  const verdicts = new BoundedMap<V>(MAX_REMEMBERED)
  return (key) => {
    const known = verdicts.get(key)
    if (known !== undefined || verdicts.has(key)) return known as V
    const verdict = judge(key)
    verdicts.add(key, verdict)
    return verdict
  }
}
