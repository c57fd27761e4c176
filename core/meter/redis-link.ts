/**
 * The line to Redis, and whether it can be relied on. A call that is not answered in time has failed for whoever waits,
 * who goes on without; when most calls fail, or the connection is lost, nobody asks any more until probes are answered.
 * How it stands is logged when it changes, and shown in metrics.
 */
import { Breaker } from './breaker.ts'
import { tagOf } from './redis-budgets.ts'
import type { HistogramHandle } from '../plugin/metrics.ts'
import type { PluginLog } from '../plugin/define.ts'
import type { RedisClient } from './redis-client.ts'
import type { ScriptName } from './redis-scripts.ts'
import type { StoreClock } from './store-clock.ts'
import type { LinkMetrics } from './store-metrics.ts'

/** How often a process says that it is there. */
const BEAT_MS = 1000
/** And for how long it counts as there. */
const LIFE_MS = 5000
/** How often a store that is away is probed, and how soon again when it has answered. */
const PROBE_MS = 200
const NEXT_PROBE_MS = 10
/** Keys that one script looks at, so that Redis is not held up for longer than a millisecond. */
const MAX_KEYS = 100
const PROCESSES_KEY = 'tollgate:processes'

export interface LinkOptions {
  /** How long anybody waits. */
  readonly timeoutMs: number
  /** Names this process among those that share the store. */
  readonly process: string
  readonly clock: StoreClock
  readonly monotonicMs: () => number
  readonly log: Pick<PluginLog, 'info' | 'error'>
  readonly metrics: LinkMetrics
  /** Runs when the store is there again, before anything else is asked of it. */
  readonly back: () => void
  /** Replaces Redis's own clock, in tests. */
  readonly now?: () => number
}

type Arguments = readonly (string | number)[]

/** Hears an answer, or that there was none. */
type Hear = (reply: readonly number[] | undefined) => void

export class RedisLink {
  /** Processes that share the store, this one included: the most of late, for a store that was emptied knows of none at first. */
  processes = 1
  /** How often a connection broke. */
  breaks = 0
  #fewerSince = Infinity
  readonly #client: RedisClient
  readonly #options: LinkOptions
  readonly #breaker: Breaker
  readonly #durations: Readonly<Record<ScriptName, HistogramHandle>>
  #error: Error | undefined
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(client: RedisClient, options: LinkOptions) {
    const { duration, up } = options.metrics
    this.#client = client
    this.#options = options
    this.#breaker = new Breaker(true, (isOpen) => this.#turned(isOpen))
    this.#durations = { draw: duration('draw'), take: duration('take'), settle: duration('settle'), beat: duration('beat'), hold: duration('hold') }
    up.value = 0
  }

  /** Asking is in vain for now. */
  get isAway(): boolean {
    return this.#breaker.isOpen
  }

  get isCluster(): boolean {
    return this.#client.isCluster
  }

  get process(): string {
    return this.#options.process
  }

  /** What may go into one script with other keys of its group: anything, but in a Redis Cluster only what has one tag. */
  groupOf(key: string): string {
    return this.isCluster ? tagOf(key) : ''
  }

  /** Which keys go into one script together: their positions in the list, for each script. */
  inScripts(keys: readonly string[]): readonly (readonly number[])[] {
    const scripts: number[][] = []
    const open = new Map<string, number[]>()
    for (const [at, key] of keys.entries()) {
      const group = this.groupOf(key)
      let positions = open.get(group)
      if (positions === undefined || positions.length === MAX_KEYS) {
        open.set(group, (positions = []))
        scripts.push(positions)
      }
      positions.push(at)
    }
    return scripts
  }

  /**
   * Runs a script. `hear` is called once, with its answer, or with undefined where there was none in time; an answer
   * that comes later goes to `late`, for what the script did is done. Answers are heard in the order in which they come.
   */
  run(script: ScriptName, keys: readonly string[], args: Arguments, hear: Hear, late?: (reply: readonly number[]) => void): void {
    if (this.isAway || this.#isClosed) hear(undefined)
    else this.#send(script, keys, args, hear, late)
  }

  /** Waits until the store is there, for so long at most; a store that is not is said to be away. */
  async opened(withinMs: number): Promise<void> {
    const until = this.#options.monotonicMs() + withinMs
    while (this.isAway && this.#options.monotonicMs() < until) await new Promise((resolve) => setTimeout(resolve, 5))
    if (this.isAway) this.#turned(true)
  }

  /** The connection stands: probes it at once. */
  connected(): void {
    if (!this.#isClosed) this.#beat()
  }

  lost(error: Error | undefined): void {
    this.#error = error ?? this.#error
    this.breaks++
    if (!this.#isClosed) this.#breaker.trip()
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#client.close()
  }

  #send(script: ScriptName, keys: readonly string[], args: Arguments, hear: Hear, late?: (reply: readonly number[]) => void): void {
    const { timeoutMs, monotonicMs, now, clock } = this.#options
    const askedAt = monotonicMs()
    let isOver = false
    const fail = (error: Error | undefined): void => {
      if (isOver) return
      isOver = true
      clearTimeout(timer)
      this.#failed(error)
      hear(undefined)
    }
    // A loop that was held up finds timers due before it reads what has arrived: the answer may be there.
    const timer = setTimeout(() => setImmediate(fail, undefined), timeoutMs)
    this.#client.run(script, keys, [now === undefined ? '-' : now(), ...args]).then(
      (reply) => {
        if (isOver) return late?.(reply)
        isOver = true
        clearTimeout(timer)
        const heardAt = monotonicMs()
        this.#durations[script].observe((heardAt - askedAt) / 1000)
        clock.hear(reply[0]!, askedAt, heardAt)
        this.#breaker.record(true, heardAt)
        hear(reply)
      },
      (error: Error) => fail(error),
    )
  }

  #failed(error: Error | undefined): void {
    this.#error = error ?? new Error(`no answer within ${this.#options.timeoutMs} ms`)
    const word = wordOf(error)
    if (word === 'connection') this.breaks++ // of a cluster a node may be lost, and the rest go on
    this.#options.metrics.errors(word).value++
    this.#breaker.record(false, this.#options.monotonicMs())
  }

  #turned(isOpen: boolean): void {
    const { log, metrics } = this.#options
    metrics.up.value = isOpen ? 0 : 1
    if (isOpen) log.error({ err: this.#error }, 'the store of budgets is away: every process counts alone')
    else {
      log.info({}, 'the store of budgets is there')
      this.#options.back()
    }
    if (isOpen && !this.#isClosed) this.#beatIn(PROBE_MS)
  }

  /** Says that this process is there, and learns how many are. */
  #beat(): void {
    clearTimeout(this.#timer)
    this.#send('beat', [PROCESSES_KEY], [this.#options.process, LIFE_MS], (reply) => {
      if (this.#isClosed) return
      if (reply !== undefined) this.#counted(reply[1]!)
      this.#beatIn(!this.isAway ? BEAT_MS : reply === undefined ? PROBE_MS : NEXT_PROBE_MS)
    })
  }

  #counted(processes: number): void {
    const now = this.#options.monotonicMs()
    if (processes >= this.processes) this.#fewerSince = Infinity
    else this.#fewerSince = Math.min(this.#fewerSince, now)
    if (processes < this.processes && now - this.#fewerSince < LIFE_MS) return
    this.processes = this.#options.metrics.processes.value = processes
  }

  #beatIn(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#beat(), ms).unref()
  }
}

/** What Redis's errors begin with, and the words for them. */
const WORDS: Readonly<Record<string, string>> = {
  READONLY: 'read-only',
  OOM: 'full',
  MISCONF: 'not-persisting',
  NOREPLICAS: 'no-replicas',
  LOADING: 'loading',
  BUSY: 'busy',
  CLUSTERDOWN: 'cluster-down',
  NOAUTH: 'denied',
  NOPERM: 'denied',
  WRONGPASS: 'denied',
}

/** One closed word for why a call failed. */
function wordOf(error: Error | undefined): string {
  if (error === undefined) return 'timeout'
  if (error.name !== 'ReplyError') return 'connection'
  return WORDS[error.message.split(' ', 1)[0]!] ?? 'other'
}
