/** A node's WebSocket address, made ready once. It may hold a secret: never logged, never part of a message. */
import { WebSocket } from 'ws'
import { basicAuthorization } from '../http-node.ts'
import type { ClientOptions } from 'ws'
import type { UpstreamRequest } from '../../plugin/session.ts'
import type { Standing } from '../node-health.ts'
import type { UpstreamSpec } from '../spec.ts'

/** What makes the handshake, or frames it: ours, whatever a rewrite says. */
const OWN_HEADERS = /^(?:connection|content-length|expect|host|keep-alive|te|trailer|transfer-encoding|upgrade|sec-websocket-.*)$/

export class SocketNode {
  /** What the node was made from, to tell it again after a reload. */
  readonly wsUrl: string
  /** Position among the upstream's nodes: how logs name it. */
  readonly position: number
  private readonly url: URL
  private readonly headers: Readonly<Record<string, string>>
  private readonly options: ClientOptions

  /** Throws TypeError when the URL is none. */
  constructor(wsUrl: string, position: number, spec: UpstreamSpec, userAgent: string) {
    this.wsUrl = wsUrl
    this.position = position
    this.url = new URL(wsUrl)
    this.headers = {
      'user-agent': userAgent,
      ...(this.url.username + this.url.password !== '' && { authorization: basicAuthorization(this.url) }),
    }
    this.url.username = this.url.password = this.url.hash = ''
    this.options = {
      perMessageDeflate: false,
      followRedirects: false,
      skipUTF8Validation: true, // what is decoded is checked there, and the rest is thrown away
      ...(spec.tls !== undefined && { rejectUnauthorized: spec.tls.verify }),
      ...(spec.tls?.ca !== undefined && { ca: spec.tls.ca }),
      ...(spec.tls?.servername !== undefined && { servername: spec.tls.servername }),
    }
  }

  /** Begins a handshake. `rewrite` is what one client's session asks of it. Throws where that cannot be sent. */
  connect(maxMessageBytes: number, closeTimeoutMs: number, rewrite: UpstreamRequest | undefined): WebSocket {
    const options = { ...this.options, maxPayload: maxMessageBytes, closeTimeout: closeTimeoutMs, headers: this.headersFor(rewrite) }
    return new WebSocket(this.urlFor(rewrite?.path), options)
  }

  private urlFor(path: string | undefined): URL {
    if (path === undefined) return this.url
    const url = new URL(this.url)
    const queryAt = path.indexOf('?')
    url.pathname = queryAt === -1 ? path : path.slice(0, queryAt)
    url.search = queryAt === -1 ? '' : path.slice(queryAt)
    return url
  }

  private headersFor(rewrite: UpstreamRequest | undefined): Readonly<Record<string, string>> {
    if (rewrite?.host === undefined && rewrite?.headers === undefined) return this.headers
    const added = Object.entries(rewrite.headers ?? {}).filter(([name]) => !OWN_HEADERS.test(name))
    return { ...this.headers, ...Object.fromEntries(added), ...(rewrite.host !== undefined && { host: rewrite.host }) }
  }
}

/** Standings of nodes whose chain may be another, or that are not there. */
const UNFIT: ReadonlySet<Standing> = new Set<Standing>(['wrong-chain', 'unverified', 'unreachable'])

/** The nodes to connect to: those that are well first, none that is unfit. */
export function fitFirst(nodes: readonly SocketNode[], standingOf: (position: number) => Standing): SocketNode[] {
  const isUp = ({ position }: SocketNode): boolean => standingOf(position) === 'up'
  const isSpare = (node: SocketNode): boolean => !isUp(node) && !UNFIT.has(standingOf(node.position))
  return [...nodes.filter(isUp), ...nodes.filter(isSpare)]
}
