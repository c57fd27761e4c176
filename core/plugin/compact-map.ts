/**
 * A map from short texts to numbers that holds a million of them without an object for any, which the garbage collector
 * would have to look at: some 25 bytes each beside the text. It grows bit by bit, never all of it at once.
 *
 * Whoever chooses the texts cannot make looking one up slow: where it is looked for depends on a secret of the process.
 */
import { randomBytes } from 'node:crypto'

/** Characters of a text; each is below U+0100. */
const LONGEST_TEXT = 256
/** Spread over so many tables, because one that has grown is filled anew: with a million entries that would take 100 ms. */
const PARTS = 256
const FIRST_SLOTS = 8
/** Numbers of a slot: the hash of a text, and one more than the place of its entry. */
const SLOT = 2
/** Of the memory that entries are in, a piece at a time. */
const BLOCK_WORDS = 16_384
const WORD_BYTES = 4
/** Words of an entry before its text: the number, and how many characters the text has. */
const HEAD = 2

const secret = new Int32Array(new Uint8Array(randomBytes(2 * WORD_BYTES)).buffer)
/** The entry that is looked for, its last word filled up with zeros. */
const wanted = new Int32Array(HEAD + LONGEST_TEXT / WORD_BYTES)
const wantedText = new Uint8Array(wanted.buffer, HEAD * WORD_BYTES)
/** Words of it. */
let wantedLength = HEAD

interface Part {
  slots: Int32Array
  used: number
}

export class CompactMap {
  readonly #parts = Array.from<Part | undefined>({ length: PARTS })
  readonly #blocks: Int32Array<ArrayBuffer>[] = []
  /** Where the next entry is placed, in words from the beginning of the first block. */
  #end = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  /** The place of a text's entry; undefined where it has none. */
  find(text: string): number | undefined {
    if (text.length > LONGEST_TEXT) return undefined
    const hash = want(text)
    const slots = this.#parts[hash & (PARTS - 1)]?.slots
    const next = slots === undefined ? 0 : slots[this.#slotOf(slots, hash) + 1]!
    return next === 0 ? undefined : next - 1
  }

  /** Adds an entry, unless the text has one. Answers the place of the one that it has. Throws RangeError when the text is too long. */
  add(text: string, number: number): number {
    if (text.length > LONGEST_TEXT) throw new RangeError(`a text has more than ${LONGEST_TEXT} characters`)
    const hash = want(text)
    const part = (this.#parts[hash & (PARTS - 1)] ??= { slots: new Int32Array(FIRST_SLOTS * SLOT), used: 0 })
    const at = this.#slotOf(part.slots, hash)
    const known = part.slots[at + 1]!
    if (known !== 0) return known - 1
    const place = this.#append(number)
    part.slots[at] = hash
    part.slots[at + 1] = place + 1
    if (++part.used * 2 * SLOT > part.slots.length) part.slots = doubled(part.slots)
    this.#size++
    return place
  }

  /** The text of the entry at a place. */
  textAt(place: number): string {
    const block = this.#blockOf(place)
    const at = place % BLOCK_WORDS
    return Buffer.from(block.buffer, (at + HEAD) * WORD_BYTES, block[at + 1]).toString('latin1')
  }

  /** The number of the entry at a place. */
  numberAt(place: number): number {
    return this.#blockOf(place)[place % BLOCK_WORDS]!
  }

  #blockOf(place: number): Int32Array<ArrayBuffer> {
    return this.#blocks[Math.floor(place / BLOCK_WORDS)]!
  }

  /** Where the wanted entry stands, or the free slot where it would. */
  #slotOf(slots: Int32Array, hash: number): number {
    let at = firstSlot(hash, slots)
    while (slots[at + 1] !== 0 && (slots[at] !== hash || !this.#isWanted(slots[at + 1]! - 1))) at = (at + SLOT) & (slots.length - 1)
    return at
  }

  #isWanted(place: number): boolean {
    const block = this.#blockOf(place)
    const at = place % BLOCK_WORDS
    for (let i = 1; i < wantedLength; i++) if (block[at + i] !== wanted[i]) return false
    return true
  }

  #append(number: number): number {
    const left = -this.#end & (BLOCK_WORDS - 1)
    if (left < wantedLength) {
      this.#end += left
      this.#blocks.push(new Int32Array(BLOCK_WORDS))
    }
    const place = this.#end
    wanted[0] = number
    this.#blockOf(place).set(wanted.subarray(0, wantedLength), place % BLOCK_WORDS)
    this.#end += wantedLength
    return place
  }
}

/** Where a search begins. By other bits of the hash than the part. */
function firstSlot(hash: number, slots: Int32Array): number {
  return ((hash >>> 8) * SLOT) & (slots.length - 1)
}

function doubled(slots: Int32Array): Int32Array {
  const wider = new Int32Array(slots.length * 2)
  for (let from = 0; from < slots.length; from += SLOT) {
    if (slots[from + 1] === 0) continue
    let at = firstSlot(slots[from]!, wider)
    while (wider[at + 1] !== 0) at = (at + SLOT) & (wider.length - 1)
    wider[at] = slots[from]!
    wider[at + 1] = slots[from + 1]!
  }
  return wider
}

/**
 * Makes a text the wanted one. Answers its hash: HalfSipHash-1-3 (Aumasson and Bernstein, SipHash, 2012), made for tables
 * whose keys strangers choose.
 */
function want(text: string): number {
  wantedLength = HEAD + Math.ceil(text.length / WORD_BYTES)
  wanted[wantedLength - 1] = 0
  wanted[1] = text.length
  for (let i = 0; i < text.length; i++) wantedText[i] = text.charCodeAt(i)
  let v0 = secret[0]!
  let v1 = secret[1]!
  let v2 = 0x6c796765 ^ v0
  let v3 = 0x74656462 ^ v1
  // A round for each word, and three to finish.
  for (let i = 1; i < wantedLength + 3; i++) {
    const word = i < wantedLength ? wanted[i]! : 0
    if (i === wantedLength) v2 ^= 0xff
    v3 ^= word
    v0 = (v0 + v1) | 0
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
    v0 = (v0 << 16) | (v0 >>> 16)
    v2 = (v2 + v3) | 0
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
    v0 = (v0 + v3) | 0
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
    v2 = (v2 + v1) | 0
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
    v2 = (v2 << 16) | (v2 >>> 16)
    v0 ^= word
  }
  return v1 ^ v3
}
