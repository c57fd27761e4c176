/**
 * The WebSocket handshake (RFC 6455 section 4): everything that may refuse a session does so here, before the 101, as a
 * plain HTTP answer. A socket that becomes a WebSocket is handed to `SocketSession`.
 */
import { WebSocketServer } from 'ws'
import { errors } from '../jsonrpc/errors.ts'
import { encodeRefusal, refusalHeaders } from '../pipeline/answer.ts'
import { closeSession, openSession } from '../pipeline/open.ts'
import { refuse } from '../plugin/outcome.ts'
import { HeaderList } from '../pipeline/header-list.ts'
import { edge, headOf } from './edge.ts'
import { SocketSession } from './socket-session.ts'
import { peerOf, readTarget } from './target.ts'
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import type { WebSocketSettings } from '../plugin/define.ts'
import type { Refusal } from '../plugin/outcome.ts'
import type { LiveSession } from '../pipeline/session.ts'
import type { Door } from './door.ts'
import type { SocketTimeouts } from './limits.ts'

/** Deflate contexts of one socket: 2 × 2^11 bytes of window and no memory kept between messages. */
const DEFLATE = {
  serverNoContextTakeover: true,
  clientNoContextTakeover: true,
  serverMaxWindowBits: 11,
  threshold: 1024,
  concurrencyLimit: 4,
  zlibDeflateOptions: { level: 1, memLevel: 4 },
}

/** Fragments of one message: each costs some hundred bytes beside its own. */
const MAX_FRAGMENTS = 1024
/** What a packet brings of a large message on average, at the least; the smallest that IP has to carry whole holds so much. */
const MIN_CHUNK_BYTES = 512

const refusals = {
  version: refuse('invalidRequest', 'websocket-version', {
    status: 426,
    message: 'Only WebSocket version 13 is spoken here',
    headers: { Upgrade: 'websocket', 'Sec-WebSocket-Version': '13' },
  }),
  key: refuse('invalidRequest', 'websocket-key', { status: 400, message: 'Sec-WebSocket-Key is missing or malformed' }),
  noWebSocket: refuse('invalidRequest', 'no-websocket', { status: 404, message: 'This path serves no WebSocket; use HTTP POST' }),
  origin: refuse('blocked', 'origin', { message: 'This origin is not allowed' }),
  draining: refuse('overloaded', 'draining', { message: 'The gateway is shutting down; connect again' }),
  unreachable: refuse('upstreamUnavailable', 'no-node', { message: 'No node can be reached' }),
} satisfies Record<string, Refusal>

/** The open WebSocket sessions of a listener. */
export interface SocketSessions {
  /** Judges every open session anew, after a new snapshot: a revoked key ends it, a changed plan counts from now on. */
  rejudge(): void
  /** Closes every session with 1001, each after the answers that are under way. */
  drain(): void
  /** Cuts what is still open. */
  cut(): void
}

/** Serves WebSocket handshakes on an HTTP server. */
export function acceptWebSockets(server: Server, door: Door, timeouts: SocketTimeouts): SocketSessions {
  const open = new Set<SocketSession>()
  const sessionOf = new WeakMap<IncomingMessage, LiveSession>()
  const made = new WeakMap<WebSocketSettings, WebSocketServer>()

  function handshakesFor(settings: WebSocketSettings): WebSocketServer {
    let handshakes = made.get(settings)
    if (handshakes === undefined) {
      handshakes = new WebSocketServer({
        noServer: true,
        clientTracking: false,
        handleProtocols: chooseProtocol,
        maxPayload: settings.maxMessageBytes,
        maxFragments: MAX_FRAGMENTS,
        maxBufferedChunks: MAX_FRAGMENTS + Math.ceil(settings.maxMessageBytes / MIN_CHUNK_BYTES),
        perMessageDeflate: settings.compression ? DEFLATE : false,
      })
      handshakes.on('headers', (headers: string[], request: IncomingMessage) => {
        headers.push(...(sessionOf.get(request)?.responseHeaders.lines() ?? []))
      })
      made.set(settings, handshakes)
    }
    return handshakes
  }

  function complete(request: IncomingMessage, socket: Duplex, head: Buffer, session: LiveSession, settings: WebSocketSettings): void {
    sessionOf.set(request, session)
    // What ws finds wrong it answers by itself; the session is then over.
    const failed = (): void => closeSession(session, door.pipeline)
    socket.once('close', failed)
    handshakesFor(settings).handleUpgrade(request, socket, head, (webSocket) => {
      socket.off('close', failed)
      const socketSession: SocketSession = new SocketSession(webSocket, session, settings, timeouts, door, () => open.delete(socketSession))
      open.add(socketSession)
    })
  }

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy())
    new Handshake(request, socket, door).begin((session, settings) => complete(request, socket, head, session, settings))
  })

  return {
    rejudge: () => {
      for (const session of open) session.rejudge()
    },
    drain: () => {
      for (const session of open) session.drain()
    },
    cut: () => {
      for (const session of open) session.cut()
    },
  }
}

/** `bearer.<key>` carries a key where a browser can set no header; another protocol that the client offers is preferred, so that no key is echoed. */
function chooseProtocol(offered: Set<string>): string | false {
  const [first] = offered
  return [...offered].find((protocol) => !protocol.startsWith('bearer.')) ?? first ?? false
}

class Handshake {
  private readonly request: IncomingMessage
  private readonly socket: Duplex
  private readonly door: Door
  private session: LiveSession | undefined

  constructor(request: IncomingMessage, socket: Duplex, door: Door) {
    this.request = request
    this.socket = socket
    this.door = door
  }

  begin(complete: (session: LiveSession, settings: WebSocketSettings) => void): void {
    const wrong = wrongWithRequest(this.request)
    if (wrong !== undefined) return this.refuse(wrong)
    if (this.door.isDraining()) return this.refuse(refusals.draining)
    const { refusal: overload } = this.door.pipeline.load
    if (overload !== undefined) return this.refuse(overload)
    const target = readTarget(this.request)
    if (target === undefined) return this.refuse(edge.badTarget)
    const session = this.door.enter({ scheme: 'ws', httpMethod: 'GET', peer: peerOf(this.request), headers: this.request.headers, ...target })
    if (session === undefined) return this.refuse(edge.noRoute)
    this.session = session
    openSession(session, this.door.pipeline, (answer) => {
      const settings = session.chain.webSocket
      if (answer !== undefined) return this.answer(answer.status, answer.headers, '')
      if (session.refusal !== undefined) return this.refuse(session.refusal)
      if (settings === undefined) return this.refuse(refusals.noWebSocket)
      if (!originAllowed(this.request.headers.origin, settings.origins)) return this.refuse(refusals.origin)
      const reached = (isReachable: boolean): void => {
        if (!isReachable) this.refuse(refusals.unreachable)
        else if (this.socket.destroyed) closeSession(session, this.door.pipeline)
        else complete(session, settings)
      }
      session.destination.upstream.reach(settings).then(reached, () => reached(false))
    })
  }

  private refuse(refusal: Refusal): void {
    if (refusal !== this.session?.refusal) this.door.refusedAtEdge(refusal.why)
    const text = encodeRefusal('null', refusal, this.session?.requestId ?? '')
    this.answer(refusal.status ?? errors[refusal.name].status, { 'Content-Type': 'application/json', ...refusalHeaders(refusal) }, text)
  }

  private answer(status: number, headers: Readonly<Record<string, string>>, body: string): void {
    const all = this.session?.responseHeaders ?? new HeaderList()
    all.setAll({ Connection: 'close', 'Content-Length': String(body.length), ...headers })
    this.socket.once('finish', () => this.socket.destroy())
    this.socket.end(`${headOf(status, all)}${body}`, 'latin1')
    if (this.session !== undefined) closeSession(this.session, this.door.pipeline)
  }
}

const KEY = /^[+/0-9A-Za-z]{22}==$/

function wrongWithRequest(request: IncomingMessage): Refusal | undefined {
  const { headers } = request
  const hasBody = headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
  if (headers.upgrade?.toLowerCase() !== 'websocket' || request.httpVersion !== '1.1' || hasBody) return edge.upgrade
  if (request.headers['sec-websocket-version'] !== '13') return refusals.version
  if (!KEY.test(request.headers['sec-websocket-key'] ?? '')) return refusals.key
  return undefined
}

/** Browsers send an Origin and other clients need not (RFC 6455 section 10.2): without one there is nothing to check. */
function originAllowed(origin: string | undefined, allowed: readonly string[] | undefined): boolean {
  return origin === undefined || allowed === undefined || allowed.includes('*') || allowed.includes(origin)
}
