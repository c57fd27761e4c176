/** What the load consists of: frames, and what is expected of their answers. */

/** One call. */
export interface CallText {
  readonly method: string
  /** Source text of the params. */
  readonly params: string
}

/** One frame that a client sends. */
export interface Request {
  /** Where it goes, such as `/eth-mainnet`. */
  readonly path: string
  /** The client's key; undefined sends none. */
  readonly key: string | undefined
  readonly calls: readonly CallText[]
  readonly isBatch: boolean
  /** Results that the answer must hold; 0 where it must be an error. */
  readonly results: number
}

/** A frame as text, its first call with this id and the others with those that follow. */
export function textOf({ calls, isBatch }: Request, firstId: number): string {
  const texts = calls.map(({ method, params }, i) => `{"jsonrpc":"2.0","id":${firstId + i},"method":"${method}","params":${params}}`)
  return isBatch ? `[${texts.join(',')}]` : texts.join('')
}

const RESULT = Buffer.from('"result":')
const ERROR = Buffer.from('"error":')
/** Within so many bytes an answer to one call says which of the two it is. */
const SOON = 160

/** Whether an answer is what a request expects. `bytes` may be only the beginning of an answer to one call. */
export function isExpected({ results, isBatch }: Request, bytes: Buffer): boolean {
  if (!isBatch) return bytes.subarray(0, SOON).includes(results === 0 ? ERROR : RESULT)
  let count = 0
  for (let at = bytes.indexOf(RESULT); at !== -1; at = bytes.indexOf(RESULT, at + RESULT.length)) count++
  return count === results
}
