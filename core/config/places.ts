/** Where in a YAML text its values stand. Built only once somebody asks, so that a file without problems costs nothing. */
import { EVENT_ID, getScalarValue } from 'js-yaml'
import type { Event } from 'js-yaml'
import type { Path } from './problem.ts'

/** Where a value stands, and where the values in it stand. A value under a key stands where its key does. */
interface Place {
  readonly at: number
  readonly parts: Map<string | number, Place>
}

const ABSENT = -1

/** The lines of a text and of what its events describe. */
export class Places {
  private readonly text: string
  private readonly events: readonly Event[]
  private readonly anchors = new Map<string, Place>()
  private lineStarts: number[] | undefined
  private top: Place | undefined
  private next = 1 // past the document's own event

  constructor(text: string, events: readonly Event[]) {
    this.text = text
    this.events = events
  }

  /** The line of an offset, counted from 1. */
  lineAt(offset: number): number {
    this.lineStarts ??= [0, ...Array.from(this.text.matchAll(/\r\n|\r|\n/g), (match) => match.index + match[0].length)]
    let low = 0
    let high = this.lineStarts.length
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if (this.lineStarts[middle]! <= offset) low = middle
      else high = middle
    }
    return low + 1
  }

  /** The line of a path, or of the deepest part of it that there is. */
  lineOf(path: Path): number {
    let place = (this.top ??= this.place(0))
    for (const part of path) {
      const next = place.parts.get(part)
      if (next === undefined) break
      place = next
    }
    return this.lineAt(place.at)
  }

  /** Reads the next event and all that belongs to it. */
  private place(at: number): Place {
    const event = this.events[this.next++]
    const parts = new Map<string | number, Place>()
    if (event === undefined) return { at, parts }
    if (event.type === EVENT_ID.ALIAS) return { at, parts: this.anchors.get(this.text.slice(event.anchorStart, event.anchorEnd))?.parts ?? parts }
    if (event.type === EVENT_ID.SEQUENCE) {
      while (this.goesOn()) parts.set(parts.size, this.place(startOf(this.events[this.next]!) ?? at))
    } else if (event.type === EVENT_ID.MAPPING) {
      while (this.goesOn()) {
        const key = this.events[this.next++]!
        parts.set(key.type === EVENT_ID.SCALAR ? getScalarValue(this.text, key) : '', this.place(startOf(key) ?? at))
      }
    }
    const place = { at, parts }
    if ('anchorStart' in event && event.anchorStart !== ABSENT) this.anchors.set(this.text.slice(event.anchorStart, event.anchorEnd), place)
    return place
  }

  /** Whether the open collection has more in it; steps over its end. */
  private goesOn(): boolean {
    if (this.events[this.next]?.type !== EVENT_ID.POP) return this.next < this.events.length
    this.next++
    return false
  }
}

/** Where an event's text begins; undefined for one that has no text, such as an empty value. */
export function startOf(event: Event): number | undefined {
  if (event.type === EVENT_ID.ALIAS) return event.anchorStart
  if (event.type !== EVENT_ID.SCALAR && event.type !== EVENT_ID.SEQUENCE && event.type !== EVENT_ID.MAPPING) return undefined
  const start = event.type === EVENT_ID.SCALAR ? event.valueStart : event.start
  return start === ABSENT ? undefined : start
}
