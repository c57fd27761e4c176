/**
 * One connection to a node: one request at a time, and the response to it. A node that sends what nobody asked for, or what
 * is not HTTP, is cut off.
 */
import { afterTurn } from '../../plugin/after-turn.ts'
import { Chunks } from './chunks.ts'
import { readHead } from './response-head.ts'
import type { Socket } from 'node:net'
import type { Framing, ResponseHead } from './response-head.ts'

/** The head of a response, in bytes. */
const MAX_HEAD_BYTES = 16 * 1024
/** Responses that only announce another one, for one request. */
const MAX_INTERIM = 10
/** What every response begins with. */
const VERSION = 'HTTP/1.'
const HEAD_END = Buffer.from('\r\n\r\n')

/** Why a request has no response. */
export type NoResponse = 'not-http' | 'connection-lost'

/** Who sent a request, and hears what becomes of it: `head` once, `data` as it comes, then `ended`; or `failed` instead of what is left. */
export interface ResponseReader {
  head(head: ResponseHead): void
  /** The bytes are overwritten afterwards: once it has returned, or `ended` where they are the last. */
  data(bytes: Buffer): void
  ended(): void
  failed(why: NoResponse, code: string | undefined): void
}

/** Whose connection it is. */
export interface ConnectionOwner {
  /** It can take another request. In monotonic milliseconds it is `nowMs`. */
  freed(connection: Connection, nowMs: number): void
  /** Once. */
  lost(connection: Connection): void
}

export class Connection {
  /** When it was last used, in monotonic milliseconds; for the owner. */
  idleSinceMs = 0
  /** When the bytes arrived that its reader is told of, in monotonic milliseconds. */
  readAtMs = 0
  /** For how long the node keeps it idle, where it has said so. */
  keptMs: number | undefined
  private readonly socket: Socket
  private readonly owner: ConnectionOwner
  private reader: ResponseReader | undefined
  /** The beginning of a head whose end has not arrived. */
  private partial: Buffer | undefined
  private response: ResponseHead | undefined
  private chunks: Chunks | undefined
  /** Bytes of a body of known length that have not arrived. */
  private left = 0
  private interim = 0
  private error: NodeJS.ErrnoException | undefined
  private isLost = false

  /** The socket is connected. */
  constructor(socket: Socket, owner: ConnectionOwner) {
    this.socket = socket
    this.owner = owner
    socket.on('end', () => this.ended())
    socket.on('error', (error: NodeJS.ErrnoException) => (this.error = error))
    socket.on('close', () => this.abort())
    socket.resume()
  }

  /** Whether a request can be sent. */
  get isUsable(): boolean {
    return !this.isLost && this.reader === undefined && this.socket.writable && this.socket.readable
  }

  /**
   * Sends a request as a whole, one character per byte. It leaves when all that has arrived in this turn has been worked on:
   * writes that follow each other find the node awake, and waking it is what a write costs most.
   */
  send(request: string, reader: ResponseReader): void {
    this.reader = reader
    this.interim = 0
    afterTurn(() => {
      if (this.reader === reader) this.socket.write(request, 'latin1')
    })
  }

  /** Ends it; the reader hears nothing more. */
  cut(): void {
    this.reader = undefined
    this.abort()
  }

  /** Ends it, whatever is under way. */
  abort(): void {
    if (this.isLost) return
    this.isLost = true
    const { reader } = this
    this.reader = this.partial = undefined
    this.socket.destroy()
    this.owner.lost(this)
    reader?.failed('connection-lost', this.error?.code)
  }

  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  /** Takes what has arrived, which is overwritten afterwards. In monotonic milliseconds it is `nowMs`. */
  received(bytes: Buffer, nowMs: number): void {
    this.readAtMs = nowMs
    let rest: Buffer | undefined = bytes
    while (rest !== undefined && rest.length > 0) {
      if (this.reader === undefined) return this.abort() // nobody asked
      rest = this.response === undefined ? this.takeHead(rest) : this.takeBody(this.response.framing, rest)
    }
  }

  /** Answers what follows the head, undefined where its end has not arrived. */
  private takeHead(bytes: Buffer): Buffer | undefined {
    const { partial } = this
    const all = partial === undefined ? bytes : Buffer.concat([partial, bytes])
    const end = all.indexOf(HEAD_END, partial === undefined ? 0 : Math.max(0, partial.length - HEAD_END.length))
    if (end === -1) return this.keepPartial(all)
    this.partial = undefined
    if (end > MAX_HEAD_BYTES) return this.fail('not-http')
    const head = readHead(all.toString('latin1', 0, end + 2))
    if (head === undefined || head.status === 101 || (head.status < 200 && ++this.interim > MAX_INTERIM)) return this.fail('not-http')
    const rest = all.subarray(end + HEAD_END.length)
    if (head.status >= 200) this.begin(head, rest.length > 0)
    return rest
  }

  private keepPartial(bytes: Buffer): undefined {
    if (bytes.length > MAX_HEAD_BYTES) return this.fail('not-http')
    if (!VERSION.startsWith(bytes.toString('latin1', 0, VERSION.length))) return this.fail('not-http') // without waiting for more of it
    this.partial = this.partial === undefined ? Buffer.from(bytes) : bytes
    return undefined
  }

  private begin(head: ResponseHead, hasMore: boolean): void {
    this.response = head
    this.keptMs = head.keptMs ?? this.keptMs
    this.left = typeof head.framing === 'number' ? head.framing : 0
    this.chunks = head.framing === 'chunked' ? new Chunks() : undefined
    this.reader!.head(head)
    if (head.framing === 0) this.complete(hasMore)
  }

  /** Answers what follows the body. */
  private takeBody(framing: Framing, bytes: Buffer): Buffer | undefined {
    if (this.chunks !== undefined) return this.takeChunks(this.chunks, bytes)
    if (framing === 'until-close') {
      this.reader!.data(bytes)
      return undefined
    }
    const part = bytes.length <= this.left ? bytes : bytes.subarray(0, this.left)
    this.left -= part.length
    this.reader!.data(part)
    if (this.left === 0) this.complete(part.length < bytes.length)
    return part.length === bytes.length ? undefined : bytes.subarray(part.length)
  }

  private takeChunks(chunks: Chunks, bytes: Buffer): Buffer | undefined {
    const used = chunks.push(bytes, (data) => this.reader?.data(data))
    if (used === -1) return this.fail('not-http')
    if (chunks.isOver) this.complete(used < bytes.length)
    return bytes.subarray(used)
  }

  /** The response is whole. Its reader may have gone meanwhile. What follows it was not asked for: then no request follows. */
  private complete(hasMore: boolean): void {
    const { reader, response } = this
    if (reader === undefined) return
    this.reader = this.response = this.chunks = undefined
    if (this.socket.isPaused()) this.socket.resume()
    if (response!.isKept && !hasMore && this.socket.writable) this.owner.freed(this, this.readAtMs)
    else this.abort()
    reader.ended()
  }

  /** The node will send no more. */
  private ended(): void {
    if (this.response?.framing === 'until-close') this.complete(false)
    else this.abort()
  }

  private fail(why: NoResponse): undefined {
    const { reader } = this
    this.reader = undefined
    this.abort()
    reader?.failed(why, undefined)
  }
}
