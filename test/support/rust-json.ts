/**
 * How a node written in Rust reads a document, independent of our own decoder and of the imitation of Go: the whole text is one
 * JSON value in valid UTF-8; a call has no member twice and none that is unknown; what JSON allows and Rust has no value for is an
 * error. Rules: serde_json (de.rs, read.rs) as jsonrpsee's `Request` uses it, with `deny_unknown_fields` and `params` as raw text.
 */

/** One call as such a node understands it; texts are source texts. */
export interface RustMessage {
  readonly method: string
  readonly params: string | undefined
  readonly id: string | undefined
}

/** The calls that such a node sees in a document, undefined for one that it refuses; undefined when it refuses the document. */
export function rustRead(bytes: Uint8Array): readonly (RustMessage | undefined)[] | undefined {
  return attempt(() => {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    const value = new Parser(text).document()
    if (value.isObject || !Array.isArray(value.of)) return [toMessage(value)]
    return (value.of as readonly Raw[]).map((item) => attempt(() => toMessage(item)))
  })
}

/** The value of params; `{ refused: true }` when the node cannot have such a value. */
export function rustValue(text: string): unknown {
  const value = attempt(() => ({ plain: plain(new Parser(text).document()) }))
  return value === undefined ? { refused: true } : value.plain
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (problem) {
    if (problem instanceof Refused || problem instanceof TypeError) return undefined // TypeError: what TextDecoder says of bad UTF-8
    throw problem
  }
}

class Refused extends Error {}

function refused(why: string): never {
  throw new Refused(why)
}

/** A value that is not looked at more closely than where it begins and ends, unless somebody asks. */
interface Raw {
  readonly text: string
  readonly of: readonly Raw[] | readonly (readonly [name: Raw, value: Raw])[] | 'string' | 'number' | boolean | null
  readonly isObject: boolean
}

function toMessage(value: Raw): RustMessage {
  if (!value.isObject) refused('expected struct Request')
  const seen = new Map<string, Raw>()
  for (const [name, member] of value.of as readonly (readonly [Raw, Raw])[]) {
    const key = string(name)
    if (!['jsonrpc', 'id', 'method', 'params'].includes(key)) refused('unknown field')
    if (seen.has(key)) refused('duplicate field')
    seen.set(key, member)
  }
  const [version, method] = ['jsonrpc', 'method'].map((name) => seen.get(name) ?? refused(`missing field ${name}`)) as [Raw, Raw]
  if (version.of !== 'string' || string(version) !== '2.0') refused('invalid version')
  if (method.of !== 'string') refused('expected a string')
  return { method: string(method), params: seen.get('params')?.text, id: seen.get('id')?.text }
}

function string({ text }: Raw): string {
  const value = JSON.parse(text) as string
  return value.isWellFormed() ? value : refused('lone surrogate')
}

function plain(value: Raw): unknown {
  if (value.of === 'string') return string(value)
  if (value.of === 'number') return Number.isFinite(Number(value.text)) ? Number(value.text) : refused('number out of range')
  if (!Array.isArray(value.of)) return value.of
  if (!value.isObject) return (value.of as readonly Raw[]).map(plain)
  const object = Object.create(null) as Record<string, unknown>
  for (const [name, member] of value.of as readonly (readonly [Raw, Raw])[]) object[string(name)] = plain(member)
  return object
}

/** serde_json's recursion limit. */
const MAX_DEPTH = 128

class Parser {
  private readonly text: string
  private at = 0

  constructor(text: string) {
    this.text = text
  }

  document(): Raw {
    const value = this.value(0)
    this.space()
    return this.at === this.text.length ? value : refused('trailing characters')
  }

  private value(depth: number): Raw {
    this.space()
    const from = this.at
    const c = this.text[from] ?? ''
    if ((c === '{' || c === '[') && depth === MAX_DEPTH - 1) refused('recursion limit exceeded')
    const raw = (of: Raw['of'], isObject = false): Raw => ({ text: this.text.slice(from, this.at), of, isObject })
    switch (c) {
      case '{':
        return raw(
          this.items('}', () => {
            this.space()
            const name = this.text[this.at] === '"' ? this.value(depth + 1) : refused('key must be a string')
            this.space()
            if (this.text[this.at++] !== ':') refused('expected `:`')
            return [name, this.value(depth + 1)] as const
          }),
          true,
        )
      case '[':
        return raw(this.items(']', () => this.value(depth + 1)))
      case '"':
        this.string()
        return raw('string')
      default:
        return this.word(raw)
    }
  }

  private word(raw: (of: Raw['of']) => Raw): Raw {
    const from = this.at
    while (/[-+.\w]/.test(this.text[this.at] ?? ' ')) this.at++
    const word = this.text.slice(from, this.at)
    if (word === 'null') return raw(null)
    if (word === 'true' || word === 'false') return raw(word === 'true')
    return /^-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?$/.test(word) ? raw('number') : refused('expected value')
  }

  private items<T>(closer: string, item: () => T): T[] {
    const items: T[] = []
    this.at++
    this.space()
    if (this.text[this.at] === closer) this.at++
    else {
      for (;;) {
        items.push(item())
        this.space()
        const next = this.text[this.at++]
        if (next === closer) break
        if (next !== ',') refused('expected `,`')
      }
    }
    return items
  }

  private string(): void {
    for (this.at++; this.text[this.at] !== '"'; this.at++) {
      const c = this.text[this.at] ?? refused('EOF while parsing a string')
      if (c < ' ') refused('control character')
      if (c !== '\\') continue
      this.at++
      const escaped = this.text[this.at] ?? ''
      if (escaped === 'u' && /^[\da-fA-F]{4}$/.test(this.text.slice(this.at + 1, this.at + 5))) this.at += 4
      else if (escaped === '' || !'"\\/bfnrt'.includes(escaped)) refused('invalid escape')
    }
    this.at++
  }

  private space(): void {
    while (' \t\r\n'.includes(this.text[this.at] ?? 'x')) this.at++
  }
}
