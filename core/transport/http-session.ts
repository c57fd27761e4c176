/**
 * One HTTP request: a session with one frame. Its body is read up to the limit, its answer is written in one go, and a
 * client that does not take the answer is cut off.
 */
import { encodeRefusal, refusalHeaders } from '../pipeline/answer.ts'
import { FrameRun } from '../pipeline/frame-run.ts'
import { NO_ROOM } from '../pipeline/hold-answers.ts'
import { closeSession, openSession } from '../pipeline/open.ts'
import { documentBytes, piecesOf } from '../jsonrpc/encode.ts'
import { errors } from '../jsonrpc/errors.ts'
import { Pieces } from '../jsonrpc/pieces.ts'
import { afterTurn } from '../plugin/after-turn.ts'
import { refuse } from '../plugin/outcome.ts'
import { writeLastingHead } from './answer-head.ts'
import { compressed, wantsGzip } from './compress.ts'
import { edge } from './edge.ts'
import { endLingering } from './linger.ts'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Document } from '../jsonrpc/encode.ts'
import type { Answer } from '../pipeline/answer.ts'
import type { LiveSession } from '../pipeline/session.ts'
import type { HttpAnswer, Refusal } from '../plugin/outcome.ts'
import type { Connection } from './connections.ts'
import type { Door } from './door.ts'
import type { BodyTaker, HttpRequest } from './http-request.ts'
import type { TransportLimits } from './limits.ts'

const JSON_TYPE = /^application\/(?:json|json-rpc|jsonrequest)\s*(?:;|$)/i

/** An answer with one of these has no body, whatever a plugin says (RFC 9110 section 15): node:http leaves it out. */
const BODILESS = new Set([204, 304])

/** What a client has to take of an answer in a second, beside the write timeout. */
const MIN_READ_BYTES_PER_S = 65_536

export class HttpSession implements BodyTaker {
  private readonly request: HttpRequest
  private readonly response: ServerResponse
  private readonly connection: Connection
  private readonly session: LiveSession
  private readonly door: Door
  private readonly limits: TransportLimits
  private run: FrameRun | undefined
  /** The body while it arrives, and until its frame counts its own. */
  private readonly body: Pieces
  /** What is held of it. */
  private bodyBytes = 0
  /** The answer, until the client has it. */
  private document: Document | undefined
  private isOpening = true
  private isOver = false
  /** Runs while the client takes its answer. */
  private writing: NodeJS.Timeout | undefined

  constructor(request: HttpRequest, response: ServerResponse, connection: Connection, session: LiveSession, door: Door, limits: TransportLimits) {
    this.request = request
    this.response = response
    this.connection = connection
    this.session = session
    this.door = door
    this.limits = limits
    this.body = new Pieces(Number(request.headers['content-length'] ?? 0))
  }

  get hasArrived(): boolean {
    return this.request.complete
  }

  open(): void {
    this.response.on('close', () => this.closed())
    openSession(this.session, this.door.pipeline, (answer) => {
      this.isOpening = false
      if (this.response.destroyed) return this.end()
      if (answer !== undefined) return this.respond(answer)
      const refusal = this.wrongWithBody()
      if (refusal !== undefined) this.refuse(refusal)
      else this.read()
    })
  }

  /** What keeps the body from being read, as far as the head tells. */
  private wrongWithBody(): Refusal | undefined {
    const { headers, method } = this.request
    if (method !== 'POST') return edge.method
    const type = headers['content-type']
    if (type !== undefined && !JSON_TYPE.test(type)) return edge.mediaType
    const encoding = headers['content-encoding']
    if (encoding !== undefined && encoding.toLowerCase() !== 'identity') return edge.encoding
    if (Number(headers['content-length']) > this.limits.maxBodyBytes) return this.tooLarge()
    // A client that asks first need not send a body that would only tell the id to refuse.
    return headers.expect === undefined ? undefined : this.session.refusal
  }

  private tooLarge(): Refusal {
    return refuse('invalidRequest', 'body-too-large', {
      status: 413,
      message: `The body is larger than ${this.limits.maxBodyBytes} bytes`,
      limit: this.limits.maxBodyBytes,
    })
  }

  private read(): void {
    if (!this.hasArrived) this.connection.arriving = this // else another one may be arriving behind it
    this.request.deliverTo(this)
    if (this.request.headers.expect !== undefined && this.request.httpVersion === '1.1') this.response.writeContinue()
  }

  took(chunk: Buffer): void {
    if (this.isOver) return
    const { body } = this
    const { room } = this.door.pipeline.load
    body.push(chunk)
    this.bodyBytes += chunk.length
    room.count(chunk.length)
    if (body.bytes > this.limits.maxBodyBytes) return this.refuse(this.tooLarge())
    if (body.isCrumbled) return this.refuse(edge.crumbled)
    if (room.isTooFullFor(this.bodyBytes)) return this.refuse(NO_ROOM)
  }

  tookAll(): void {
    if (this.isOver) return
    if (this.connection.arriving === this) this.connection.arriving = undefined
    this.connection.work(() => this.frame())
  }

  private dropBody(): void {
    this.body.drop()
    this.door.pipeline.load.room.count(-this.bodyBytes)
    this.bodyBytes = 0
  }

  /** Holds the answer until the client has it. */
  private hold(document: Document): void {
    this.document = document
    for (const piece of piecesOf(document)) this.door.pipeline.load.room.hold(piece)
  }

  private dropAnswer(): void {
    if (this.document === undefined) return
    for (const piece of piecesOf(this.document)) this.door.pipeline.load.room.letGo(piece)
    this.document = undefined
  }

  private frame(): void {
    if (this.isOver) return
    const bytes = this.body.take()
    this.dropBody()
    this.run = new FrameRun(this.session, this.session.requestId, bytes.length, this.door.pipeline, (answer) => this.answer(answer))
    this.run.start(bytes)
  }

  /** The answer has left, or the client went away before it. */
  private closed(): void {
    clearTimeout(this.writing)
    this.dropBody()
    this.dropAnswer()
    this.connection.answered()
    if (this.connection.arriving === this) this.connection.arriving = undefined
    if (this.isOver || this.isOpening) return // what is still being opened closes once it is open
    if (this.run === undefined) this.end()
    else this.run.cancel()
  }

  /** The answer leaves with those of the other requests of this turn: writes that follow each other cost a third less. */
  private answer({ status, document, headers }: Answer): void {
    if (document !== undefined && !this.response.destroyed) this.hold(document)
    afterTurn(() => {
      if (!this.isOver && !this.response.destroyed) this.write(status, document, headers)
      this.end()
    })
  }

  /** A bare HTTP answer of a plugin. */
  private respond(answer: HttpAnswer): void {
    this.write(answer.status, undefined, answer.headers)
    this.end()
  }

  /** Refuses before there is a frame: the caller's id is not known, the body is left unread, the connection ends. */
  private refuse(refusal: Refusal): void {
    this.door.refusedAtEdge(refusal.why)
    if (refusal === edge.crumbled) return this.interrupted(refusal) // more of it would only cost more
    this.dropBody()
    const text = this.writeLastHead(refusal)
    endLingering(this.request, this.response, this.connection, text)
    this.end()
  }

  interrupted(refusal: Refusal): void {
    this.dropBody()
    this.response.end(this.writeLastHead(refusal), 'latin1')
    this.end()
  }

  /** Writes the head of the connection's last answer, and returns its body. */
  private writeLastHead(refusal: Refusal): string {
    const { response, session } = this
    const text = encodeRefusal('null', refusal, session.requestId)
    const headers = session.responseHeaders
    headers.setAll(refusalHeaders(refusal))
    headers.set('Content-Type', 'application/json')
    headers.set('Content-Length', text.length)
    this.connection.isEnding = true
    response.shouldKeepAlive = false
    response.writeHead(refusal.status ?? errors[refusal.name].status, headers.flat)
    return text
  }

  private end(): void {
    if (this.isOver) return
    this.isOver = true
    closeSession(this.session, this.door.pipeline)
  }

  private write(status: number, document: Document | undefined, headers: Readonly<Record<string, string>> | undefined): void {
    const { response, connection } = this
    const all = this.session.responseHeaders
    all.setAll(headers)
    if (this.door.isDraining() && connection.newest === response) {
      connection.isEnding = true
      response.shouldKeepAlive = false
    }
    const isLasting = response.shouldKeepAlive && this.request.httpVersion === '1.1'
    if (isLasting) all.set('Keep-Alive', connection.keepAlive)
    if (document === undefined) {
      response.writeHead(status, all.flat)
      response.end()
      return
    }
    all.set('Content-Type', 'application/json')
    if (wantsGzip(this.request.headers['accept-encoding'])) {
      const vary = all.get('Vary')
      all.set('Vary', vary === undefined ? 'Accept-Encoding' : `${vary}, Accept-Encoding`)
      if (compressed(document, this.limits.compressOverBytes, status, all, response)) return this.limitWriting(documentBytes(document))
    }
    all.set('Content-Length', documentBytes(document))
    if (isLasting && !BODILESS.has(status)) writeLastingHead(response, status, all)
    else response.writeHead(status, all.flat)
    if (typeof document === 'string') response.end(document, 'latin1')
    else {
      for (const piece of document) response.write(piece, 'latin1')
      response.end()
    }
    if (response.writableLength > 0) this.limitWriting(documentBytes(document))
  }

  /** Cuts the connection when the client takes nothing of the answer for a while, or not all of it in time. */
  private limitWriting(bytes: number): void {
    const { writeTimeoutMs } = this.limits
    this.response.setTimeout(writeTimeoutMs) // without progress; begins once the answers before it have left
    const cut = (): void => {
      const { socket } = this.response
      if (socket === null) this.limitWriting(bytes)
      else cutUnread(socket, this.door)
    }
    this.writing = setTimeout(cut, writeTimeoutMs + (bytes / MIN_READ_BYTES_PER_S) * 1000)
  }
}

/** Cuts off a client that does not take its answer. */
export function cutUnread(socket: Socket, door: Door): void {
  door.refusedAtEdge('not-read')
  socket.destroy()
}
