/** The session behind the plugins' view of it: one HTTP request, or one WebSocket connection. */
import { consumer, network, tier } from '../plugin/slots.ts'
import { isAnswerHeader } from '../plugin/headers.ts'
import { HeaderList } from './header-list.ts'
import type { Consumer, Slot } from '../plugin/slots.ts'
import type { Session, Traffic, UpstreamRequest } from '../plugin/session.ts'
import type { Refusal } from '../plugin/outcome.ts'
import type { Chain, OpenStep } from './chain.ts'
import type { Subscriber, Upstream } from './ports.ts'

/** What a transport knows of a session before anything was decided. */
export interface Origin {
  readonly scheme: 'http' | 'ws'
  readonly httpMethod: string
  /** Address of the socket's other end. */
  readonly peer: string
  /** Lower case, without a port. */
  readonly host: string
  /** Decoded once, without the query. */
  readonly path: string
  /** The raw query, without the question mark. */
  readonly query: string
  /** By lower-case name, as node:http joins them. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
}

/** Where the route's match leads. */
export interface Destination {
  readonly routeId: string
  /** What the match bound: `network`, `apikey`, ... */
  readonly variables: Readonly<Record<string, string>>
  readonly network: string
  readonly upstream: Upstream
  readonly chain: Chain
  /** The chain for a consumer that brings plugins of its own; the route's chain for all others. */
  chainFor(username: string): Chain
  readonly refuseTogether: boolean
}

export class LiveSession implements Session {
  requestId: string
  readonly scheme: 'http' | 'ws'
  readonly httpMethod: string
  readonly peer: string
  remoteAddr: string
  readonly host: string
  readonly path: string
  readonly openedAt: number
  /** Replaced as a whole when a new snapshot judges a session that is already open. */
  destination: Destination
  /** The chain that judges this session's calls. */
  chain: Chain
  traffic: Traffic | undefined
  /** The client's socket, for what an upstream pushes; undefined over HTTP. */
  subscriber: Subscriber | undefined
  /** Results of one answer in bytes; above, the call is told so. */
  maxAnswerBytes = Infinity
  /** Why the session may not go on; every call of it is met with this. */
  refusal: Refusal | undefined
  /** The plugin that refused it. */
  refusedBy: string | undefined
  /** Between openSession and closeSession. */
  isOpen = false
  /** Steps whose close hook is owed, in the order in which they were opened. */
  readonly owed: NonNullable<OpenStep['close']>[] = []
  /** Epoch milliseconds at which the session's right to exist ends. */
  expiresAt = Infinity
  /** Headers for the HTTP answer, by name as the plugin wrote it. */
  responseHeaders = new HeaderList()
  upstreamRequest: UpstreamRequest = { path: undefined, host: undefined, headers: undefined }

  private readonly headers: Origin['headers']
  private readonly query: string
  private arguments: URLSearchParams | undefined
  /** Kinds and names in turns. */
  private hidden: string[] | undefined
  private values: unknown[] = []

  constructor(origin: Origin, destination: Destination, requestId: string, openedAt: number) {
    this.requestId = requestId
    this.scheme = origin.scheme
    this.httpMethod = origin.httpMethod
    this.peer = origin.peer
    this.remoteAddr = origin.peer
    this.host = origin.host
    this.path = origin.path
    this.query = origin.query
    this.headers = origin.headers
    this.openedAt = openedAt
    this.destination = destination
    this.chain = destination.chain
    this.set(network, destination.network)
  }

  get routeId(): string {
    return this.destination.routeId
  }

  get visiblePath(): string {
    const { path } = this
    if (this.hidden === undefined) return path
    const secrets = Object.entries(this.destination.variables).flatMap(([name, value]) => (this.isHidden('pathVariable', name) ? [value] : []))
    return secrets.length === 0
      ? path
      : path
          .split('/')
          .map((segment) => (secrets.includes(segment) ? '***' : segment))
          .join('/')
  }

  /** Forgets all that hooks left, so that `open` can judge the session anew under another snapshot. */
  reset(destination: Destination): void {
    this.destination = destination
    this.chain = destination.chain
    this.refusal = undefined
    this.refusedBy = undefined
    this.remoteAddr = this.peer
    this.expiresAt = Infinity
    this.responseHeaders = new HeaderList()
    this.upstreamRequest = { path: undefined, host: undefined, headers: undefined }
    this.hidden = undefined
    this.values = []
    this.set(network, destination.network)
  }

  header(name: string): string | undefined {
    if (this.isHidden('header', name)) return undefined
    const value = this.headers[name]
    return typeof value === 'object' ? value.join(', ') : value
  }

  argument(name: string): string | undefined {
    if (this.query === '' || this.isHidden('argument', name)) return undefined
    this.arguments ??= new URLSearchParams(this.query)
    return this.arguments.get(name) ?? undefined
  }

  pathVariable(name: string): string | undefined {
    return this.isHidden('pathVariable', name) ? undefined : this.destination.variables[name]
  }

  hide(kind: 'header' | 'argument' | 'pathVariable', name: string): void {
    if (!this.isHidden(kind, name)) (this.hidden ??= []).push(kind, name)
  }

  private isHidden(kind: Parameters<Session['hide']>[0], name: string): boolean {
    const { hidden } = this
    if (hidden === undefined) return false
    for (let at = 0; at < hidden.length; at += 2) if (hidden[at + 1] === name && hidden[at] === kind) return true
    return false
  }

  get<T>(slot: Slot<T, 'session'>): T | undefined {
    return this.values[slot.index] as T | undefined
  }

  set<T>(slot: Slot<T, 'session'>, value: T): void {
    this.values[slot.index] = value
    if (slot.index === consumer.index) this.values[tier.index] = (value as Consumer).plan?.tier
  }

  setHeader(name: string, value: string | number): void {
    if (!isAnswerHeader(name, value)) throw new TypeError(`the header ${name} cannot be sent`)
    this.responseHeaders.set(name, value)
  }

  expireAt(epochMs: number): void {
    if (Number.isNaN(epochMs)) throw new RangeError('a session expires at a moment')
    this.expiresAt = Math.min(this.expiresAt, epochMs)
  }
}
