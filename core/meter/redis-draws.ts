/**
 * Frames on their way through the script that draws: written as its arguments, and its answer read back. What a script
 * draws on has one hash tag in a Redis Cluster, so a frame may come in parts there.
 */
import { STANDING_SIZE, describeBudget, limitArgument, redisKey, standingAt } from './redis-budgets.ts'
import { isAmount } from './row.ts'
import type { Account } from './account.ts'
import type { Standing } from './source.ts'

/** A draw, and what became of it. */
export interface Pull {
  readonly account: Account
  /** NaN and the like are never drawn. */
  readonly units: number
  readonly limit: number
  /** The position of its call, and its own among the draws of that. */
  readonly call: number
  readonly at: number
  /** Undefined until the store has said. */
  standing: Standing | undefined
  isTaken: boolean
}

/** What a call draws on under one tag, in order. */
export interface CallPulls {
  /** The position of the call. */
  readonly call: number
  readonly pulls: readonly Pull[]
  /** The position of the draw that blocked it, or -1. */
  blockedAt: number
}

/** What a frame draws on under one tag, in the order of its calls. */
export interface Part<Frame> {
  readonly frame: Frame
  readonly together: boolean
  readonly calls: readonly CallPulls[]
}

/** One run of the script. */
export class Batch<Frame> {
  readonly parts: Part<Frame>[] = []
  readonly keys: string[] = []
  size = 0
  readonly #positions = new Map<string, number>()
  readonly #budgets: (string | number)[] = []
  readonly #frames: number[] = []

  add(part: Part<Frame>): void {
    this.parts.push(part)
    this.#frames.push(part.together ? 1 : 0, part.calls.length)
    for (const { pulls } of part.calls) {
      this.#frames.push(pulls.length)
      this.size += pulls.length
      for (const { account, units, limit } of pulls) this.#frames.push(this.#position(account), isAmount(units) ? units : -1, limitArgument(limit))
    }
  }

  get args(): (string | number)[] {
    return [...this.#budgets, this.parts.length, ...this.#frames]
  }

  /** Reads an answer: how every pull came out, and where each call was blocked. */
  read(reply: readonly number[]): void {
    let at = 1
    for (const { together, calls } of this.parts) {
      let isRefused = false
      for (const one of calls) {
        one.blockedAt = one.pulls[reply[at++]!]?.at ?? -1
        if (together && one.blockedAt >= 0) isRefused = true
      }
      for (const { pulls, blockedAt } of calls) {
        for (const pull of pulls) {
          pull.standing = standingAt(reply, at)
          pull.isTaken = !isRefused && blockedAt === -1
          at += STANDING_SIZE
        }
      }
    }
  }

  #position(account: Account): number {
    const key = (account.storeKey ??= redisKey(account.of))
    let position = this.#positions.get(key)
    if (position === undefined) {
      position = this.keys.push(key)
      this.#positions.set(key, position)
      describeBudget(this.#budgets, account.of, account.known)
    }
    return position
  }
}
