/**
 * What goes down one WebSocket, in order and bounded. Answers and notifications share the socket; what a slow reader
 * leaves unread is bounded by closing the socket, or by dropping the oldest notifications, as the operator chose. What
 * all readers leave unread is bounded as well: those who are far behind give way to those who are a little late.
 */
import { WebSocket } from 'ws'
import { documentBytes, piecesOf } from '../jsonrpc/encode.ts'
import { afterTurn } from '../plugin/after-turn.ts'
import type { Duplex } from 'node:stream'
import type { Document } from '../jsonrpc/encode.ts'
import type { Load } from '../pipeline/ports.ts'
import type { WebSocketSettings } from '../plugin/define.ts'

/** Notifications wait here rather than in the socket once the socket holds this much: what the socket holds cannot be dropped. */
const KEEP_IN_SOCKET_BYTES = 262_144

/** Part of the backlog that is left to readers for whom nothing waits but what their socket holds. */
const FOR_THE_BRISK = 1 / 4

/** A final frame of text (RFC 6455 section 5.2). */
const FINAL_TEXT = 0x81
/** Lengths up to this stand in the second byte; up to the next in two more bytes. */
const SHORT = 125
const MEDIUM = 65_535

type Held = readonly [message: Document, bytes: number]

/** What a reader who is too slow is told: that it is, where what its socket holds may wait for it, or nothing more. */
export type TooSlow = 'close' | 'cut'

export class Outbox {
  private readonly socket: WebSocket
  /** Whether messages travel as they are: no extension was agreed on. */
  private readonly isPlain: boolean
  private readonly settings: WebSocketSettings
  private readonly load: Pick<Load, 'room' | 'backlog'>
  private readonly tooSlow: (end: TooSlow) => void
  private held: Held[] = []
  private heldBytes = 0
  /** Large answers in the socket, which have their room as those over HTTP do, and their bytes. */
  private readonly large = new Set<Document>()
  private largeBytes = 0
  /** All else that waits: what of it is counted in the backlog. */
  private backlogBytes = 0
  private isCorked = false
  private isClosed = false
  private readonly writeTimeoutMs: number
  /** Runs while something waits. */
  private watch: NodeJS.Timeout | undefined
  /** Something has left since the watch began. */
  private hasMoved = false

  /** `tooSlow` is called when too much waits, and when none of what waits has left for `writeTimeoutMs`, at the latest after twice that. */
  constructor(socket: WebSocket, settings: WebSocketSettings, writeTimeoutMs: number, load: Pick<Load, 'room' | 'backlog'>, tooSlow: (end: TooSlow) => void) {
    this.socket = socket
    this.isPlain = socket.extensions === ''
    this.writeTimeoutMs = writeTimeoutMs
    this.load = load
    this.settings = settings
    this.tooSlow = tooSlow
  }

  /** Sends an answer. Answers are never dropped; whoever was too slow before gets no more of them. */
  answer(document: Document): void {
    const waiting = this.waitingBytes
    if (typeof document === 'string') this.send(document, this.written)
    else this.sendLarge(document)
    if (waiting > this.settings.maxBufferedBytes || (waiting > KEEP_IN_SOCKET_BYTES && this.isCrowded)) this.tooSlow('close')
  }

  /** Sends a notification; answers how many had to be dropped for it. */
  notification(message: Document, bytes: number): number {
    if (this.held.length === 0 && this.socket.bufferedAmount <= KEEP_IN_SOCKET_BYTES) {
      this.send(message, this.written)
      return 0
    }
    this.held.push([message, bytes])
    this.heldBytes += bytes
    this.count()
    if (this.settings.slowConsumer === 'drop-oldest') return this.dropOldest()
    if (this.waitingBytes > this.settings.maxBufferedBytes || this.isCrowded) this.tooSlow('close')
    return 0
  }

  /** Nothing more is sent; answers how many notifications waited. */
  dropHeld(): number {
    const dropped = this.held.length
    this.held = []
    this.heldBytes = 0
    this.count()
    return dropped
  }

  /** The socket has closed: nothing waits any more. */
  close(): void {
    this.isClosed = true
    clearTimeout(this.watch)
    for (const document of this.large) this.letGo(document)
    this.held = []
    this.load.backlog.count(-this.backlogBytes)
    this.backlogBytes = 0
  }

  /** What waits for the reader, but for a large answer of which it is taking its part. */
  private get waitingBytes(): number {
    const bytes = this.socket.bufferedAmount + this.heldBytes
    if (this.large.size === 0) return bytes
    const [first] = this.large
    return bytes - documentBytes(first!)
  }

  /** Whether so much waits for all readers that only those who are hardly late may have more of it. */
  private get isCrowded(): boolean {
    const { backlog } = this.load
    return !backlog.fits(backlog.maxBytes * FOR_THE_BRISK)
  }

  /** Counts what waits, in the socket and before it. */
  private count(): void {
    if (this.isClosed) return
    const bytes = Math.max(0, this.socket.bufferedAmount - this.largeBytes) + this.heldBytes
    this.load.backlog.count(bytes - this.backlogBytes)
    this.backlogBytes = bytes
    if (this.waits && this.watch === undefined) this.beginWatch()
  }

  private get waits(): boolean {
    return this.backlogBytes > 0 || this.large.size > 0
  }

  /** One timer for as long as something waits, rather than one for each message. */
  private beginWatch(): void {
    this.hasMoved = false
    this.watch = setTimeout(() => {
      this.watch = undefined
      if (!this.waits) return
      if (this.hasMoved) this.beginWatch()
      else this.tooSlow('close')
    }, this.writeTimeoutMs).unref()
  }

  private dropOldest(): number {
    let dropped = 0
    while (this.held.length > 1 ? this.waitingBytes > this.settings.maxBufferedBytes || this.isCrowded : this.held.length > 0 && this.isCrowded) {
      this.heldBytes -= this.held.shift()![1]
      dropped++
      this.count()
    }
    return dropped
  }

  /** Sends what waits, as far as the socket has room. */
  private flush(): void {
    let sent = 0
    while (sent < this.held.length && this.socket.bufferedAmount <= KEEP_IN_SOCKET_BYTES) {
      const [message, bytes] = this.held[sent++]!
      this.heldBytes -= bytes
      this.send(message, this.written)
    }
    if (sent > 0) this.held.splice(0, sent)
  }

  /** What is large is counted from here on until it has left, or until the socket has closed. */
  private sendLarge(document: Document): void {
    this.large.add(document)
    for (const piece of piecesOf(document)) {
      this.load.room.hold(piece)
      this.largeBytes += piece.length
    }
    this.send(document, () => {
      this.letGo(document)
      this.written()
    })
  }

  private letGo(document: Document): void {
    if (!this.large.delete(document)) return
    for (const piece of piecesOf(document)) {
      this.load.room.letGo(piece)
      this.largeBytes -= piece.length
    }
  }

  private send(document: Document, written: () => void): void {
    this.cork()
    if (typeof document === 'string') this.sendText(document, written)
    else {
      const last = document.length - 1
      for (const [at, piece] of document.entries()) {
        const bytes = typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece
        this.socket.send(bytes, { binary: false, fin: at === last }, at === last ? written : undefined)
      }
    }
    if (this.socket.bufferedAmount > KEEP_IN_SOCKET_BYTES) this.uncork()
  }

  /** One string, frame and all: ws would make two buffers and two writes of it, which cost 5 µs more. */
  private sendText(text: string, written: () => void): void {
    const { wire } = this
    if (!this.isPlain || wire === undefined || this.socket.readyState !== WebSocket.OPEN || text.length > MEDIUM)
      this.socket.send(Buffer.from(text, 'latin1'), TEXT, written)
    else wire.write(`${frameHead(text.length)}${text}`, 'latin1', written)
  }

  private readonly written = (): void => {
    this.hasMoved = true
    if (this.held.length > 0) this.flush()
    if (this.waits) this.count()
  }

  /** All that is sent in one tick goes out in one system call, unless it is much. */
  private cork(): void {
    const { wire } = this
    if (this.isCorked || wire === undefined) return
    this.isCorked = true
    wire.cork()
    afterTurn(() => this.uncork())
  }

  /** What the system does not take now waits for the reader: from here on it counts. */
  private uncork(): void {
    if (!this.isCorked) return
    this.isCorked = false
    this.wire?.uncork()
    this.count()
    if (this.backlogBytes > 0 && this.load.backlog.isOverfull) this.tooSlow('cut')
  }

  private get wire(): Duplex | undefined {
    // @ts-expect-error -- ws keeps its socket to itself; without it every message is a system call of its own
    return this.socket._socket as Duplex | undefined
  }
}

/** What stands before a message of so many bytes, one character a byte. */
function frameHead(bytes: number): string {
  return bytes <= SHORT ? String.fromCharCode(FINAL_TEXT, bytes) : String.fromCharCode(FINAL_TEXT, 126, bytes >> 8, bytes & 0xff)
}

const TEXT = { binary: false }
