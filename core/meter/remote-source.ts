/** The primary of some workers as the holder of shared budgets: what a worker's leases are taken from and given back to. */
import type { GiveReply, GiveRequest, TakeReply, TakeRequest } from './remote.ts'
import type { Ask, BudgetSource, Grant, Return, Standing } from './source.ts'
import type { StoreClock } from './store-clock.ts'

interface Taking {
  readonly askedAt: number
  readonly hear: (position: number, grant: Grant | undefined) => void
}

export class RemoteSource implements BudgetSource {
  /** A worker does not outlive its primary. */
  readonly isAway = false
  readonly breaks = 0
  readonly processes: number
  readonly #send: (request: TakeRequest | GiveRequest) => void
  readonly #clock: StoreClock
  readonly #monotonicMs: () => number
  readonly #taking = new Map<number, Taking>()
  readonly #giving = new Map<number, (standings: readonly Standing[]) => void>()
  #nextId = 0

  constructor(processes: number, clock: StoreClock, monotonicMs: () => number, send: (request: TakeRequest | GiveRequest) => void) {
    this.processes = processes
    this.#clock = clock
    this.#monotonicMs = monotonicMs
    this.#send = send
  }

  take(asks: readonly Ask[], hear: (position: number, grant: Grant | undefined) => void): void {
    const id = this.#nextId++
    this.#taking.set(id, { askedAt: this.#monotonicMs(), hear })
    this.#send({ kind: 'take', id, asks })
  }

  give(id: number, returns: readonly Return[], hear: (standings: readonly Standing[] | undefined) => void): void {
    this.#giving.set(id, hear)
    this.#send({ kind: 'give', id, returns })
  }

  groupOf(): string {
    return ''
  }

  /** Takes in an answer of the primary. */
  receive(reply: TakeReply | GiveReply): void {
    if (reply.kind === 'given') {
      this.#giving.get(reply.id)?.(reply.standings)
      this.#giving.delete(reply.id)
      return
    }
    const taking = this.#taking.get(reply.id)
    this.#taking.delete(reply.id)
    const [first] = reply.grants
    if (taking === undefined || first === undefined) return
    this.#clock.hear(first.standing.atMs, taking.askedAt, this.#monotonicMs())
    for (const [position, grant] of reply.grants.entries()) taking.hear(position, grant)
  }
}
