/**
 * Reads of several clients that wait a moment to travel together: fewer and larger requests for nodes that are far away, or
 * that are paid by the request. Whoever waits is known by what it asks of a node, and nothing that a client asks of its own
 * request waits.
 */
import type { ExchangeContext } from '../pipeline/ports.ts'
import type { Flight } from './flight.ts'
import type { Candidates, Wish } from './pool.ts'
import type { BatchSpec } from './spec.ts'

type Depart = (flights: readonly Flight[], wish: Wish, context: ExchangeContext, deadlineAt: number) => void

interface Group {
  readonly flights: Flight[]
  readonly wish: Wish
  /** That of the first. */
  readonly deadlineAt: number
  readonly timer: NodeJS.Timeout
}

/** What is nobody's own. */
const COMMON: ExchangeContext = {
  isBatch: false,
  calls: [],
  rewrite: { path: undefined, host: undefined, headers: undefined },
  subscriber: undefined,
  afterAnswer: [],
  running: undefined,
}

export class Gathering {
  private readonly spec: BatchSpec
  private readonly depart: Depart
  private readonly groups = new Map<Candidates, Group>()

  constructor(spec: BatchSpec, depart: Depart) {
    this.spec = spec
    this.depart = depart
  }

  /** Lets calls wait for others; false where they have to travel by themselves. */
  take(flights: readonly Flight[], wish: Wish, context: ExchangeContext, deadlineAt: number): boolean {
    const isPlain = wish.key === '' && wish.minBlock === undefined && context.subscriber === undefined && isUnchanged(context)
    if (!isPlain || flights.length >= this.spec.max || !flights.every((flight) => flight.needs.isRead)) return false
    let group = this.groups.get(wish.candidates)
    if (group !== undefined && group.flights.length + flights.length > this.spec.max) {
      this.send(group)
      group = undefined
    }
    if (group === undefined) this.groups.set(wish.candidates, (group = this.open(wish, deadlineAt)))
    group.flights.push(...flights)
    if (group.flights.length === this.spec.max) this.send(group)
    return true
  }

  private open(wish: Wish, deadlineAt: number): Group {
    const group: Group = { flights: [], wish, deadlineAt, timer: setTimeout(() => this.send(group), this.spec.waitMs) }
    return group
  }

  private send(group: Group): void {
    const { flights, wish, deadlineAt, timer } = group
    clearTimeout(timer)
    this.groups.delete(wish.candidates)
    const wanted = flights.filter((flight) => !flight.isDeserted)
    if (wanted.length > 0) this.depart(wanted, wish, COMMON, deadlineAt)
  }
}

function isUnchanged({ rewrite: { path, host, headers } }: ExchangeContext): boolean {
  return path === undefined && host === undefined && headers === undefined
}
