/**
 * HTTP: one request becomes a session with one frame. Limits and wire only, no policy: which calls may pass is
 * the chain's business. node:http parses (RFC 9112); what it leaves open is closed here.
 */
import { createServer } from 'node:http'
import { encodeRefusal, FrameRun, refusalHeaders } from '../pipeline/frame-run.ts'
import { closeSession, openSession } from '../pipeline/open.ts'
import { errors } from '../jsonrpc/errors.ts'
import { refuse } from '../plugin/outcome.ts'
import { compressed, wantsGzip } from './compress.ts'
import { peerOf, readTarget } from './target.ts'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Document } from '../jsonrpc/encode.ts'
import type { Answer } from '../pipeline/frame-run.ts'
import type { LiveSession } from '../pipeline/session.ts'
import type { HttpAnswer, Refusal } from '../plugin/outcome.ts'
import type { Door } from './door.ts'
import type { TransportLimits } from './limits.ts'

const ALLOW = { Allow: 'POST, OPTIONS' }
const JSON_TYPE = /^application\/(?:json|json-rpc|jsonrequest)\s*(?:;|$)/i

const edge = {
  badTarget: refuse('invalidRequest', 'bad-target', { status: 400, message: 'Bad request target or Host header' }),
  upgrade: refuse('invalidRequest', 'bad-upgrade', {
    status: 400,
    message: 'This is not a WebSocket handshake: send GET with Upgrade: websocket, or POST without Upgrade',
  }),
  method: refuse('invalidRequest', 'http-method', { status: 405, message: 'Send JSON-RPC with POST', headers: ALLOW }),
  noRoute: refuse('invalidRequest', 'no-route', { status: 404, message: 'No such network or path' }),
  mediaType: refuse('invalidRequest', 'content-type', { status: 415, message: 'Content-Type must be application/json' }),
  encoding: refuse('invalidRequest', 'content-encoding', {
    status: 415,
    message: 'Send the body without a Content-Encoding',
    headers: { 'Accept-Encoding': 'identity' },
  }),
} satisfies Record<string, Refusal>

/** A listener that is up. */
export interface HttpListener {
  readonly server: Server
  readonly address: AddressInfo
  /** Takes no more connections; resolves once the last open one has ended. Idle ones are ended at once. */
  drain(): Promise<void>
  /** Cuts what is still open. */
  cut(): void
}

/** Starts to listen. Rejects when the address cannot be listened on. */
export async function startHttp(door: Door, limits: TransportLimits, address: { readonly host: string; readonly port: number }): Promise<HttpListener> {
  const server = createServer(
    {
      maxHeaderSize: limits.maxHeaderBytes,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      connectionsCheckingInterval: 1000,
      noDelay: true,
    },
    (request, response) => receive(request, response, door, limits),
  )
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const status = CLIENT_ERROR_STATUS[error.code ?? ''] ?? '400 Bad Request'
    door.refusedAtEdge(status.slice(0, 3))
    if (socket.writable) socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
    else socket.destroy()
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: address.host === '' ? undefined : address.host, port: address.port }, () => {
      server.off('error', reject)
      resolve()
    })
  })
  return {
    server,
    address: server.address() as AddressInfo,
    drain: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeIdleConnections()
      }),
    cut: () => server.closeAllConnections(),
  }
}

/** What node:http could not read, by its code, as a status line. */
const CLIENT_ERROR_STATUS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

function receive(request: IncomingMessage, response: ServerResponse, door: Door, limits: TransportLimits): void {
  const refusal = edgeRefusal(request)
  const target = refusal === undefined ? readTarget(request) : undefined
  if (target === undefined) return refuseAtEdge(response, refusal ?? edge.badTarget, door)
  const session = door.enter({ scheme: 'http', httpMethod: request.method ?? '', peer: peerOf(request), headers: request.headers, ...target })
  if (session === undefined) return refuseAtEdge(response, edge.noRoute, door)
  new HttpExchange(request, response, session, door, limits).open()
}

function edgeRefusal(request: IncomingMessage): Refusal | undefined {
  if (request.headers.upgrade !== undefined) return edge.upgrade
  if (request.method !== 'POST' && request.method !== 'OPTIONS') return edge.method
  return undefined
}

/** Refuses what never became a session. The body, if any, is left unread and the connection closed. */
function refuseAtEdge(response: ServerResponse, refusal: Refusal, door: Door): void {
  door.refusedAtEdge(refusal.why)
  const text = encodeRefusal('null', refusal, '')
  response.writeHead(refusal.status ?? errors[refusal.name].status, {
    'Content-Type': 'application/json',
    'Content-Length': text.length,
    Connection: 'close',
    ...refusal.headers,
  })
  response.end(text, 'latin1')
}

/** One request and its answer. */
class HttpExchange {
  private readonly request: IncomingMessage
  private readonly response: ServerResponse
  private readonly session: LiveSession
  private readonly door: Door
  private readonly limits: TransportLimits
  private run: FrameRun | undefined
  private isOver = false

  constructor(request: IncomingMessage, response: ServerResponse, session: LiveSession, door: Door, limits: TransportLimits) {
    this.request = request
    this.response = response
    this.session = session
    this.door = door
    this.limits = limits
  }

  open(): void {
    openSession(this.session, this.door.pipeline, (answer) => {
      if (answer !== undefined) return this.respond(answer)
      if (this.request.method !== 'POST') return this.refuse(edge.method)
      const { headers } = this.request
      if (headers['content-type'] !== undefined && !JSON_TYPE.test(headers['content-type'])) return this.refuse(edge.mediaType)
      const encoding = headers['content-encoding']
      if (encoding !== undefined && encoding !== 'identity') return this.refuse(edge.encoding)
      if (Number(headers['content-length']) > this.limits.maxBodyBytes) return this.refuse(this.tooLarge())
      this.read()
    })
  }

  private tooLarge(): Refusal {
    return refuse('invalidRequest', 'body-too-large', {
      status: 413,
      message: `The body is larger than ${this.limits.maxBodyBytes} bytes`,
      limit: this.limits.maxBodyBytes,
    })
  }

  private read(): void {
    let first: Buffer | undefined
    let more: Buffer[] | undefined
    let bytes = 0
    this.request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (this.isOver) return
      if (bytes > this.limits.maxBodyBytes) return this.refuse(this.tooLarge())
      if (first === undefined) first = chunk
      else (more ??= [first]).push(chunk)
    })
    this.request.on('end', () => {
      if (!this.isOver) this.frame(more === undefined ? (first ?? Buffer.alloc(0)) : Buffer.concat(more, bytes))
    })
    this.response.on('close', () => this.gone())
  }

  private frame(bytes: Buffer): void {
    this.run = new FrameRun(this.session, this.session.requestId, bytes.length, this.door.pipeline, (answer) => this.answer(answer))
    this.run.start(bytes)
  }

  /** The connection has closed: after the answer, or because the client went away before it. */
  private gone(): void {
    if (this.isOver) return
    if (this.run === undefined) this.end()
    else this.run.cancel()
  }

  private answer(answer: Answer): void {
    if (!this.isOver && !this.response.destroyed) this.write(answer.status, answer.document, answer.headers)
    this.end()
  }

  /** A bare HTTP answer of a plugin. */
  private respond(answer: HttpAnswer): void {
    this.write(answer.status, undefined, answer.headers)
    this.end()
  }

  /** Refuses before there is a frame: the caller's id is not known. */
  private refuse(refusal: Refusal): void {
    this.door.refusedAtEdge(refusal.why)
    this.response.shouldKeepAlive = false // the body is left unread
    this.write(refusal.status ?? errors[refusal.name].status, encodeRefusal('null', refusal, this.session.requestId), refusalHeaders(refusal))
    this.end()
  }

  private end(): void {
    if (this.isOver) return
    this.isOver = true
    closeSession(this.session, this.door.pipeline)
  }

  private write(status: number, document: Document | undefined, headers: Readonly<Record<string, string>> | undefined): void {
    const { response } = this
    const all: Record<string, string | number> = { ...this.session.responseHeaders, ...headers }
    if (this.door.isDraining()) response.shouldKeepAlive = false
    if (document === undefined) {
      response.writeHead(status, all)
      response.end()
      return
    }
    all['Content-Type'] = 'application/json'
    if (wantsGzip(this.request.headers['accept-encoding'])) {
      all['Vary'] = all['Vary'] === undefined ? 'Accept-Encoding' : `${all['Vary']}, Accept-Encoding`
      if (compressed(document, this.limits.compressOverBytes, status, all, response)) return
    }
    if (typeof document === 'string') {
      all['Content-Length'] = document.length
      response.writeHead(status, all)
      response.end(document, 'latin1')
      return
    }
    let bytes = 0
    for (const piece of document) bytes += piece.length
    all['Content-Length'] = bytes
    response.writeHead(status, all)
    for (const piece of document) response.write(piece, 'latin1')
    response.end()
  }
}
