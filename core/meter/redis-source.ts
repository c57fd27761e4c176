/** Redis as the holder of shared budgets: slices are granted, and settlements taken in, by a script each. */
import { STANDING_SIZE, describeBudget, limitArgument, redisKey, standingAt, tagOf } from './redis-budgets.ts'
import type { RedisLink } from './redis-link.ts'
import type { Ask, BudgetName, BudgetSource, Grant, Return, Standing } from './source.ts'

export class RedisSource implements BudgetSource {
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

  get breaks(): number {
    return this.#link.breaks
  }

  take(asks: readonly Ask[], hear: (position: number, grant: Grant | undefined) => void): void {
    for (const positions of this.#link.inScripts(asks.map(({ of }) => of.key))) {
      const keys: string[] = []
      const args: (string | number)[] = []
      for (const position of positions) {
        const { of, known, limit, need, ahead } = asks[position]!
        keys.push(redisKey(of))
        describeBudget(args, of, known)
        args.push(limitArgument(limit), need, ahead)
      }
      this.#link.run('take', keys, args, (reply) => {
        for (const [at, position] of positions.entries()) hear(position, reply && grantAt(reply, at))
      })
    }
  }

  give(id: number, returns: readonly Return[], hear: (standings: readonly Standing[] | undefined) => void): void {
    const { isCluster, process } = this.#link
    const keys = [isCluster ? `tollgate:{${tagOf(returns[0]!.of.key)}}:settled:${process}` : `tollgate:settled:${process}`]
    const args: (string | number)[] = [id]
    for (const { of, known, spent, freed } of returns) {
      keys.push(redisKey(of))
      describeBudget(args, of, known)
      args.push(spent.length, ...spent.flat(), freed.length, ...freed.flat())
    }
    this.#link.run('settle', keys, args, (reply) => hear(reply && returns.map((_, at) => standingAt(reply, 1 + STANDING_SIZE * at))))
  }

  groupOf(of: BudgetName): string {
    return this.#link.groupOf(of.key)
  }
}

function grantAt(reply: readonly number[], at: number): Grant {
  const from = 2 + (1 + STANDING_SIZE) * at
  return { units: reply[from]!, term: reply[1]!, standing: standingAt(reply, from + 1) }
}
