/** Places: how many of something there are at once, by key, and no more than so many. */

export interface Places {
  /** Takes a place under a key unless `max` are taken. Answers how many are taken then, or undefined where there is none. Waits where others have to be asked. */
  take(key: string, max: number): number | undefined | Promise<number | undefined>
  /** Gives a place back; to be called once for each that was taken. */
  free(key: string): void
}

/** Places that this process counts by itself. */
export class OwnPlaces implements Places {
  readonly #taken = new Map<string, number>()

  take(key: string, max: number): number | undefined {
    const taken = (this.#taken.get(key) ?? 0) + 1
    if (taken > max) return undefined
    this.#taken.set(key, taken)
    return taken
  }

  free(key: string): void {
    const left = (this.#taken.get(key) ?? 0) - 1
    if (left > 0) this.#taken.set(key, left)
    else this.#taken.delete(key)
  }
}
