/** Which of a few names stands in a document, written plainly. */

export class Names<N extends string> {
  /** The names and their bytes, by their length. */
  private readonly byLength: readonly (readonly Spelled<N>[])[]

  constructor(...names: readonly N[]) {
    const longest = Math.max(...names.map((name) => name.length))
    this.byLength = Array.from({ length: longest + 1 }, (_, length) =>
      names.filter((name) => name.length === length).map((name) => ({ name, bytes: Buffer.from(name) })),
    )
  }

  /** The name in [at, end). Compares bytes: cutting a string out costs ten times as much. */
  find(bytes: Uint8Array, at: number, end: number): N | undefined {
    const candidates = this.byLength[end - at]
    if (candidates === undefined) return undefined
    for (let i = 0; i < candidates.length; i++) {
      const { name, bytes: spelled } = candidates[i]!
      if (standsAt(spelled, bytes, at)) return name
    }
    return undefined
  }
}

/** Whether these bytes stand at a position of others. */
export function standsAt(spelled: Uint8Array, bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < spelled.length; i++) if (spelled[i] !== bytes[at + i]) return false
  return true
}

interface Spelled<N> {
  readonly name: N
  readonly bytes: Uint8Array
}
