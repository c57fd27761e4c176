/**
 * Places that processes share: connections, above all. A process holds places and fills them by itself; where it holds none
 * that is free it asks for one, together with all that want one in the same turn of the loop. What holds places (a Redis,
 * or the primary of some workers) grants no more than the limit over all processes, so it is never exceeded.
 *
 * Places that fell free are given back within 2 × TELL_MS: for so long others may be refused for them. What is held is said
 * again every REFRESH_MS, and what was not for LIFE_MS is free: so does a process that was killed let go. While nobody
 * answers, each process fills its share.
 */
import { OwnPlaces } from '../plugin/places.ts'
import type { Places } from '../plugin/places.ts'

const TELL_MS = 50
const REFRESH_MS = 5000
export const LIFE_MS = 15_000
/** Ticks in which all that is held is said again, a part of it in each. */
const TURNS = REFRESH_MS / TELL_MS
/** Keys that are told of in one tick: a process with very many must not stand still for them. */
const MAX_TELLS = 1000

/** What a process wants to hold of one key's places. */
export interface Hold {
  /** What is counted apart from what. */
  readonly place: string
  readonly key: string
  /** Filled: cannot be taken away any more. */
  readonly open: number
  readonly want: number
  readonly max: number
}

/** What it holds, and what all others do. */
export interface Held {
  readonly own: number
  readonly others: number
}

export interface PlaceSource {
  /** Asking is in vain for now. */
  readonly isAway: boolean
  /** Processes that share the places, as far as is known. */
  readonly processes: number
  /** `hear` is called once for each, in the order in which they were asked for: with undefined where there was no answer. It may be called at once. */
  hold(holds: readonly Hold[], hear: (position: number, held: Held | undefined) => void): void
}

interface Spot {
  readonly place: string
  readonly key: string
  /** The tick, of TURNS, in which it is said again. */
  readonly turn: number
  max: number
  open: number
  /** The most that were open since the store was told last. */
  peak: number
  held: number
  others: number
  waiting: ((taken: number | undefined) => void)[]
  /** Those that were asked for and not heard of. */
  asked: number
  /** What the store was told that is wanted, by what was not answered yet: what it holds by then is no more. */
  readonly unheard: number[]
}

export class PlaceBook {
  readonly #spots = new Map<string, Spot>()
  readonly #dirty = new Set<Spot>()
  readonly #turns: readonly Set<Spot>[] = Array.from({ length: TURNS }, () => new Set())
  readonly #own = new Map<string, OwnPlaces>()
  #asking: Spot[] = []
  #source: PlaceSource | undefined
  #timer: NodeJS.Timeout | undefined
  #ticks = 0
  #wasAway = false

  /** Shares places with other processes from now on. Nothing may have been taken yet. */
  share(source: PlaceSource): void {
    this.#source = source
    this.#timer = setInterval(() => this.#tick(source), TELL_MS).unref()
  }

  /** The places of this name: the same ones for whoever says it, also in another configuration. */
  of(place: string): Places {
    const own = this.#own.get(place) ?? new OwnPlaces()
    this.#own.set(place, own)
    return {
      take: (key, max) => (this.#source === undefined ? own.take(key, max) : this.#take(this.#source, place, key, max)),
      free: (key) => (this.#source === undefined ? own.free(key) : this.#free(place, key)),
    }
  }

  /** Keys that are remembered. */
  get size(): number {
    return this.#spots.size
  }

  /** Tells what was given back. */
  close(): void {
    clearInterval(this.#timer)
    if (this.#source !== undefined) this.#tell(this.#source)
  }

  #take(source: PlaceSource, place: string, key: string, max: number): number | undefined | Promise<number | undefined> {
    const spot = this.#spot(place, key)
    spot.max = max
    if (source.isAway) return this.#fillAlone(spot, source)
    if (spot.open < spot.held && spot.others + spot.open < max) return fill(spot)
    return new Promise((resolve) => {
      spot.waiting.push(resolve)
      if (spot.waiting.length > 1) return
      if (this.#asking.push(spot) === 1) setImmediate(() => this.#ask(source))
    })
  }

  #free(place: string, key: string): void {
    const spot = this.#spots.get(nameOf(place, key))
    if (spot === undefined) return
    spot.open = Math.max(0, spot.open - 1)
    this.#dirty.add(spot)
  }

  /** Asks for all who wait. */
  #ask(source: PlaceSource): void {
    const spots = this.#asking
    this.#asking = []
    const waiting = spots.map((spot) => spot.waiting.splice(0))
    for (const [at, spot] of spots.entries()) spot.asked += waiting[at]!.length
    say(
      source,
      spots,
      spots.map((spot) => wanted(spot)),
      (at, held) => {
        const spot = spots[at]!
        spot.asked -= waiting[at]!.length
        for (const resolve of waiting[at]!) resolve(held === undefined ? this.#fillAlone(spot, source) : spot.open < spot.held ? fill(spot) : undefined)
        this.#dirty.add(spot)
      },
    )
  }

  /** Fills a place of this process's share. The others are taken to be as full. */
  #fillAlone(spot: Spot, { processes }: PlaceSource): number | undefined {
    if (spot.open >= Math.max(1, Math.floor(spot.max / processes))) return undefined
    fill(spot)
    this.#dirty.add(spot)
    return Math.min(spot.max, spot.open * processes)
  }

  #tick(source: PlaceSource): void {
    if (source.isAway) {
      this.#wasAway = true
      for (const spot of this.#dirty) if (isIdle(spot)) this.#forget(spot) // what the store has of it lapses
      return
    }
    // A Redis that is back may have come back empty.
    for (const spot of this.#wasAway ? this.#spots.values() : this.#turns[++this.#ticks % TURNS]!) this.#dirty.add(spot)
    this.#wasAway = false
    this.#tell(source)
  }

  #tell(source: PlaceSource): void {
    const spots = [...this.#dirty].slice(0, MAX_TELLS)
    for (const spot of spots) this.#dirty.delete(spot)
    const holds = spots.map((spot) => {
      const hold = wanted(spot)
      if (hold.want > spot.open + spot.asked) this.#dirty.add(spot)
      spot.peak = spot.open
      return hold
    })
    say(source, spots, holds, (at) => {
      const spot = spots[at]!
      if (isIdle(spot) && spot.held === 0 && !this.#dirty.has(spot)) this.#forget(spot)
    })
  }

  #forget(spot: Spot): void {
    this.#spots.delete(nameOf(spot.place, spot.key))
    this.#turns[spot.turn]!.delete(spot)
    this.#dirty.delete(spot)
  }

  #spot(place: string, key: string): Spot {
    const name = nameOf(place, key)
    let spot = this.#spots.get(name)
    if (spot !== undefined) return spot
    spot = { place, key, turn: this.#spots.size % TURNS, max: 0, open: 0, peak: 0, held: 0, others: 0, waiting: [], asked: 0, unheard: [] }
    this.#spots.set(name, spot)
    this.#turns[spot.turn]!.add(spot)
    return spot
  }
}

function nameOf(place: string, key: string): string {
  return `${place}\n${key}`
}

/** Nobody has a place of it, or waits for one. */
function isIdle({ open, asked, waiting }: Spot): boolean {
  return open + asked + waiting.length === 0
}

/** What is open, or was since the store was told last, and what is asked for. */
function wanted({ place, key, open, peak, asked, max }: Spot): Hold {
  return { place, key, open, want: Math.max(open + asked, peak), max }
}

/** Says what is held of these and wanted; what is not wanted is held no more. Takes in the answers; `heard` is told of each, once it has been. */
function say(source: PlaceSource, spots: readonly Spot[], holds: readonly Hold[], heard: (position: number, held: Held | undefined) => void): void {
  for (const [at, { want }] of holds.entries()) {
    const spot = spots[at]!
    spot.held = Math.min(spot.held, want)
    spot.unheard.push(want)
  }
  source.hold(holds, (at, held) => {
    const spot = spots[at]!
    spot.unheard.shift()
    if (held !== undefined) {
      spot.held = Math.min(held.own, ...spot.unheard)
      spot.others = held.others
    }
    heard(at, held)
  })
}

function fill(spot: Spot): number {
  spot.open++
  spot.peak = Math.max(spot.peak, spot.open)
  return spot.others + spot.open
}
