/** A chunked body (RFC 9112 section 7.1) while it arrives. Extensions and trailers are passed over, but not without end. */

/** A chunk's size line with its extensions, and all trailers together, in bytes. */
const MAX_LINE_BYTES = 1024
const MAX_TRAILER_BYTES = 16 * 1024

const SIZE_LINE = /^([0-9a-f]{1,12})[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?$/i
const TRAILER = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*$/

const LF = 0x0a

export class Chunks {
  /** The last chunk and its trailers have arrived. */
  isOver = false
  private expects: 'size' | 'data' | 'data-end' | 'trailer' = 'size'
  /** Bytes of the chunk that have not arrived. */
  private left = 0
  /** The beginning of a line whose end has not arrived. */
  private line = ''
  private trailerBytes = 0

  /**
   * Takes what has arrived; hands on the data in it. Answers how much of it was the body's: all, but where the body has
   * ended. -1 where it is no chunked body.
   */
  push(bytes: Buffer, take: (data: Buffer) => void): number {
    let at = 0
    while (at < bytes.length && !this.isOver) {
      if (this.expects === 'data') {
        const data = bytes.subarray(at, at + this.left)
        at += data.length
        this.left -= data.length
        if (this.left === 0) this.expects = 'data-end'
        take(data)
        continue
      }
      const end = bytes.indexOf(LF, at)
      const rest = bytes.toString('latin1', at, end === -1 ? bytes.length : end)
      if (this.line.length + rest.length > MAX_LINE_BYTES) return -1
      this.line += rest
      if (end === -1) return bytes.length
      at = end + 1
      if (!this.line.endsWith('\r') || !this.read(this.line.slice(0, -1))) return -1
      this.line = ''
    }
    return at
  }

  /** Takes a line; false where it cannot stand here. */
  private read(line: string): boolean {
    if (this.expects === 'data-end') {
      this.expects = 'size'
      return line === ''
    }
    if (this.expects === 'size') {
      const size = SIZE_LINE.exec(line)
      if (size === null) return false
      this.left = Number.parseInt(size[1]!, 16)
      this.expects = this.left === 0 ? 'trailer' : 'data'
      return true
    }
    this.isOver = line === ''
    this.trailerBytes += line.length
    return this.isOver || (this.trailerBytes <= MAX_TRAILER_BYTES && TRAILER.test(line))
  }
}
