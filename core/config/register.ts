/** The consumers of a snapshot: there may be a million, and none is an object until it is asked for. */
import { CompactMap } from '../plugin/compact-map.ts'
import type { Consumer } from '../plugin/slots.ts'

/** Consumers, by username and by number. */
export interface Consumers {
  readonly size: number
  /** The consumer of this username, or of this number; a negative one is nobody's. */
  get(which: string | number): Consumer | undefined
}

/** What a consumer has beside a name. */
export type Terms = Omit<Consumer, 'username'>

/** The number of the terms of somebody who is no consumer. */
const NONE = 0

export class Register implements Consumers {
  #size = 0
  /** With the number of their terms. A consumer's number is the place of its username. */
  readonly #usernames = new CompactMap()
  /** By number. Few for many: a plan, and nothing of one's own. */
  readonly #terms: (Terms | undefined)[] = [undefined]
  readonly #numbers = new CompactMap()
  #last = NONE

  get size(): number {
    return this.#size
  }

  get(which: string | number): Consumer | undefined {
    const number = typeof which === 'number' ? which : this.#usernames.find(which)
    const terms = number === undefined || number < 0 ? undefined : this.#terms[this.#usernames.numberAt(number)]
    return terms && Object.freeze({ username: this.#usernames.textAt(number!), ...terms })
  }

  /** Answers the number of a new consumer, undefined when the username is taken. Who has no terms is no consumer, and the username taken nevertheless. */
  add(username: string, terms: Terms | undefined): number | undefined {
    const taken = this.#usernames.size
    const number = this.#usernames.add(username, terms === undefined ? NONE : this.#numberOf(terms))
    if (this.#usernames.size === taken) return undefined
    if (terms !== undefined) this.#size++
    return number
  }

  #numberOf(terms: Terms): number {
    if (!isEqual(terms, this.#terms[this.#last])) {
      const next = this.#terms.length
      this.#last = this.#numbers.numberAt(this.#numbers.add(`${terms.plan?.id} ${terms.secondsQuota} ${terms.monthlyQuota}`, next))
      if (this.#last === next) this.#terms.push(terms)
    }
    return this.#last
  }
}

function isEqual(terms: Terms, others: Terms | undefined): boolean {
  if (others === undefined) return false
  return terms.plan === others.plan && terms.secondsQuota === others.secondsQuota && terms.monthlyQuota === others.monthlyQuota
}
