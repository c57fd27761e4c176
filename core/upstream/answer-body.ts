/**
 * The body of a node's answer while it arrives: counted, cut at the cap, gzip undone. Chunks are joined once, and not at
 * all when there is only one; of several each is read as it comes, so that none of them, however many there are, holds up
 * the event loop. No other encoding is ever decoded.
 */
import { createGunzip, gunzipSync } from 'node:zlib'
import { Pieces } from '../jsonrpc/pieces.ts'
import { KEEP_BYTES_OVER, ReplyReader } from '../jsonrpc/reply.ts'
import type { Gunzip } from 'node:zlib'
import type { Room } from '../plugin/room.ts'
import type { Why } from './failures.ts'

/**
 * A compressed body up to this size is undone in one go once it is complete, 10 µs where a stream costs 70. It may
 * grow to SMALL_OUTPUT_BYTES (half a millisecond of work); more than that goes through the stream, off this thread.
 */
const SMALL_GZIP_BYTES = 16 * 1024
const SMALL_OUTPUT_BYTES = 256 * 1024

/** Whoever reads a body. */
export interface BodyReader {
  /** The whole of it, undone; and where it came in pieces, what has read them. */
  bodyRead(whole: Buffer, read: ReplyReader | undefined): void
  bodyFailed(why: Why): void
  /** After `push` answered false: go on. */
  bodyDrained(): void
}

export class AnswerBody {
  private readonly reader: BodyReader
  private readonly capBytes: number
  private readonly room: Room
  /** What of it is counted in the room. */
  private heldBytes = 0
  private readonly isGzip: boolean
  private readonly pieces: Pieces
  private gunzip: Gunzip | undefined
  private read: ReplyReader | undefined

  /** `announcedBytes` is what is going to be pushed, 0 where nobody said. */
  constructor(reader: BodyReader, isGzip: boolean, announcedBytes: number, capBytes: number, room: Room) {
    this.reader = reader
    this.room = room
    this.isGzip = isGzip
    this.capBytes = capBytes
    this.pieces = new Pieces(announcedBytes, KEEP_BYTES_OVER)
  }

  /** Takes a chunk as it came, which may be overwritten once it has returned, or has been told that this was all. False asks for a pause. */
  push(chunk: Buffer): boolean {
    if (this.gunzip !== undefined) return this.inflate(chunk)
    if (!this.keep(chunk) || !this.isGzip || this.pieces.bytes <= SMALL_GZIP_BYTES) return true
    return this.inflate(this.take())
  }

  /** The last chunk has been pushed. */
  end(): void {
    if (!this.isGzip) return this.reader.bodyRead(this.take(), this.read)
    if (this.gunzip === undefined) {
      const compressed = this.take()
      const whole = gunzipSmall(compressed)
      if (whole === 'bad-encoding') return this.reader.bodyFailed(whole)
      if (whole !== 'too-large') return whole.length > this.capBytes ? this.reader.bodyFailed('too-large') : this.reader.bodyRead(whole, undefined)
      this.inflate(compressed)
    }
    this.gunzip?.end()
  }

  /** Nobody reads any more. */
  drop(): void {
    this.gunzip?.destroy()
    this.letGo()
  }

  /** Counts and keeps a piece of what is read in the end; false when it is too much. */
  private keep(piece: Buffer): boolean {
    const { pieces, room } = this
    if (pieces.bytes + piece.length > this.capBytes) return this.refuse('too-large')
    if (pieces.bytes > 0 && (!this.isGzip || this.gunzip !== undefined)) this.readOn(piece)
    pieces.push(piece)
    // What is set aside counts: a node may announce much and send little.
    room.count(pieces.takenBytes - this.heldBytes)
    this.heldBytes = pieces.takenBytes
    if (room.isTooFullFor(pieces.bytes)) return this.refuse('no-room')
    return pieces.isCrumbled ? this.refuse('crumbled') : true
  }

  private refuse(why: Why): false {
    this.drop()
    this.reader.bodyFailed(why)
    return false
  }

  /** Reads a piece that is not the first one. */
  private readOn(piece: Buffer): void {
    if (this.read === undefined) {
      this.read = new ReplyReader()
      this.read.push(this.pieces.first)
    }
    this.read.push(piece)
  }

  private take(): Buffer {
    const whole = this.pieces.take()
    if (whole.length > KEEP_BYTES_OVER) this.room.measure(whole) // all of a shorter one becomes text
    this.letGo()
    return whole
  }

  private letGo(): void {
    this.pieces.drop()
    this.room.count(-this.heldBytes)
    this.heldBytes = 0
  }

  /** Hands what is compressed to a stream; from here on what is kept and counted is what comes out of it. False asks for a pause. */
  private inflate(compressed: Buffer): boolean {
    this.gunzip ??= createGunzip({ chunkSize: 64 * 1024 })
      .on('data', (piece: Buffer) => this.keep(piece))
      .on('drain', () => this.reader.bodyDrained())
      .on('end', () => this.reader.bodyRead(this.take(), this.read))
      .on('error', () => this.reader.bodyFailed('bad-encoding'))
    return this.gunzip.write(Buffer.from(compressed))
  }
}

function gunzipSmall(compressed: Buffer): Buffer | 'bad-encoding' | 'too-large' {
  try {
    return gunzipSync(compressed, { chunkSize: 4096, maxOutputLength: SMALL_OUTPUT_BYTES })
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE' ? 'too-large' : 'bad-encoding'
  }
}
