/**
 * Where in a YAML text its values stand, noted while they are read. In columns with a row for each value, in the order of
 * the text: there may be millions, and they cross from one thread to another.
 */
import type { Path } from './problem.ts'

/** The places of a text's values. A value under a key stands where its key does. */
export interface PlaceColumns {
  /** Counted from 1. */
  readonly lines: Int32Array
  /** The row after the last value in it; of an alias the row that it stands for, as `~row`. */
  readonly ends: Int32Array
  /** The number of its key among the words; ITEM for what has none. */
  readonly keys: Int32Array
  readonly words: readonly string[]
}

const ITEM = -1

/** Notes places. Values are begun and ended as they nest. */
export class PlaceNotes {
  private readonly lines: number[] = []
  private readonly ends: number[] = []
  private readonly keys: number[] = []
  private readonly words = new Map<string, number>()

  /** Answers the value's row. */
  begin(line: number, key: string | undefined): number {
    const row = this.lines.length
    this.lines.push(line)
    this.ends.push(row + 1)
    this.keys.push(key === undefined ? ITEM : this.numberOf(key))
    return row
  }

  end(row: number): void {
    this.ends[row] = this.lines.length
  }

  /** What stands in the value of one row stands in that of another. */
  standsFor(row: number, other: number): void {
    this.ends[row] = ~other
  }

  columns(): PlaceColumns {
    return { lines: shared(this.lines), ends: shared(this.ends), keys: shared(this.keys), words: [...this.words.keys()] }
  }

  private numberOf(word: string): number {
    let number = this.words.get(word)
    if (number === undefined) this.words.set(word, (number = this.words.size))
    return number
  }
}

/** In memory that threads share. */
function shared(numbers: readonly number[]): Int32Array {
  const column = new Int32Array(new SharedArrayBuffer(numbers.length * Int32Array.BYTES_PER_ELEMENT))
  column.set(numbers)
  return column
}

type Parts = readonly number[] | ReadonlyMap<string, number>

/** Finds places. */
export class Places {
  private readonly columns: PlaceColumns
  /** Of values that were looked into: the rows of what is in a list, or under the keys of a mapping. */
  private readonly known = new Map<number, Parts>()

  constructor(columns: PlaceColumns) {
    this.columns = columns
  }

  /** The line of a path, or of the deepest part of it that there is. */
  lineOf(path: Path): number {
    let row = 0
    for (const part of path) {
      const next = this.within(row, part)
      if (next === undefined) break
      row = next
    }
    return this.columns.lines[row] ?? 1
  }

  private within(row: number, part: string | number): number | undefined {
    const end = this.columns.ends[row] ?? 0
    const holder = end < 0 ? ~end : row
    let parts = this.known.get(holder)
    if (parts === undefined) this.known.set(holder, (parts = this.partsOf(holder)))
    if (typeof part === 'number') return Array.isArray(parts) ? parts[part] : undefined
    return parts instanceof Map ? parts.get(part) : undefined
  }

  private partsOf(row: number): Parts {
    const { ends, keys, words } = this.columns
    const rows: number[] = []
    for (let next = row + 1; next < ends[row]!; next = ends[next]! < 0 ? next + 1 : ends[next]!) rows.push(next)
    const isList = rows.length === 0 || keys[rows[0]!] === ITEM
    return isList ? rows : new Map(rows.map((row) => [words[keys[row]!]!, row]))
  }
}

/** The lines of a text. */
export class Lines {
  private readonly starts = [0]

  constructor(text: string) {
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at)
      if (code === LF || (code === CR && text.charCodeAt(at + 1) !== LF)) this.starts.push(at + 1)
    }
  }

  /** The line of an offset, counted from 1. */
  at(offset: number): number {
    let low = 0
    let high = this.starts.length
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if (this.starts[middle]! <= offset) low = middle
      else high = middle
    }
    return low + 1
  }
}

const LF = 10
const CR = 13
