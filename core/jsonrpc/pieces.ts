/**
 * A document while it arrives. A piece that is all of it is not copied; several are copied together as they come, so that nothing is left
 * to do for the last one, and a body that comes a byte at a time costs no more than its bytes.
 */

/** So many pieces may be of any size; more have to hold so many bytes on average. Each costs a microsecond, whatever it holds. */
const MAX_CRUMBS = 4096
const MIN_PIECE_BYTES = 32

/** The least that is taken for several pieces. */
const LEAST_BYTES = 16_384
/** By how much more is taken than has come: whoever announces much and sends little is believed little. A node is believed more. */
const GROWTH = 4
const LENT_GROWTH = 16
/** The same where nothing was announced. */
const BLIND_GROWTH = 2

const NOTHING = Buffer.alloc(0)

export class Pieces {
  bytes = 0
  /** The first piece, until the next one is pushed; empty where there is none. */
  first: Buffer = NOTHING
  private readonly announcedBytes: number
  private readonly keptLentBytes: number | undefined
  private count = 0
  private room: Buffer = NOTHING

  /**
   * `announcedBytes` is what the document is said to come to, 0 where nobody said. With `keptLentBytes` all pieces are lent, and may
   * change after the push: only a first one that is all that was announced, and no longer, is kept as it is, to be taken before it does.
   */
  constructor(announcedBytes: number, keptLentBytes?: number) {
    this.announcedBytes = announcedBytes
    this.keptLentBytes = keptLentBytes
  }

  /** What is set aside for it. */
  get takenBytes(): number {
    return Math.max(this.first.length, this.room.length)
  }

  /** Takes a piece. */
  push(piece: Buffer): void {
    const at = this.bytes
    this.bytes += piece.length
    const isFirst = this.count++ === 0
    if (isFirst && (this.keptLentBytes === undefined || piece.length >= this.announcedBytes)) {
      this.first = this.mayKeep(piece) ? piece : Buffer.from(piece)
      return
    }
    if (this.room.length < this.bytes) this.grow(at)
    piece.copy(this.room, at)
    if (isFirst) this.first = this.room.subarray(0, piece.length)
  }

  /** Whether it comes in crumbs, as nobody sends a document who wants it to be read. */
  get isCrumbled(): boolean {
    return this.count > MAX_CRUMBS && this.bytes < this.count * MIN_PIECE_BYTES
  }

  /** All of it; nothing is kept. */
  take(): Buffer {
    const all = this.count < 2 ? this.first : this.room.subarray(0, this.bytes)
    this.drop()
    return all
  }

  /** Lets go of all of it. */
  drop(): void {
    this.first = this.room = NOTHING
    this.bytes = this.count = 0
  }

  private mayKeep({ length }: Buffer): boolean {
    const { announcedBytes, keptLentBytes } = this
    return keptLentBytes === undefined || (length === announcedBytes && length <= keptLentBytes)
  }

  private grow(bytesSoFar: number): void {
    const { announcedBytes, bytes } = this
    const isAnnounced = announcedBytes >= bytes
    const growth = this.keptLentBytes === undefined ? GROWTH : LENT_GROWTH
    const size = isAnnounced ? Math.min(announcedBytes, bytes * growth) : Math.max(bytes * BLIND_GROWTH, LEAST_BYTES)
    const room = Buffer.allocUnsafeSlow(size)
    const { room: before, first } = this
    if (before === NOTHING) first.copy(room)
    else {
      before.copy(room, 0, 0, bytesSoFar)
      ;(before.buffer as ArrayBuffer).transfer(0) // given back now: until the collector comes, many megabytes may have gathered
    }
    this.room = room
  }
}
