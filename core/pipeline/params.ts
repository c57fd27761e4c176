/**
 * Params as values, for plugins that look inside. Parsing is what an attacker could make dear: a document of 1 MiB holds
 * 350 000 values, a tenth of a second of work. So what plugins look at in one document is bounded, by the number of values.
 */
import { parseParams } from '../jsonrpc/frame.ts'
import { countValues } from '../jsonrpc/source-text.ts'
import { freeze } from '../plugin/freeze.ts'
import { refuse } from '../plugin/outcome.ts'
import type { RpcRequest } from '../jsonrpc/frame.ts'

/** Values of one document that plugins may look at: some 5 ms of parsing. */
const MAX_VALUES = 20_000
/** Shorter texts are taken to hold as many values as would fit: counting them would cost more than parsing. */
const SHORT_CHARACTERS = 256

const TOO_MANY_VALUES = refuse('invalidParams', 'too-many-values', {
  message: `Params that have to be looked at hold at most ${MAX_VALUES} values`,
  limit: MAX_VALUES,
})

/** What a plugin wanted to see cannot be shown: the caller's doing, not the plugin's. */
export class UnseenParams extends Error {
  readonly refusal = TOO_MANY_VALUES
}

/** What plugins have looked at of one document. */
export class ParamsReader {
  private values = 0

  /** The params, unwritable: what one plugin judged is what the next one sees, and what is sent. Throws UnseenParams. */
  read(request: RpcRequest): unknown {
    const text = request.paramsText ?? ''
    this.values += text.length <= SHORT_CHARACTERS ? text.length >> 1 : countValues(text, MAX_VALUES)
    if (this.values > MAX_VALUES) throw new UnseenParams(TOO_MANY_VALUES.why)
    return freeze(parseParams(request))
  }
}
