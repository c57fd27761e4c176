/**
 * A document while it arrives. Pieces are joined once, and not at all when there is only one; small ones are copied
 * together, because a buffer costs some hundred bytes, and a body may come a byte at a time.
 */

/** Smaller pieces are copied. */
const SMALL_BYTES = 4096
/** Copies share blocks of this size. */
const BLOCK_BYTES = 16_384
/** So many pieces may be of any size; more have to hold so many bytes on average. Each costs a microsecond, whatever it holds. */
const MAX_CRUMBS = 4096
const MIN_PIECE_BYTES = 32

const NOTHING = Buffer.alloc(0)

export class Pieces {
  bytes = 0
  private count = 0
  /** The first piece, as it came. */
  private first: Buffer = NOTHING
  private more: Heap | undefined

  /** Takes a piece. Its bytes must not change afterwards. */
  push(piece: Buffer): void {
    this.bytes += piece.length
    if (this.count++ === 0) this.first = piece
    else (this.more ??= new Heap(this.first)).push(piece)
  }

  /** Whether it comes in crumbs, as nobody sends a document who wants it to be read. */
  get isCrumbled(): boolean {
    return this.count > MAX_CRUMBS && this.bytes < this.count * MIN_PIECE_BYTES
  }

  /** All of it; nothing is kept. */
  take(): Buffer {
    const all = this.more === undefined ? this.first : this.more.join(this.bytes)
    this.drop()
    return all
  }

  /** Lets go of all of it. */
  drop(): void {
    this.first = NOTHING
    this.more = undefined
    this.bytes = this.count = 0
  }
}

/** Pieces in order, the small ones copied into blocks. */
class Heap {
  private readonly whole: Buffer[]
  private block: Buffer = NOTHING
  /** What of the block is taken, and from where on it is not yet among `whole`. */
  private used = 0
  private from = 0

  constructor(first: Buffer) {
    this.whole = [first]
  }

  push(piece: Buffer): void {
    if (piece.length >= SMALL_BYTES) {
      this.seal()
      this.whole.push(piece)
      return
    }
    if (this.block.length - this.used < piece.length) {
      this.seal()
      this.block = Buffer.allocUnsafeSlow(BLOCK_BYTES)
      this.used = this.from = 0
    }
    piece.copy(this.block, this.used)
    this.used += piece.length
  }

  join(bytes: number): Buffer {
    this.seal()
    return Buffer.concat(this.whole, bytes)
  }

  private seal(): void {
    if (this.used > this.from) this.whole.push(this.block.subarray(this.from, this.used))
    this.from = this.used
  }
}
