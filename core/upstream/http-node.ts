/**
 * A node over HTTP: its address, made ready once, and its kept-alive connections, made when they are needed. A retired
 * node still serves the frames that began before the reload; each of its connections closes when nothing runs on it.
 */
import { isHeader } from '../plugin/headers.ts'
import { connector } from './connector.ts'
import { Origin } from './http1/origin.ts'
import type { Connect } from './connector.ts'
import type { Applicant } from './http1/origin.ts'
import type { UpstreamRequest } from '../plugin/session.ts'
import type { NodeSpec, UpstreamSpec } from './spec.ts'

/** What a rewritten request line and Host header may hold: no byte that ends them (RFC 9112 section 3). */
const PATH = /^\/[\x21-\xff]*$/
const HOST = /^[\x21-\x7e]+$/

/** What frames a request, or decides what may come back: ours, whatever a rewrite says. */
const OWN_HEADERS = new Set([
  'accept-encoding',
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

export class HttpNode {
  readonly weight: number
  /** Position among the upstream's nodes: how logs name it, its URL may hold a secret. */
  readonly position: number
  private readonly url: URL
  private readonly path: string
  private readonly headers: readonly (readonly [name: string, value: string])[]
  /** The head of a request that nobody rewrote, up to its length. */
  private readonly head: string
  private readonly connect: Connect
  private readonly origin: Origin
  /** Requests under way. */
  inFlight = 0

  /** Opens no connection. Throws TypeError when the URL is none. */
  constructor(node: NodeSpec, position: number, spec: UpstreamSpec, userAgent: string, monotonicMs: () => number) {
    this.weight = node.weight
    this.position = position
    this.url = new URL(node.url)
    this.path = this.url.pathname + this.url.search
    this.headers = headersOf(this.url, spec.gzip, userAgent)
    this.head = headText(this.path, this.url.host, this.headers)
    this.connect = connector(this.url, spec.connectTimeoutMs, spec.tls)
    const { maxConnections, keepAliveMs } = spec
    this.origin = new Origin({ connect: this.connect, maxConnections, keepAliveMs, monotonicMs })
  }

  /** A request as it is sent, one character per byte; undefined where a rewrite asks for what cannot be sent. */
  requestText(body: string, rewrite: UpstreamRequest): string | undefined {
    const isPlain = rewrite.path === undefined && rewrite.host === undefined && rewrite.headers === undefined
    const head = isPlain ? this.head : this.rewrittenHead(rewrite)
    return head && `${head}${body.length}\r\n\r\n${body}`
  }

  /** A request begins. Balanced by one `leave`. */
  enter(): void {
    this.inFlight++
  }

  /** Finds a connection for a request, possibly at once. In monotonic milliseconds it is `nowMs`. */
  apply(applicant: Applicant, nowMs: number): void {
    this.origin.apply(applicant, nowMs)
  }

  /** Whether a connection can be made now. */
  reach(): Promise<boolean> {
    return new Promise((resolve) => {
      this.connect(
        (error, socket) => {
          socket?.destroy()
          resolve(error === undefined)
        },
        () => undefined,
      )
    })
  }

  get isBusy(): boolean {
    return this.inFlight > 0
  }

  /** The request is over. */
  leave(): void {
    this.inFlight--
  }

  /** No new frames will come, but for those that hold the snapshot of before. */
  retire(): void {
    this.origin.close()
  }

  /** Ends every connection; what runs on them fails. */
  close(): void {
    this.origin.destroy()
  }

  private rewrittenHead({ path = this.path, host = this.url.host, headers = {} }: UpstreamRequest): string | undefined {
    const added = Object.entries(headers).filter(([name]) => !OWN_HEADERS.has(name.toLowerCase()))
    if (!PATH.test(path) || !HOST.test(host) || !added.every(([name, value]) => isHeader(name, value))) return undefined
    const replaced = new Set(added.map(([name]) => name.toLowerCase()))
    return headText(path, host, [...this.headers.filter(([name]) => !replaced.has(name)), ...added])
  }
}

function headersOf(url: URL, gzip: boolean, userAgent: string): (readonly [string, string])[] {
  return [
    ['connection', 'keep-alive'],
    ['content-type', 'application/json'],
    ['accept', 'application/json'],
    ['user-agent', userAgent],
    ...(gzip ? [['accept-encoding', 'gzip'] as const] : []),
    ...(url.username === '' && url.password === '' ? [] : [['authorization', basicAuthorization(url)] as const]),
  ]
}

function headText(path: string, host: string, headers: Iterable<readonly [name: string, value: string]>): string {
  const lines = Array.from(headers, ([name, value]) => `${name}: ${value}\r\n`)
  return `POST ${path} HTTP/1.1\r\nhost: ${host}\r\n${lines.join('')}content-length: `
}

/** RFC 7617. */
export function basicAuthorization({ username, password }: URL): string {
  return `Basic ${Buffer.from(`${unescaped(username)}:${unescaped(password)}`, 'utf8').toString('base64')}`
}

/** A URL's user and password are percent-encoded; a stray percent sign stands for itself. */
function unescaped(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
