/**
 * A node over HTTP: its address, made ready once, and its pool of kept-alive connections, made when first needed. A
 * retired node still serves the frames that began before the reload; its connections close when none is left.
 */
import { isIP } from 'node:net'
import { Pool } from 'undici'
import { connector } from './connector.ts'
import type { Dispatcher, buildConnector } from 'undici'
import type { UpstreamRequest } from '../plugin/session.ts'
import type { NodeSpec, UpstreamSpec } from './spec.ts'

/** Headers of a node's answer, in bytes. */
const MAX_HEADER_BYTES = 16 * 1024

/** In place of a path that undici would take for a whole URL: it refuses this one, as it does a line break. */
const UNSENDABLE_PATH = ''

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

/** undici's type leaves out the name that TLS is to verify, though it takes it. */
interface PoolRequest extends Dispatcher.DispatchOptions {
  readonly servername: string | undefined
}

export class HttpNode {
  readonly weight: number
  /** Position among the upstream's nodes: how logs name it, its URL may hold a secret. */
  readonly position: number
  private readonly spec: UpstreamSpec
  private readonly url: URL
  private readonly path: string
  /** The name that the certificate must carry; without it a rewritten Host header would become that. */
  private readonly servername: string | undefined
  private readonly headers: string[]
  private readonly connect: buildConnector.connector
  private pool: Pool | undefined
  /** Requests under way. */
  inFlight = 0
  private isRetired = false

  /** Throws TypeError when the URL is none. */
  constructor(node: NodeSpec, position: number, spec: UpstreamSpec, userAgent: string) {
    this.weight = node.weight
    this.position = position
    this.spec = spec
    this.url = new URL(node.url)
    this.path = this.url.pathname + this.url.search
    this.servername = spec.tls?.servername ?? (isIP(bareHost(this.url)) === 0 ? this.url.hostname : undefined)
    this.connect = connector(spec.connectTimeoutMs, spec.tls)
    this.headers = ['content-type', 'application/json', 'accept', 'application/json', 'user-agent', userAgent]
    if (spec.gzip) this.headers.push('accept-encoding', 'gzip')
    if (this.url.username !== '' || this.url.password !== '') this.headers.push('authorization', basicAuthorization(this.url))
  }

  /** Sends a request; `handler` hears what becomes of it, possibly at once. Balanced by one `release`. */
  dispatch(body: Buffer, rewrite: UpstreamRequest, handler: Dispatcher.DispatchHandler): void {
    this.inFlight++
    this.pool ??= this.open()
    const path = rewrite.path?.startsWith('/') === false ? UNSENDABLE_PATH : (rewrite.path ?? this.path)
    const request: PoolRequest = { method: 'POST', path, headers: this.headersFor(rewrite), body, servername: this.servername }
    this.pool.dispatch(request, handler)
  }

  /** Whether a connection can be made now. */
  reach(): Promise<boolean> {
    const { host, protocol, port } = this.url
    const options = { host, hostname: bareHost(this.url), protocol, port, ...(this.servername === undefined ? {} : { servername: this.servername }) }
    return new Promise((resolve) => {
      this.connect(options, (error, socket) => {
        socket?.destroy()
        resolve(error === null)
      })
    })
  }

  get isBusy(): boolean {
    return this.inFlight > 0
  }

  /** The request is over. */
  release(): void {
    this.inFlight--
    if (this.isRetired) this.closeIfIdle()
  }

  /** No new frames will come, but for those that hold the snapshot of before. */
  retire(): void {
    this.isRetired = true
    this.closeIfIdle()
  }

  /** Ends every connection, whatever runs on it. */
  async close(): Promise<void> {
    const pool = this.pool
    this.pool = undefined
    await pool?.destroy()
  }

  private closeIfIdle(): void {
    if (this.isBusy) return
    void this.pool?.close()
    this.pool = undefined
  }

  private open(): Pool {
    return new Pool(this.url.origin, {
      connections: this.spec.maxConnections,
      pipelining: 1,
      allowH2: false,
      maxHeaderSize: MAX_HEADER_BYTES,
      keepAliveTimeout: this.spec.keepAliveMs,
      keepAliveMaxTimeout: this.spec.keepAliveMs,
      // Time is watched by the attempt: exactly, and with one timer instead of two.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: this.connect,
    })
  }

  private headersFor({ host, headers }: UpstreamRequest): string[] {
    if (host === undefined && headers === undefined) return this.headers
    const merged: string[] = host === undefined ? [] : ['host', host]
    for (let i = 0; i < this.headers.length; i += 2) {
      const name = this.headers[i]!
      if (headers === undefined || !Object.hasOwn(headers, name) || OWN_HEADERS.has(name)) merged.push(name, this.headers[i + 1]!)
    }
    if (headers === undefined) return merged
    for (const [name, value] of Object.entries(headers)) if (!OWN_HEADERS.has(name.toLowerCase())) merged.push(name, value)
    return merged
  }
}

/** The host without the brackets of an IPv6 address. */
function bareHost({ hostname }: URL): string {
  return hostname.replaceAll(/[[\]]/g, '')
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
