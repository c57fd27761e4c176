/**
 * The load, in a process of its own: closed loop (each place in flight sends when it was answered) or open loop (requests are
 * due at a constant rate and timed from when they were due, so a server that stalls cannot hide it). Driven by messages.
 */
import { fire } from './cannon.ts'
import { HttpLine } from './http-line.ts'
import { WsLine } from './ws-line.ts'
import type { Request } from './requests.ts'

/** What to send, and where. */
export interface Load {
  /** `autocannon` is HTTP too, made by that program. */
  readonly wire: 'http' | 'ws' | 'autocannon'
  readonly host: string
  readonly port: number
  readonly connections: number
  /** Requests that a connection has open at once; HTTP has one. */
  readonly inFlight: number
  /** Sent in turn. A WebSocket is opened with the path and the key of one of them. */
  readonly requests: readonly Request[]
}

/** What the process is told. It answers each with a `Report`. */
export type Order =
  | { readonly do: 'open'; readonly load: Load }
  | { readonly do: 'run'; readonly seconds: number; readonly perSecond: number | undefined }
  | { readonly do: 'close' }

/** What became of a run. */
export interface Report {
  readonly error?: string
  /** Calls that were answered as expected, and the others. */
  readonly calls: number
  readonly failed: number
  readonly seconds: number
  /** Of frames. */
  readonly p50Us: number
  readonly p99Us: number
  /** CPU of this process, in microseconds: whether it could have been the limit. */
  readonly ownCpuUs: number
}

/** A connection. */
export interface Line {
  send(request: Request, place: number): void
  close(): void
}

/** Who owns a connection. */
export interface LineOwner {
  answered(line: Line, place: number, isExpected: boolean): void
  lost(why: string): void
}

interface Place {
  readonly line: Line
  readonly index: number
  request: Request
  /** When it was sent, or should have been. */
  dueAt: number
}

/** How long an open loop sleeps at a time: an answer is noticed as much too late, on average half of it. The system adds some 50 µs. */
const NAP_MS = 0.05
const nap = new Int32Array(new SharedArrayBuffer(4))

class Generator implements LineOwner {
  private readonly load: Load
  private readonly places = new Map<Line, Place[]>()
  private idle: Place[] = []
  private next = 0
  private calls = 0
  private failed = 0
  private latenciesMs: number[] = []
  private inFlight = 0
  private endsAt = 0
  private perSecond: number | undefined
  /** When the next request of an open loop is due, and what is due while every place is taken. */
  private dueAt = 0
  private finish: (() => void) | undefined
  private fail: (error: Error) => void = () => undefined

  constructor(load: Load) {
    this.load = load
  }

  async open(): Promise<void> {
    if (this.load.wire === 'autocannon') return // it opens its own
    const { wire, host, port, connections, inFlight, requests } = this.load
    for (let i = 0; i < connections; i++) {
      const first = requests[i % requests.length]!
      const line = wire === 'http' ? await HttpLine.open(host, port, this) : await WsLine.open(host, port, first, this)
      const places = Array.from({ length: inFlight }, (_, index): Place => ({ line, index, request: first, dueAt: 0 }))
      this.places.set(line, places)
      this.idle.push(...places)
    }
  }

  close(): void {
    for (const line of this.places.keys()) line.close()
  }

  /** Runs, and waits for the answers that are then under way. */
  async run(seconds: number, perSecond: number | undefined): Promise<Report> {
    if (this.load.wire === 'autocannon') return fire(this.load, seconds)
    this.calls = this.failed = 0
    this.latenciesMs = []
    this.perSecond = perSecond
    const startedAt = performance.now()
    const before = process.cpuUsage()
    this.endsAt = startedAt + seconds * 1000
    this.dueAt = startedAt
    await new Promise<void>((resolve, reject) => {
      this.finish = resolve
      this.fail = reject
      if (perSecond === undefined) for (const place of this.idle.splice(0)) this.send(place, performance.now())
      else this.pace()
    })
    const { user, system } = process.cpuUsage(before)
    const sorted = Float64Array.from(this.latenciesMs).sort()
    const at = (share: number): number => Math.round(1000 * (sorted[Math.floor(share * (sorted.length - 1))] ?? 0))
    const { calls, failed } = this
    return { calls, failed, seconds: (performance.now() - startedAt) / 1000, p50Us: at(0.5), p99Us: at(0.99), ownCpuUs: user + system }
  }

  answered(line: Line, index: number, isExpected: boolean): void {
    const now = performance.now()
    const place = this.places.get(line)![index]!
    this.latenciesMs.push(now - place.dueAt)
    if (isExpected) this.calls += place.request.calls.length
    else this.failed += place.request.calls.length
    this.inFlight--
    if (this.perSecond === undefined && now < this.endsAt) return this.send(place, now)
    this.idle.push(place)
    if (now >= this.endsAt && this.inFlight === 0) this.finish?.()
  }

  lost(why: string): void {
    this.fail(new Error(why))
  }

  private send(place: Place, dueAt: number): void {
    const { requests } = this.load
    place.request = requests[this.next++ % requests.length]!
    place.dueAt = dueAt
    this.inFlight++
    place.line.send(place.request, place.index)
  }

  /**
   * Sends what is due. It naps rather than spins, for on a small machine it would take the CPU that is measured; a timer would be
   * late by up to a millisecond.
   */
  private pace(): void {
    const now = performance.now()
    while (this.dueAt <= now && this.dueAt < this.endsAt && this.idle.length > 0) {
      this.send(this.idle.shift()!, this.dueAt)
      this.dueAt += 1000 / this.perSecond!
    }
    if (now < this.endsAt) {
      if (this.dueAt - now > NAP_MS) Atomics.wait(nap, 0, 0, NAP_MS)
      setImmediate(() => this.pace())
    } else if (this.inFlight === 0) this.finish?.()
  }
}

const NOTHING: Report = { calls: 0, failed: 0, seconds: 0, p50Us: 0, p99Us: 0, ownCpuUs: 0 }

async function obey(order: Order): Promise<Report> {
  if (order.do === 'open') {
    generator = new Generator(order.load)
    await generator.open()
  } else if (order.do === 'run') return generator!.run(order.seconds, order.perSecond)
  else generator?.close()
  return NOTHING
}

let generator: Generator | undefined

if (process.send !== undefined) {
  process.on('message', (order: Order) => {
    obey(order).then(
      (report) => process.send!(report),
      (error: Error) => process.send!({ ...NOTHING, error: error.message }),
    )
  })
  process.on('disconnect', () => process.exit())
}
