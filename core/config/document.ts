/**
 * YAML 1.2 text → value, with the line of everything in it. Reading is total: syntax errors, duplicate keys, missing
 * environment variables and documents that would grow without bound are problems, all listed, and never a throw.
 * Aliases are copied, so no two places of a document share an object.
 */
import { EVENT_ID, NOT_RESOLVED, SCALAR_STYLE, YAMLException, boolCoreTag, floatCoreTag, getScalarValue, intCoreTag, nullCoreTag, parseEvents } from 'js-yaml'
import { substitute } from './env.ts'
import { Places, startOf } from './places.ts'
import { formatPath } from './problem.ts'
import type { AliasEvent, Event, MappingEvent, ScalarEvent, SequenceEvent } from 'js-yaml'
import type { Env } from './env.ts'
import type { Located, Path, Problems } from './problem.ts'

/** Collections open at once. The deepest sensible configuration has about ten. */
const MAX_DEPTH = 64
/** Values that all aliases of a document may add: a hundred shared lists of a thousand methods. */
const MAX_ALIAS_NODES = 100_000

/** A document that was read. */
export interface Document extends Located {
  /** Plain objects, arrays and scalars; undefined when the text is no YAML. */
  readonly value: unknown
}

/** Reads a document. `file` is the name under which its problems are listed. */
export function readDocument(file: string, text: string, env: Env, problems: Problems): Document {
  let places = new Places(text, [])
  const faulty = new Set<string>()
  const report: Report = (at, path, message, hint) => {
    problems.add('error', { file, lineOf: () => places.lineAt(at) }, path, message, hint)
    faulty.add(formatPath(path))
  }
  let value: unknown
  try {
    const events = parseEvents(text, { maxDepth: MAX_DEPTH })
    places = new Places(text, events)
    value = new Reader(text, events, env, report).read()
  } catch (error) {
    // js-yaml asks its callers to expect any exception of malformed text.
    const mark = error instanceof YAMLException ? error.mark : undefined
    const hasVariable = mark !== undefined && text.split(/\r?\n|\r/)[mark.line]?.includes('${') === true
    report(
      mark?.position ?? 0,
      [],
      error instanceof YAMLException ? error.reason : String(error),
      hasVariable ? 'within { } and [ ] a ${NAME} must be quoted' : undefined,
    )
  }
  return { file, value, lineOf: (path) => places.lineOf(path), isFaulty: (path) => faulty.has(path) }
}

type Report = (at: number, path: Path, message: string, hint?: string) => void

const PLAIN_TAGS = [nullCoreTag, boolCoreTag, intCoreTag, floatCoreTag] as const
const ABSENT = -1

/** Builds the value of a document from the parser's events. */
class Reader {
  private readonly text: string
  private readonly events: readonly Event[]
  private readonly env: Env
  private readonly report: Report
  private readonly anchors = new Map<string, unknown>()
  private readonly path: (string | number)[] = []
  private next = 1 // past the document's own event
  private aliasNodes = 0

  constructor(text: string, events: readonly Event[], env: Env, report: Report) {
    this.text = text
    this.events = events
    this.env = env
    this.report = report
  }

  read(): unknown {
    if (this.events.length === 0) return null
    const value = this.node(0)
    if (this.next + 1 < this.events.length) this.report(0, [], 'holds more than one YAML document')
    return value
  }

  /** Reads one node and everything in it; `at` is where it stands when it does not know better. */
  private node(at: number): unknown {
    const event = this.events[this.next++]!
    switch (event.type) {
      case EVENT_ID.SCALAR:
        return this.anchor(event, this.scalar(event, at))
      case EVENT_ID.SEQUENCE:
        return this.anchor(event, this.sequence(at))
      case EVENT_ID.MAPPING:
        return this.anchor(event, this.mapping(at))
      case EVENT_ID.ALIAS:
        return this.alias(event)
      case EVENT_ID.DOCUMENT:
      case EVENT_ID.POP:
        return null // a document without content
    }
  }

  private anchor(event: ScalarEvent | SequenceEvent | MappingEvent, value: unknown): unknown {
    if (event.tagStart !== ABSENT) {
      const tag = this.text.slice(event.tagStart, event.tagEnd)
      if (event.type !== EVENT_ID.SCALAR || (tag !== '!' && tag !== '!!str')) this.report(event.tagStart, this.path, `the tag ${tag} is not supported`)
    }
    if (event.anchorStart !== ABSENT) this.anchors.set(this.text.slice(event.anchorStart, event.anchorEnd), value)
    return value
  }

  private alias(event: AliasEvent): unknown {
    const name = this.text.slice(event.anchorStart, event.anchorEnd)
    if (!this.anchors.has(name)) this.report(event.anchorStart, this.path, `the alias *${name} stands for nothing that is complete before it`)
    return this.copy(this.anchors.get(name), event)
  }

  private copy(value: unknown, event: AliasEvent): unknown {
    if (++this.aliasNodes > MAX_ALIAS_NODES) YAMLException.throwAt(this.text, event.anchorStart, `aliases add more than ${MAX_ALIAS_NODES} values`)
    if (Array.isArray(value)) return value.map((item) => this.copy(item, event))
    if (value === null || typeof value !== 'object') return value
    const copied = {}
    for (const [key, item] of Object.entries(value)) setOwn(copied, key, this.copy(item, event))
    return copied
  }

  private sequence(at: number): unknown[] {
    const items: unknown[] = []
    while (this.events[this.next]!.type !== EVENT_ID.POP) {
      this.path.push(items.length)
      items.push(this.node(startOf(this.events[this.next]!) ?? at))
      this.path.pop()
    }
    this.next++
    return items
  }

  private mapping(at: number): Record<string, unknown> {
    const members: Record<string, unknown> = {}
    while (this.events[this.next]!.type !== EVENT_ID.POP) {
      const event = this.events[this.next++]!
      const keyAt = startOf(event) ?? at
      if (event.type !== EVENT_ID.SCALAR) YAMLException.throwAt(this.text, keyAt, 'a key must be plain text')
      const key = this.substitute(getScalarValue(this.text, event), keyAt)
      this.path.push(key)
      if (Object.hasOwn(members, key)) this.report(keyAt, this.path, 'stands twice')
      setOwn(members, key, this.node(keyAt))
      this.path.pop()
    }
    this.next++
    return members
  }

  /** An unquoted scalar is what it looks like once its variables are replaced; a quoted one is always a string. */
  private scalar(event: ScalarEvent, at: number): unknown {
    const text = this.substitute(getScalarValue(this.text, event), at)
    if (event.style !== SCALAR_STYLE.PLAIN || event.tagStart !== ABSENT) return text
    for (const tag of PLAIN_TAGS) {
      const value = tag.resolve(text, false, tag.tagName)
      if (value !== NOT_RESOLVED) return value
    }
    return text
  }

  private substitute(text: string, at: number): string {
    return text.includes('${') ? substitute(text, this.env, (message, hint) => this.report(at, this.path, message, hint)) : text
  }
}

/** Sets an own property, also where the key is `__proto__`. */
function setOwn(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__') Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
  else object[key] = value
}
