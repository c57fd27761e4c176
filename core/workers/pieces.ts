/** The large files of a configuration cross from process to process in pieces, so that neither process stands still for them. */
import type { Content, FileContent } from '../config/snapshot.ts'

/** What crosses at once: some 2 ms of each process. */
const PIECE_BYTES = 1024 * 1024
const NOTHING = new Uint8Array()

/** A part of what a file holds. */
export interface Piece {
  /** The file's digest. */
  readonly of: string
  /** Bytes of the whole. */
  readonly length: number
  /** Where the part begins. */
  readonly at: number
  readonly bytes: Uint8Array
}

/** Takes a content apart: what is large of it, and the rest. */
export function takeApart(content: Content): { readonly pieces: Iterable<Piece>; readonly rest: Content } {
  const large = [...content.files.values()].filter(({ bytes }) => bytes.length > PIECE_BYTES)
  const small = ([path, file]: readonly [string, FileContent]) => [path, large.includes(file) ? { ...file, bytes: NOTHING } : file] as const
  return { pieces: piecesOf(large), rest: { ...content, files: new Map(Array.from(content.files, small)) } }
}

function* piecesOf(files: readonly FileContent[]): Generator<Piece> {
  for (const { digest, bytes } of files) {
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield { of: digest, length: bytes.length, at, bytes: bytes.subarray(at, at + PIECE_BYTES) }
  }
}

/** Puts a content together. */
export class Pieces {
  readonly #files = new Map<string, Uint8Array>()

  add({ of, length, at, bytes }: Piece): void {
    let file = this.#files.get(of)
    if (file === undefined) this.#files.set(of, (file = new Uint8Array(new SharedArrayBuffer(length))))
    file.set(bytes, at)
  }

  /** The content of which this is the rest, once all pieces were added. Forgets them. */
  putTogether(rest: Content): Content {
    const whole = ([path, file]: readonly [string, FileContent]) => [path, { ...file, bytes: this.#files.get(file.digest) ?? file.bytes }] as const
    const files = new Map(Array.from(rest.files, whole))
    this.#files.clear()
    return { ...rest, files }
  }
}
