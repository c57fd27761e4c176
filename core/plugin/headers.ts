/** Headers that plugins set, on answers and on requests to nodes. */

/** What a header may be called, and carry (RFC 9110 sections 5.1 and 5.5), one character per byte. */
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

/** What frames an answer, or is said by whoever writes it (RFC 9110 section 7.6.1, RFC 9112 section 6). */
const FRAMING = new Set(['connection', 'content-length', 'date', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade'])

/** Names that were found good for answers: plugins set the same few on every one. */
const answerNames = new Set<string>()
const MAX_ANSWER_NAMES = 256

/** Whether a header can be sent. */
export function isHeader(name: string, value: unknown): boolean {
  return NAME.test(name) && isValue(value)
}

/** Whether a plugin may set a header on answers. */
export function isAnswerHeader(name: string, value: unknown): boolean {
  return isAnswerName(name) && isValue(value)
}

function isAnswerName(name: string): boolean {
  if (answerNames.has(name)) return true
  if (!NAME.test(name) || FRAMING.has(name.toLowerCase())) return false
  if (answerNames.size < MAX_ANSWER_NAMES) answerNames.add(name)
  return true
}

function isValue(value: unknown): boolean {
  return typeof value === 'number' || (typeof value === 'string' && VALUE.test(value))
}
