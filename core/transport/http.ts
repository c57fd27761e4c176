/**
 * HTTP: one request becomes a session with one frame. Limits and wire only, no policy: which calls may pass is
 * the chain's business. node:http parses (RFC 9112); what it leaves open is closed here.
 */
import { encodeRefusal, refusalHeaders } from '../pipeline/answer.ts'
import { errors } from '../jsonrpc/errors.ts'
import { Connections, MAX_PIPELINED } from './connections.ts'
import { edge, wrongWithHead } from './edge.ts'
import { HttpRequest } from './http-request.ts'
import { HttpSession, cutUnread } from './http-session.ts'
import { endLingering } from './linger.ts'
import { createServer } from './node-http.ts'
import { peerOf, readTarget } from './target.ts'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Refusal } from '../plugin/outcome.ts'
import type { Connection } from './connections.ts'
import type { Door } from './door.ts'
import type { TransportLimits } from './limits.ts'

/** Requests that are late are looked for this often, or four times within the shortest timeout. */
const LOOK_EVERY_MS = 1000

/** A listener that is up. */
export interface HttpListener {
  readonly server: Server
  readonly address: AddressInfo
  /** Takes no more connections; resolves once the last open one has ended. Idle ones are ended at once. */
  drain(): Promise<void>
  /** Cuts what is still open. */
  cut(): void
}

/** Where to listen, and which addresses are proxies that carry the connections of many. */
export interface ListenOptions {
  readonly host: string
  readonly port: number
  readonly trustedProxies: readonly string[]
  /** Whether other processes listen there too, each on a socket of its own (SO_REUSEPORT). */
  readonly reusePort?: boolean
}

/** Starts to listen. Rejects when the address cannot be listened on. */
export async function startHttp(door: Door, limits: TransportLimits, { host, port, trustedProxies, reusePort = false }: ListenOptions): Promise<HttpListener> {
  const connections = new Connections(limits, trustedProxies, door)
  const server = createServer({
    IncomingMessage: HttpRequest,
    maxHeaderSize: limits.maxHeaderBytes,
    headersTimeout: Math.min(limits.headersTimeoutMs, limits.requestTimeoutMs),
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: 0, // Connections ends those that are idle
    connectionsCheckingInterval: Math.min(LOOK_EVERY_MS, Math.ceil(Math.min(limits.headersTimeoutMs, limits.requestTimeoutMs) / 4)),
    joinDuplicateHeaders: true, // so that they are noticed
    requireHostHeader: false, // so that what is wrong with a request is told in one place
    noDelay: true,
    shouldUpgradeCallback: (request) => mayBecomeWebSocket(request, connections, limits),
  })
  server.maxHeadersCount = limits.maxHeaders + 1 // one more, so that what is dropped is noticed
  server.maxConnections = limits.maxConnections
  const serve = (request: HttpRequest, response: ServerResponse): void => receive(request, response, connections.of(request.socket), door, limits)
  server.on('request', serve)
  server.on('checkContinue', serve)
  server.on('checkExpectation', serve)
  server.on('connection', (socket) => connections.admit(socket))
  server.on('drop', () => door.refusedAtEdge('too-many-sockets'))
  server.on('connect', (_request, socket) => {
    door.refusedAtEdge(edge.method.why)
    connections.of(socket).endWith(edge.method)
  })
  server.on('timeout', (socket) => timedOut(socket, door))
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => unreadable(error, connections.of(socket), socket as Socket, door))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: host === '' ? undefined : host, port, reusePort }, () => {
      server.off('error', reject)
      server.on('error', (error) => cannotAccept(error, door))
      resolve()
    })
  })
  return {
    server,
    address: server.address() as AddressInfo,
    drain: () =>
      new Promise((resolve) => {
        // Node looks for late requests no more once it has stopped listening.
        const late = setTimeout(() => connections.cutSilent(), limits.headersTimeoutMs)
        server.close(() => {
          clearTimeout(late)
          resolve()
        })
        server.closeIdleConnections()
      }),
    cut: () => server.closeAllConnections(),
  }
}

/** What may not is refused as any request is. An upgrade while answers are under way would write into the middle of them. */
function mayBecomeWebSocket(request: IncomingMessage, connections: Connections, { maxHeaders }: TransportLimits): boolean {
  const connection = connections.of(request.socket)
  connection.isUpgraded = request.method === 'GET' && connection.pending === 0 && wrongWithHead(request, maxHeaders) === undefined
  return connection.isUpgraded
}

/** Nothing has moved on a connection for as long as a client may leave its answer unread. */
function timedOut(socket: Socket, door: Door): void {
  if (socket.writableLength > 0) cutUnread(socket, door)
}

/** Out of file descriptors: a connection that was asked for is lost, and the others go on. */
function cannotAccept(error: Error, door: Door): void {
  door.refusedAtEdge('accept-failed')
  if (door.pipeline.log.isEnabled('debug')) door.pipeline.log.debug({ err: error }, 'a connection could not be accepted')
}

/** Refuses what node:http could not read, as far as somebody is there to be told. */
function unreadable(error: NodeJS.ErrnoException, connection: Connection, socket: Socket, door: Door): void {
  const { code = '' } = error
  if (code === 'HPE_CLOSED_CONNECTION') return // what follows a last request is not read
  const refusal = UNREADABLE[code] ?? (code.startsWith('HPE_') ? edge.badHttp : undefined)
  if (refusal === undefined) return void socket.destroy()
  if (!connection.isEnding) door.refusedAtEdge(refusal.why)
  connection.endWith(refusal)
}

/** What has a refusal of its own, by node:http's code. */
const UNREADABLE: Readonly<Record<string, Refusal>> = {
  HPE_HEADER_OVERFLOW: edge.headers,
  ERR_HTTP_REQUEST_TIMEOUT: edge.tooSlow,
}

function receive(request: HttpRequest, response: ServerResponse, connection: Connection, door: Door, limits: TransportLimits): void {
  if (connection.isEnding) return
  connection.pending++
  connection.newest = response
  const refusal = wrongWithHead(request, limits.maxHeaders) ?? wrongWithRequest(request, connection) ?? shortOfMemory(door)
  const target = refusal === undefined ? readTarget(request) : undefined
  if (target === undefined) return refuseAtEdge(request, response, connection, refusal ?? edge.badTarget, door)
  const { host, path, query } = target
  const session = door.enter({ scheme: 'http', httpMethod: request.method ?? '', peer: peerOf(request), host, path, query, headers: request.headers })
  if (session === undefined) return refuseAtEdge(request, response, connection, edge.noRoute, door)
  new HttpSession(request, response, connection, session, door, limits).open()
}

function wrongWithRequest(request: IncomingMessage, connection: Connection): Refusal | undefined {
  const { upgrade } = request.headers
  if (upgrade !== undefined) return upgrade.toLowerCase() === 'websocket' && request.method !== 'GET' ? edge.handshake : edge.upgrade
  if (request.method !== 'POST' && request.method !== 'OPTIONS') return edge.method
  return connection.pending > MAX_PIPELINED ? edge.pipelined : undefined
}

/** While there is too little memory no body is read. Of any other shortage the caller is told with the id. */
function shortOfMemory({ pipeline: { load } }: Door): Refusal | undefined {
  return load.refusal?.why === 'event-loop' ? undefined : load.refusal
}

/** Refuses what never became a session, and ends its connection. */
function refuseAtEdge(request: HttpRequest, response: ServerResponse, connection: Connection, refusal: Refusal, door: Door): void {
  door.refusedAtEdge(refusal.why)
  response.on('close', () => connection.answered())
  const text = encodeRefusal('null', refusal, '')
  response.writeHead(refusal.status ?? errors[refusal.name].status, {
    'Content-Type': 'application/json',
    'Content-Length': text.length,
    Connection: 'close',
    ...refusalHeaders(refusal),
  })
  endLingering(request, response, connection, text)
}
