/**
 * Whether the process is at its limits. New work is refused while it is, so that what has begun is finished, and begun
 * again by itself. Sampled by a timer: asking costs a request nothing but reading a field.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { getHeapStatistics } from 'node:v8'
import { refuse } from '../plugin/outcome.ts'
import { Room } from '../plugin/room.ts'
import type { PluginLog } from '../plugin/define.ts'
import type { CounterHandle, Metrics } from '../plugin/metrics.ts'
import type { Refusal } from '../plugin/outcome.ts'

/** What the system lets the process have. */
export interface Machine {
  /** Memory that the process occupies now. */
  readonly rssBytes: () => number
  /** Memory that it may occupy; Infinity where nobody says. */
  readonly memoryLimitBytes: number
  /** Files and sockets that it may have open; Infinity where nobody says. */
  readonly maxOpenFiles: number
}

/** A process of which nothing is known. */
export const UNKNOWN_MACHINE: Machine = { rssBytes: () => 0, memoryLimitBytes: Infinity, maxOpenFiles: Infinity }

export interface OverloadLimits {
  /** Part of the memory, of the heap and of what the system gives, from which on new work is refused. */
  readonly maxMemoryShare: number
  /** How late the event loop may be, twice in a row. */
  readonly maxLagMs: number
  /** Bytes of bodies and answers that are held at once; undefined is a quarter of the memory. */
  readonly maxHeldBytes: number | undefined
}

/** What the guard looks at. */
export interface Gauges {
  /** Used part of the heap. */
  heapShare(): number
  /** Used part of what the system gives. */
  memoryShare(): number
  /** How late the event loop has been on average since it was last asked. */
  lagMs(): number
}

type By = 'heap' | 'memory' | 'event-loop'

const MESSAGE = 'The gateway has more to do than it can; try again'
const refusals: Readonly<Record<By, Refusal>> = {
  heap: refuse('overloaded', 'heap', { message: MESSAGE, retryAfterMs: 1000 }),
  memory: refuse('overloaded', 'memory', { message: MESSAGE, retryAfterMs: 1000 }),
  'event-loop': refuse('overloaded', 'event-loop', { message: MESSAGE, retryAfterMs: 1000 }),
}

/** The backlog of all WebSockets has one byte for so many of bodies and answers. */
const BACKLOG_PART = 4

/** A heap that grows by 24 MiB between two looks, faster than bodies can be read, still stays within its last tenth at 256 MiB. */
const LOOK_EVERY_MS = 100
/** The event loop is looked at every so many looks: one long garbage collection is no overload. */
const LOOKS_AT_LOOP = 3

export class OverloadGuard {
  /** Why new work is refused now; undefined while there is room. */
  refusal: Refusal | undefined
  /** For bodies and answers. */
  readonly room: Room
  /** For what waits for the readers of WebSockets, or is remembered for them. */
  readonly backlog: Room
  private readonly limits: OverloadLimits
  private readonly gauges: Gauges
  private readonly log: PluginLog
  private readonly refusing: Readonly<Record<By, CounterHandle>>
  private timer: NodeJS.Timeout | undefined
  private looks = 0
  private isLate = false
  private wasLate = false

  constructor(limits: OverloadLimits, machine: Machine, metrics: Metrics, log: PluginLog, gauges: Gauges = gaugesOf(machine)) {
    this.limits = limits
    this.gauges = gauges
    this.log = log
    const maxHeldBytes = limits.maxHeldBytes ?? Math.floor(Math.min(heapLimitBytes(), machine.memoryLimitBytes) / 4)
    this.room = new Room(metrics.gauge('tollgate_held_bytes', 'Bytes of bodies and answers that are held in memory.', [])(), maxHeldBytes)
    const backlog = metrics.gauge('tollgate_backlog_bytes', 'Bytes that wait for the clients of WebSockets to read them, or are remembered for them.', [])
    this.backlog = new Room(backlog(), Math.floor(maxHeldBytes / BACKLOG_PART))
    const overloaded = metrics.gauge('tollgate_overloaded', '1 while new work is refused, by what there is too little of.', ['by'])
    this.refusing = { heap: overloaded('heap'), memory: overloaded('memory'), 'event-loop': overloaded('event-loop') }
  }

  start(): void {
    this.timer = setInterval(() => this.look(), LOOK_EVERY_MS).unref()
  }

  stop(): void {
    clearInterval(this.timer)
  }

  look(): void {
    if (++this.looks % LOOKS_AT_LOOP === 0) {
      this.wasLate = this.isLate
      this.isLate = this.gauges.lagMs() >= this.limits.maxLagMs
    }
    const { maxMemoryShare } = this.limits
    const isHeapFull = this.gauges.heapShare() >= maxMemoryShare
    const by = isHeapFull ? 'heap' : this.gauges.memoryShare() >= maxMemoryShare ? 'memory' : this.isLate && this.wasLate ? 'event-loop' : undefined
    if (this.refusal === (by && refusals[by])) return
    this.refusal = by && refusals[by]
    for (const one of Object.keys(this.refusing) as By[]) this.refusing[one].value = one === by ? 1 : 0
    if (by === undefined) this.log.info({}, 'new work is taken again')
    else this.log.warn({ by }, 'overloaded: new work is refused')
  }
}

/** V8 counts three semi-spaces of 32 MiB into its limit, and gives up when the rest of it is full. */
const YOUNG_BYTES = 3 * 32 * 1024 * 1024

function heapLimitBytes(): number {
  const limit = getHeapStatistics().heap_size_limit
  return Math.max(limit - YOUNG_BYTES, limit / 2)
}

const LOOP_RESOLUTION_MS = 20

function gaugesOf({ rssBytes, memoryLimitBytes }: Machine): Gauges {
  const limit = heapLimitBytes()
  const loop = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS })
  loop.enable()
  let share = 0
  return {
    heapShare: () => getHeapStatistics().used_heap_size / limit,
    memoryShare: () => {
      try {
        share = rssBytes() / memoryLimitBytes
      } catch {
        // Linux tells it by a file, which cannot be opened while file descriptors have run out: what was last known has to do.
      }
      return share
    },
    lagMs: () => {
      const { count, mean } = loop
      loop.reset()
      return count === 0 ? 0 : mean / 1e6 - LOOP_RESOLUTION_MS
    },
  }
}
