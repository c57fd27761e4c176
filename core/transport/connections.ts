/**
 * The connections of a listener: how many there may be, in all and from one address, and how each of them ends. What
 * cannot be read is answered after the answers that are under way, never in the middle of one, and nothing that
 * follows a last answer is worked on.
 */
import { addressList, canonicalAddress } from '../plugin/addresses.ts'
import { bareAnswer, edge } from './edge.ts'
import { MAX_TIMER_MS } from './limits.ts'
import { LINGER_MS } from './linger.ts'
import { Turn } from './turn.ts'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Refusal } from '../plugin/outcome.ts'
import type { Door } from './door.ts'
import type { TransportLimits } from './limits.ts'

/** Requests of one connection that may wait for their answers: no client pipelines more, and each is worked on at once. */
export const MAX_PIPELINED = 100

/** So often within the time that a connection may be idle it is looked whether it is. */
const IDLE_LOOKS = 8

/** A request whose body is arriving. */
interface Arriving {
  readonly hasArrived: boolean
  /** The rest of it cannot be read: answers it, where it has no answer yet, and ends the connection. */
  interrupted(refusal: Refusal): void
}

/** One connection, from its first byte to the last answer. */
export class Connection {
  /** Requests whose answers have not left yet. */
  pending = 0
  /** The request that came last: whatever ends the connection ends it after this one's answer. */
  newest: object | undefined
  arriving: Arriving | undefined
  /** It is a WebSocket now, and ends as that. */
  isUpgraded = false
  /** An answer has said that it is the last: what still arrives is not read as a request. */
  isEnding = false
  /** What its clients are told of how long it may be idle: the value of the header Keep-Alive. */
  readonly keepAlive: string
  private readonly socket: Duplex
  private readonly turn: Turn
  /** Requests that have arrived and wait for the next turn. */
  private readonly waiting: (() => void)[] = []
  private lastWords: string | undefined
  /** When it was last looked at: what had been read of it, and how often in a row it had been idle. */
  private seenBytes = 0
  private idleLooks = 0

  constructor(socket: Duplex, keepAlive: string, monotonicMs: () => number) {
    this.socket = socket
    this.keepAlive = keepAlive
    this.turn = new Turn(monotonicMs, () => this.goOn())
  }

  /** Works on a request, after those that came before it, and not before all other connections have had their turn. */
  work(begin: () => void): void {
    this.waiting.push(begin)
    this.goOn()
  }

  private goOn(): void {
    while (this.waiting.length > 0 && !this.turn.isOver) this.turn.spend(this.waiting.shift()!)
  }

  /** Nothing more can be read: ends the connection with a refusal, after the answers that are under way. Asking again does nothing. */
  endWith(refusal: Refusal): void {
    const { arriving } = this
    this.arriving = undefined
    if (arriving?.hasArrived === false) return arriving.interrupted(refusal)
    if (this.isEnding) return
    this.isEnding = true
    this.lastWords = bareAnswer(refusal)
    this.endIfAnswered()
  }

  /** An answer has left, or its request has gone. */
  answered(): void {
    this.pending--
    this.endIfAnswered()
  }

  /** Looks whether it is idle between two requests. Answers how often in a row it was. */
  lookIdle(readBytes: number): number {
    const isIdle = this.newest !== undefined && this.pending === 0 && !this.isUpgraded && readBytes === this.seenBytes
    this.seenBytes = readBytes
    return (this.idleLooks = isIdle ? this.idleLooks + 1 : 0)
  }

  private endIfAnswered(): void {
    if (this.pending > 0 || this.lastWords === undefined) return
    const { socket } = this
    socket.end(this.lastWords, 'latin1')
    this.lastWords = undefined
    const timer = setTimeout(() => socket.destroy(), LINGER_MS).unref()
    socket.once('close', () => clearTimeout(timer))
  }
}

/** All connections of a listener. */
export class Connections {
  private readonly bySocket = new WeakMap<Duplex, Connection>()
  private readonly sockets = new Set<Socket>()
  private readonly counts = new Map<string, number>()
  private readonly isExempt: (address: string) => boolean
  private readonly refused: (why: string) => void
  private readonly monotonicMs: () => number
  private readonly maxPerAddress: number
  private readonly keepAlive: string
  private readonly lookEveryMs: number
  /** Runs while there are connections. */
  private looking: NodeJS.Timeout | undefined

  /** `exempt` are addresses and CIDRs that may have any number of connections: proxies that carry everybody's. */
  constructor(limits: TransportLimits, exempt: Iterable<string>, door: Door) {
    this.isExempt = addressList(exempt)
    this.refused = (why) => door.refusedAtEdge(why)
    this.monotonicMs = door.pipeline.monotonicMs
    this.maxPerAddress = limits.maxConnectionsPerAddress
    const { keepAliveTimeoutMs } = limits
    this.keepAlive = `timeout=${Math.floor(keepAliveTimeoutMs / 1000)}`
    this.lookEveryMs = Math.min(MAX_TIMER_MS, Math.ceil(keepAliveTimeoutMs / IDLE_LOOKS))
  }

  of(socket: Duplex): Connection {
    let connection = this.bySocket.get(socket)
    if (connection === undefined) this.bySocket.set(socket, (connection = new Connection(socket, this.keepAlive, this.monotonicMs)))
    return connection
  }

  /** Counts a connection that was made, or refuses it. */
  admit(socket: Socket): void {
    const address = socket.remoteAddress ?? ''
    const network = networkOf(address)
    const count = (this.counts.get(network) ?? 0) + 1
    this.counts.set(network, count)
    this.sockets.add(socket)
    this.looking ??= setInterval(() => this.cutIdle(), this.lookEveryMs).unref()
    socket.once('close', () => {
      this.sockets.delete(socket)
      this.leave(network)
    })
    if (count <= this.maxPerAddress || this.isExempt(address)) return
    this.refused(edge.connections.why)
    this.of(socket).isEnding = true
    socket.end(bareAnswer(edge.connections), 'latin1', () => socket.destroy())
  }

  /** Cuts the connections on which no request has come, whole or in part, that somebody works on. */
  cutSilent(): void {
    for (const socket of this.sockets) {
      const { pending, isUpgraded } = this.of(socket)
      if (pending === 0 && !isUpgraded) socket.destroy()
    }
  }

  /** Cuts those that have been idle for as long as they may. The listener's own timers would cost each request 3 µs. */
  private cutIdle(): void {
    for (const socket of this.sockets) if (this.of(socket).lookIdle(socket.bytesRead) > IDLE_LOOKS) socket.destroy()
    if (this.sockets.size > 0) return
    clearInterval(this.looking)
    this.looking = undefined
  }

  private leave(network: string): void {
    const left = this.counts.get(network)! - 1
    if (left === 0) this.counts.delete(network)
    else this.counts.set(network, left)
  }
}

/** Who is counted together: an IPv4 address, or the 64 bits of IPv6 that one customer of a network is given (RFC 6177). */
function networkOf(address: string): string {
  const canonical = canonicalAddress(address) ?? address
  if (!canonical.includes(':')) return canonical
  const [head = '', tail] = canonical.split('::')
  const front = head === '' ? [] : head.split(':')
  const back = tail === undefined || tail === '' ? [] : tail.split(':')
  const middle = Array.from({ length: 8 - front.length - back.length }, () => '0')
  return [...front, ...middle, ...back].slice(0, 4).join(':')
}
