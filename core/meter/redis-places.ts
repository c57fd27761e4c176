/** Redis as the holder of places: for each key a hash of what each process holds, and when it said so. */
import { createHash } from 'node:crypto'
import { LIFE_MS } from './places.ts'
import { tagOf } from './redis-budgets.ts'
import type { Held, Hold, PlaceSource } from './places.ts'
import type { RedisLink } from './redis-link.ts'

export class RedisPlaces implements PlaceSource {
  readonly #link: RedisLink

  constructor(link: RedisLink) {
    this.#link = link
  }

  get isAway(): boolean {
    return this.#link.isAway
  }

  get processes(): number {
    return this.#link.processes
  }

  hold(holds: readonly Hold[], hear: (position: number, held: Held | undefined) => void): void {
    for (const positions of this.#link.inScripts(holds.map(({ key }) => key))) {
      const keys = positions.map((at) => keyOf(holds[at]!))
      const args = positions.flatMap((at) => [holds[at]!.open, holds[at]!.want, holds[at]!.max])
      this.#link.run('hold', keys, [this.#link.process, LIFE_MS, ...args], (reply) => {
        for (const [at, position] of positions.entries()) hear(position, reply && { own: reply[1 + 2 * at]!, others: reply[2 + 2 * at]! })
      })
    }
  }
}

function keyOf({ place, key }: Hold): string {
  return `tollgate:{${tagOf(key)}}:places:${createHash('sha256').update(place).digest('base64url').slice(0, 16)}`
}
