/** The scanner's loop for what is large, in WebAssembly: it reads 16 bytes of a string at a time, out of a memory of its own. */
import { REGISTERS_AT, STACK_AT, TABLE_AT, WINDOW_AT, WINDOW_BYTES } from './states.ts'
import { TABLE } from './table.ts'
import { LARGE_WASM } from './wasm.ts'

/** As much of it as is used here: it is no part of the language, and TypeScript knows it of browsers only. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: unknown }
}

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly scan: (length: number, maxDepth: number, maxValues: number) => number
}

const { memory, scan } = new WebAssembly.Instance(new WebAssembly.Module(Buffer.from(LARGE_WASM, 'base64'))).exports as Exports
const bytes = new Uint8Array(memory.buffer)
const window = bytes.subarray(WINDOW_AT, WINDOW_AT + WINDOW_BYTES)
const registers = new Int32Array(memory.buffer, REGISTERS_AT, 3)
bytes.set(TABLE, TABLE_AT)

/** Scans are synchronous, so one serves all: what one of them leaves in it, it stores before another loads its own. */
export const machine = {
  /** Scans what was taken. Answers as `ValueScan.scan` does, with positions in what was taken. */
  scan,

  /** Takes up a scan. */
  load(state: number, stack: Uint8Array, depth: number): void {
    registers[0] = state
    registers[1] = depth
    bytes.set(stack.subarray(0, depth + 1), STACK_AT)
  },

  /** Takes at most `size` bytes in, fewer where there are no more or no room; answers how many. */
  take(from: Uint8Array, at: number, size: number): number {
    const piece = from.subarray(at, at + Math.min(size, WINDOW_BYTES))
    window.set(piece)
    registers[2] = 0
    return piece.length
  },

  get state(): number {
    return registers[0]!
  },

  get depth(): number {
    return registers[1]!
  },

  /** Values that were passed in what was taken last. */
  get values(): number {
    return registers[2]!
  },

  /** Gives the open containers back. */
  store(stack: Uint8Array): void {
    stack.set(bytes.subarray(STACK_AT, STACK_AT + registers[1]! + 1))
  },
}
