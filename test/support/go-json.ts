/**
 * How a node written in Go reads a document, independent of our own decoder: the first JSON value counts and
 * what follows it is ignored; member names match in any case, with Unicode simple folding (U+017F is an s,
 * U+212A is a k); the last of several members wins; a member of another type than expected is passed over.
 * Rules: Go's encoding/json (decode.go, fold.go, scanner.go) as go-ethereum's rpc/json.go uses it.
 */

/** One message as such a node understands it. */
export interface GoMessage {
  readonly method: string
  /** Source text; undefined where there is none. */
  readonly params: string | undefined
  readonly id: string | undefined
}

/** The messages that such a node sees in a document; undefined when it is a syntax error to it. */
export function goRead(bytes: Uint8Array): readonly GoMessage[] | undefined {
  const reader = new GoReader(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes))
  try {
    const value = reader.value(0)
    if (value.kind === 'array') return value.items.map(toMessage)
    return [toMessage(value)]
  } catch (problem) {
    if (problem instanceof SyntaxError) return undefined
    throw problem
  }
}

type Value =
  | { kind: 'object'; raw: string; members: [string, Value][] }
  | { kind: 'array'; raw: string; items: Value[] }
  | { kind: 'string'; raw: string; text: string }
  | { kind: 'other'; raw: string }

function toMessage(value: Value): GoMessage {
  let method = ''
  let params: string | undefined
  let id: string | undefined
  for (const [name, member] of value.kind === 'object' ? value.members : []) {
    const folded = fold(name)
    if (folded === 'method' && member.kind === 'string') method = member.text
    if (folded === 'params') params = member.raw
    if (folded === 'id') id = member.raw
  }
  return { method, params, id }
}

function fold(name: string): string {
  return name
    .replaceAll('\u017f', 's')
    .replaceAll('\u212a', 'k')
    .replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}

/** Go stops at 10 000 (scanner.go, maxNestingDepth); this recursion stops before its own stack ends. */
const MAX_DEPTH = 1_000

class GoReader {
  private readonly text: string
  private at = 0

  constructor(text: string) {
    this.text = text
  }

  value(depth: number): Value {
    this.take(/[ \t\r\n]*/y)
    const from = this.at
    if (depth > MAX_DEPTH) throw new SyntaxError('exceeded max depth')
    if (this.text[from] === '{') {
      const members: [string, Value][] = []
      this.list('}', () => {
        const name = this.string()
        this.take(/[ \t\r\n]*:/y)
        members.push([name, this.value(depth + 1)])
      })
      return { kind: 'object', raw: this.text.slice(from, this.at), members }
    }
    if (this.text[from] === '[') {
      const items: Value[] = []
      this.list(']', () => items.push(this.value(depth + 1)))
      return { kind: 'array', raw: this.text.slice(from, this.at), items }
    }
    if (this.text[from] === '"') {
      const text = this.string()
      return { kind: 'string', raw: this.text.slice(from, this.at), text }
    }
    return { kind: 'other', raw: this.take(/true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?/y) }
  }

  private list(closer: string, item: () => void): void {
    this.at++
    this.take(/[ \t\r\n]*/y)
    if (this.text[this.at] !== closer) {
      do {
        item()
        this.take(/[ \t\r\n]*/y)
      } while (this.text[this.at] === ',' && this.at++ >= 0)
    }
    if (this.text[this.at++] !== closer) throw new SyntaxError('unclosed')
  }

  private string(): string {
    this.take(/[ \t\r\n]*/y)
    // oxlint-disable-next-line no-control-regex -- the grammar of a JSON string
    const source = this.take(/"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"/y)
    return (JSON.parse(source) as string).toWellFormed()
  }

  private take(pattern: RegExp): string {
    pattern.lastIndex = this.at
    const match = pattern.exec(this.text)
    if (match === null) throw new SyntaxError(`unexpected text at ${this.at}`)
    this.at = pattern.lastIndex
    return match[0]
  }
}
