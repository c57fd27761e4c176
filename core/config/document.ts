/**
 * YAML 1.2 text → value, with the line of everything in it. Reading is total: syntax errors, duplicate keys, missing
 * environment variables and documents that would grow without bound are problems, all listed, and never a throw.
 * Aliases are copied, so no two places of a document share an object.
 */
import { isUtf8 } from 'node:buffer'
import { EVENT_ID, NOT_RESOLVED, SCALAR_STYLE, YAMLException, boolCoreTag, floatCoreTag, getScalarValue, intCoreTag, nullCoreTag, parseEvents } from 'js-yaml'
import { substitute } from './env.ts'
import { Lines, PlaceNotes, Places } from './places.ts'
import { Problems, formatPath } from './problem.ts'
import type { AliasEvent, Event, MappingEvent, ScalarEvent, SequenceEvent } from 'js-yaml'
import type { Env } from './env.ts'
import type { PlaceColumns } from './places.ts'
import type { Located, Path, Problem } from './problem.ts'

/** Collections open at once. The deepest sensible configuration has about ten. */
const MAX_DEPTH = 64
/** Values that all aliases of a document may add: a hundred shared lists of a thousand methods. */
const MAX_ALIAS_NODES = 100_000

/** What reading a text comes to: plain data, which can cross from one thread to another. */
export interface Reading {
  /** Plain objects, arrays and scalars; undefined when the text is no YAML. */
  readonly value: unknown
  readonly places: PlaceColumns
  readonly problems: readonly Problem[]
  /** Paths at which the text could not be made out. */
  readonly faulty: readonly string[]
}

/** Items of a list, some at a time. */
export type Slices = Iterable<readonly unknown[]> | AsyncIterable<readonly unknown[]>

/** A document that was read. */
export class Document implements Located {
  readonly file: string
  /** Undefined when there is none. */
  readonly value: unknown
  /** The items of the list that was set apart, slice by slice, to be taken once. */
  readonly apart: Slices
  private places: Places | undefined
  private readonly faulty: ReadonlySet<string>

  constructor(file: string, reading?: Omit<Reading, 'problems'>, apart: Slices = []) {
    this.file = file
    this.value = reading?.value
    this.apart = apart
    this.places = reading && new Places(reading.places)
    this.faulty = new Set(reading?.faulty)
  }

  lineOf(path: Path): number | undefined {
    return this.places?.lineOf(path)
  }

  isFaulty(path: string): boolean {
    return this.faulty.has(path)
  }

  /** What is told of the document from now on has no line. */
  forgetLines(): void {
    this.places = undefined
  }
}

/** What bytes say; undefined when they are no UTF-8. */
export function textOf(bytes: Uint8Array): string | undefined {
  return isUtf8(bytes) ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8') : undefined
}

/** Reads a text. `file` is the name under which its problems are listed. */
export function readText(file: string, text: string, env: Env): Reading {
  const problems = new Problems()
  const lines = new Lines(text)
  const places = new PlaceNotes()
  const faulty = new Set<string>()
  const report: Report = (at, path, message, hint) => {
    if (problems.add('error', { file, lineOf: () => lines.at(at) }, path, message, hint)) faulty.add(formatPath(path))
  }
  let value: unknown
  try {
    value = new Reader(text, parseEvents(text, { maxDepth: MAX_DEPTH }), env, report, lines, places).read()
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
  return { value, places: places.columns(), problems: problems.list('error'), faulty: [...faulty] }
}

/** Takes the items out of the list under a key, where there is one. */
export function takeList(value: unknown, key: string | undefined): readonly unknown[] {
  if (key === undefined || value === null || typeof value !== 'object' || !Object.hasOwn(value, key)) return []
  const holder = value as Record<string, unknown>
  const items = holder[key]
  if (!Array.isArray(items)) return []
  holder[key] = []
  return items
}

type Report = (at: number, path: Path, message: string, hint?: string) => void

const PLAIN_TAGS = [nullCoreTag, boolCoreTag, intCoreTag, floatCoreTag] as const
const ABSENT = -1

interface Anchored {
  readonly value: unknown
  readonly row: number
}

/** Builds the value of a document from the parser's events, and notes where everything in it stands. */
class Reader {
  private readonly text: string
  private readonly events: readonly Event[]
  private readonly env: Env
  private readonly report: Report
  private readonly lines: Lines
  private readonly places: PlaceNotes
  private readonly anchors = new Map<string, Anchored>()
  private readonly path: (string | number)[] = []
  private next = 1 // past the document's own event
  private aliasNodes = 0

  constructor(text: string, events: readonly Event[], env: Env, report: Report, lines: Lines, places: PlaceNotes) {
    this.text = text
    this.events = events
    this.env = env
    this.report = report
    this.lines = lines
    this.places = places
  }

  read(): unknown {
    if (this.events.length === 0) return null
    const value = this.node(0)
    if (this.next + 1 < this.events.length) this.report(0, [], 'holds more than one YAML document')
    return value
  }

  /** Reads one node and everything in it; `at` is where it stands when it does not know better. */
  private node(at: number, key?: string): unknown {
    const event = this.events[this.next++]!
    const row = this.places.begin(this.lines.at(at), key)
    switch (event.type) {
      case EVENT_ID.SCALAR:
        return this.anchor(event, row, this.scalar(event, at))
      case EVENT_ID.SEQUENCE:
        return this.anchor(event, row, this.sequence(at, row))
      case EVENT_ID.MAPPING:
        return this.anchor(event, row, this.mapping(at, row))
      case EVENT_ID.ALIAS:
        return this.alias(event, row)
      case EVENT_ID.DOCUMENT:
      case EVENT_ID.POP:
        return null // a document without content
    }
  }

  private anchor(event: ScalarEvent | SequenceEvent | MappingEvent, row: number, value: unknown): unknown {
    if (event.tagStart !== ABSENT) {
      const tag = this.text.slice(event.tagStart, event.tagEnd)
      if (event.type !== EVENT_ID.SCALAR || (tag !== '!' && tag !== '!!str')) this.report(event.tagStart, this.path, `the tag ${tag} is not supported`)
    }
    if (event.anchorStart !== ABSENT) this.anchors.set(this.text.slice(event.anchorStart, event.anchorEnd), { value, row })
    return value
  }

  private alias(event: AliasEvent, row: number): unknown {
    const name = this.text.slice(event.anchorStart, event.anchorEnd)
    const anchored = this.anchors.get(name)
    if (anchored === undefined) this.report(event.anchorStart, this.path, `the alias *${name} stands for nothing that is complete before it`)
    else this.places.standsFor(row, anchored.row)
    return this.copy(anchored?.value, event)
  }

  private copy(value: unknown, event: AliasEvent): unknown {
    if (++this.aliasNodes > MAX_ALIAS_NODES) YAMLException.throwAt(this.text, event.anchorStart, `aliases add more than ${MAX_ALIAS_NODES} values`)
    if (Array.isArray(value)) return value.map((item) => this.copy(item, event))
    if (value === null || typeof value !== 'object') return value
    const copied = {}
    for (const [key, item] of Object.entries(value)) setOwn(copied, key, this.copy(item, event))
    return copied
  }

  private sequence(at: number, row: number): unknown[] {
    const items: unknown[] = []
    while (this.events[this.next]!.type !== EVENT_ID.POP) {
      this.path.push(items.length)
      items.push(this.node(startOf(this.events[this.next]!) ?? at))
      this.path.pop()
    }
    this.next++
    this.places.end(row)
    return items
  }

  private mapping(at: number, row: number): Record<string, unknown> {
    const members: Record<string, unknown> = {}
    while (this.events[this.next]!.type !== EVENT_ID.POP) {
      const event = this.events[this.next++]!
      const keyAt = startOf(event) ?? at
      if (event.type !== EVENT_ID.SCALAR) YAMLException.throwAt(this.text, keyAt, 'a key must be plain text')
      const key = this.substitute(getScalarValue(this.text, event), keyAt)
      this.path.push(key)
      if (Object.hasOwn(members, key)) this.report(keyAt, this.path, 'stands twice')
      setOwn(members, key, this.node(keyAt, key))
      this.path.pop()
    }
    this.next++
    this.places.end(row)
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

/** Where an event's text begins; undefined for one that has no text, such as an empty value. */
function startOf(event: Event): number | undefined {
  if (event.type === EVENT_ID.ALIAS) return event.anchorStart
  if (event.type !== EVENT_ID.SCALAR && event.type !== EVENT_ID.SEQUENCE && event.type !== EVENT_ID.MAPPING) return undefined
  const start = event.type === EVENT_ID.SCALAR ? event.valueStart : event.start
  return start === ABSENT ? undefined : start
}

/** Sets an own property, also where the key is `__proto__`. */
function setOwn(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__') Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
  else object[key] = value
}
