/** A part of a document against its schema. */
import { checkOf } from './check.ts'
import type { TSchema } from 'typebox'
import type { Finder } from './scalar-checks.ts'
import type { Located, Path, Problems } from './problem.ts'

/** Where a value stands. */
export interface Place {
  readonly in: Located
  readonly path: Path
}

/** Lists what a check finds, and remembers where. */
class Listing implements Finder {
  readonly path: (string | number)[]
  readonly foundAt: Path[] = []
  private readonly place: Place
  private readonly problems: Problems

  constructor(place: Place, problems: Problems) {
    this.path = [...place.path]
    this.place = place
    this.problems = problems
  }

  found(message: string, hint?: string): void {
    const path = [...this.path]
    this.foundAt.push(path)
    this.problems.add('error', this.place.in, path, message, hint)
  }

  unknownKey(hint: string | undefined): void {
    this.problems.add('error', this.place.in, [...this.path], 'unknown key', hint)
  }
}

/**
 * Checks a value, fills in its defaults and lists what is wrong. Answers the paths of what cannot be relied on: none
 * when the value is of the schema's type, unknown keys aside.
 */
export function judge(schema: TSchema, value: unknown, place: Place, problems: Problems): readonly Path[] {
  const listing = new Listing(place, problems)
  checkOf(schema)(value, listing)
  return listing.foundAt
}
