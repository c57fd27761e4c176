/** Which of a few names stands in a document, written plainly. */

export class Names<N extends string> {
  /** The bytes of the names, by their length. */
  private readonly byLength: readonly (readonly (readonly [N, Uint8Array])[])[]

  constructor(...names: readonly N[]) {
    const longest = Math.max(...names.map((name) => name.length))
    this.byLength = Array.from({ length: longest + 1 }, (_, length) =>
      names.filter((name) => name.length === length).map((name) => [name, Buffer.from(name)] as const),
    )
  }

  /** The name in [at, end). Compares bytes: cutting a string out costs ten times as much. */
  find(bytes: Uint8Array, at: number, end: number): N | undefined {
    const candidates = this.byLength[end - at]
    if (candidates === undefined) return undefined
    for (const [name, spelled] of candidates) {
      let same = 0
      while (same < spelled.length && bytes[at + same] === spelled[same]) same++
      if (same === spelled.length) return name
    }
    return undefined
  }
}
