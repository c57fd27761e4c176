/**
 * One WebSocket to a node: calls with ids of ours, answers paired by them, notifications handed on. A node is not trusted:
 * an answer goes to the call whose id it carries, once, or nowhere. Every call ends: with its answer, when its time is up, or
 * with the socket.
 */
import { encodeRequest } from '../../jsonrpc/encode.ts'
import { Arriving } from '../../plugin/arriving.ts'
import { failures } from '../failures.ts'
import { answerOf } from '../pair-answers.ts'
import { CallsInFlight } from './calls-in-flight.ts'
import { FrameWriter } from './frame-writer.ts'
import { Inbox } from './inbox.ts'
import { Pulse } from './pulse.ts'
import type { IncomingMessage } from 'node:http'
import type { WebSocket } from 'ws'
import type { RpcRequest } from '../../jsonrpc/frame.ts'
import type { Replies, Reply } from '../../jsonrpc/reply.ts'
import type { PluginLog } from '../../plugin/define.ts'
import type { CounterHandle } from '../../plugin/metrics.ts'
import type { Room } from '../../plugin/room.ts'
import type { UpstreamRequest } from '../../plugin/session.ts'
import type { Answer, Failure } from '../failures.ts'
import type { Standing } from '../node-health.ts'
import type { UpstreamSpec } from '../spec.ts'
import type { InboxOwner } from './inbox.ts'
import type { SocketCounts } from './socket-counts.ts'
import type { SocketLimits } from './socket-limits.ts'
import type { SocketNode } from './socket-node.ts'

/** What all sockets of one upstream share. */
export interface SocketTerms {
  readonly spec: UpstreamSpec
  readonly counts: SocketCounts
  readonly limits: SocketLimits
  readonly log: PluginLog
  /** For messages while they arrive. */
  readonly room: Room
  /** For notifications that wait, and for what is remembered of those that have been delivered. */
  readonly backlog: Room
  readonly monotonicMs: () => number
  /** What is against the node at a position. */
  standingOf(position: number): Standing
}

/** Whoever waits for answers. */
export interface Caller {
  /** When the call is given up, in monotonic milliseconds. */
  readonly dueAt: number
  /** Once for each id, in the very turn in which the answer came: what the node sends next may depend on it. */
  answered(id: number, answer: Answer): void
}

/** Whose socket it is. */
export interface LinkOwner {
  linkOpened(link: Link): void
  /** Once, also when it never opened, and before the calls on it are failed. Codes of RFC 6455 section 7.4. */
  linkLost(link: Link, code: number, reason: string): void
  linkNotified(link: Link, notification: Reply): void
}

/** How a socket differs from the others. */
export interface LinkOptions {
  readonly maxMessageBytes: number
  readonly rewrite?: UpstreamRequest
  /** Asked now and then: whether it is kept although no call is made. */
  readonly isWanted: () => boolean
}

const TOO_LARGE = 1009

/** A socket that was cut because there was no room for what arrived. Reads are asked again over HTTP, where each is judged for itself. */
const CUT_BY_US: Failure = { ...failures['connection-lost'], blame: 'none' }

/** How much later than it is due a call may be given up: a tenth of the timeout, and not more than this. */
const MAX_SWEEP_MS = 500

export class Link implements InboxOwner {
  readonly node: SocketNode
  /** What failed the calls on it, once it is lost. */
  lostBecause: Failure = failures['connection-lost']
  private readonly owner: LinkOwner
  private readonly terms: SocketTerms
  private readonly gauge: CounterHandle
  private readonly isWanted: () => boolean
  private readonly socket: WebSocket
  private readonly calls = new CallsInFlight<Caller>()
  private readonly inbox: Inbox
  private readonly openTimer: NodeJS.Timeout
  private writer: FrameWriter | undefined
  private nextId = 1
  private isDraining = false
  private hasTimedOut = false
  /** An answer over the limit: ws reports it as an error, and the close that follows as abnormal. */
  private wasTooLarge = false
  /** There was no room for what arrived. */
  private hadNoRoom = false
  private arriving: Arriving | undefined
  private readonly pulse: Pulse
  private pinger: NodeJS.Timeout | undefined
  private pingsWithoutCalls = 0
  private sweeper: NodeJS.Timeout | undefined
  private readonly sweepMs: number

  /** Begins to connect. Throws where `options.rewrite` cannot be sent. */
  constructor(node: SocketNode, owner: LinkOwner, terms: SocketTerms, gauge: CounterHandle, options: LinkOptions) {
    this.node = node
    this.owner = owner
    this.terms = terms
    this.gauge = gauge
    this.isWanted = options.isWanted
    this.pulse = new Pulse(terms)
    this.inbox = new Inbox(this, terms.room)
    this.sweepMs = Math.max(1, Math.min(MAX_SWEEP_MS, Math.ceil(Math.min(terms.spec.readTimeoutMs, terms.spec.totalTimeoutMs) / 10)))
    this.socket = node.connect(options.maxMessageBytes, terms.limits.closeTimeoutMs, options.rewrite)
    this.openTimer = setTimeout(() => {
      this.hasTimedOut = true
      this.socket.terminate()
    }, terms.spec.connectTimeoutMs)
    this.socket.on('upgrade', (response: IncomingMessage) => (this.writer = new FrameWriter(response.socket)))
    this.socket.on('open', () => this.opened())
    this.socket.on('message', (data: Buffer) => this.received(data))
    this.socket.on('ping', () => this.pulse.heard())
    this.socket.on('pong', () => this.pulse.heard())
    this.socket.on('error', (error: NodeJS.ErrnoException) => (this.wasTooLarge = error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH'))
    this.socket.on('close', (code, reason) => this.inbox.afterAll(() => this.ended(this.wasTooLarge ? TOO_LARGE : code, reason.toString('utf8'))))
  }

  /** Whether calls can be sent. */
  get isOpen(): boolean {
    return this.socket.readyState === this.socket.OPEN
  }

  /** Whether it ever stood. */
  get wasOpen(): boolean {
    return this.pinger !== undefined
  }

  /** Calls that wait for their answer. */
  get callsInFlight(): number {
    return this.calls.size
  }

  /** Whether the node takes in what it is sent. */
  get keepsUp(): boolean {
    return this.writer !== undefined && this.writer.unsentBytes <= this.terms.limits.maxUnsentBytes
  }

  /** Sends a call on an open socket; what becomes of it is told to `caller`, with the id that is answered here. */
  call(request: Pick<RpcRequest, 'methodText' | 'paramsText'>, caller: Caller): number {
    const id = this.nextId++
    this.calls.add(id, caller)
    this.pingsWithoutCalls = 0
    this.writer!.send(encodeRequest(id, request))
    if (this.sweeper === undefined) this.beginSweeping()
    return id
  }

  /** Asks something of our own. `done` hears of it in the turn in which the answer came. */
  ask(request: Pick<RpcRequest, 'methodText' | 'paramsText'>, dueAt: number, done: (answer: Answer) => void): void {
    if (this.isOpen) this.call(request, { dueAt, answered: (_id, answer) => done(answer) })
    else done(this.lostBecause)
  }

  /** Closes once the calls in flight have ended. */
  drain(): void {
    this.isDraining = true
    this.closeIfDrained()
  }

  /** Closes with a code; calls in flight fail. */
  close(code: number, reason: string): void {
    this.writer?.flush()
    this.socket.close(code, reason)
  }

  /** Cuts; calls in flight fail. */
  cut(): void {
    this.socket.terminate()
  }

  private opened(): void {
    clearTimeout(this.openTimer)
    this.arriving = new Arriving(this.socket, this.terms.room, () => this.arrives())
    this.gauge.value++
    this.pinger = setInterval(() => this.beat(), this.terms.limits.pingIntervalMs)
    this.owner.linkOpened(this)
  }

  private arrives(): void {
    if (!this.terms.room.isTooFullFor(this.arriving!.bytes)) return
    this.hadNoRoom = true
    this.cut()
  }

  private received(data: Buffer): void {
    this.arriving!.look()
    this.pulse.heard()
    this.inbox.push(data)
  }

  taken(replies: Replies | undefined): void {
    if (replies === undefined) {
      this.terms.counts.stray.value++
      return
    }
    for (const reply of replies.members) this.take(reply)
  }

  busy(isBusy: boolean): void {
    if (isBusy) this.socket.pause()
    else this.socket.resume()
  }

  private take(reply: Reply | undefined): void {
    if (reply?.id === undefined) {
      if (reply?.method === undefined) this.terms.counts.stray.value++
      else this.owner.linkNotified(this, reply)
      return
    }
    const id = Number(reply.id)
    const caller = this.calls.find(id)
    const answer = caller === undefined ? undefined : answerOf(reply, undefined)
    if (answer === undefined) {
      this.terms.counts.stray.value++
      return
    }
    this.calls.remove(id)
    caller!.answered(id, answer)
    if (this.isDraining) this.closeIfDrained()
  }

  private closeIfDrained(): void {
    if (this.calls.size === 0) this.close(1000, '')
  }

  private beat(): void {
    const { limits } = this.terms
    if (this.calls.size === 0 && ++this.pingsWithoutCalls > limits.idlePings && !this.isWanted()) this.close(1000, 'idle')
    else if (this.pulse.countPing()) this.socket.ping()
    else this.cut()
  }

  private beginSweeping(): void {
    this.pulse.begin(this.terms.monotonicMs())
    this.sweeper = setTimeout(sweep, this.sweepMs, this)
  }

  /** One timer serves all calls, and none runs while there are none. */
  sweep(): void {
    const now = this.terms.monotonicMs()
    this.pulse.look(now)
    for (const [id, caller] of this.calls.entries()) {
      if (caller.dueAt > now || this.calls.find(id) !== caller) continue // what was given up before may have ended this one
      this.calls.remove(id)
      caller.answered(id, failures['read-timeout'])
      if (this.isOpen && this.pulse.suspect(now, this.sweepMs)) this.socket.ping()
    }
    if (this.isDraining) this.closeIfDrained()
    if (this.pulse.isDead(now)) this.cut()
    this.sweeper = this.calls.size > 0 || this.pulse.isProbed ? setTimeout(sweep, this.sweepMs, this) : undefined
  }

  private ended(code: number, reason: string): void {
    const { wasOpen } = this
    const why = wasOpen ? 'connection-lost' : this.hasTimedOut ? 'connect-timeout' : 'connect-failed'
    clearTimeout(this.openTimer)
    clearTimeout(this.sweeper)
    clearInterval(this.pinger)
    this.arriving?.letGo()
    if (wasOpen) this.gauge.value--
    const { log, spec } = this.terms
    if (log.isEnabled('debug')) log.debug({ upstream: spec.id, node: this.node.position, why, code }, 'a socket to a node has ended')
    this.lostBecause = this.hadNoRoom ? CUT_BY_US : failures[why]
    this.owner.linkLost(this, code, reason)
    for (const [id, caller] of this.calls.entries()) {
      this.calls.remove(id)
      caller.answered(id, this.lostBecause)
    }
  }
}

function sweep(link: Link): void {
  link.sweep()
}
