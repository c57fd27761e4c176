/**
 * The node that is expected to be done first: its latency times what it has under way (Finagle's "peak EWMA"). A slow
 * answer counts at once and whole, a quick one only by and by, so a node that begins to stumble is left at once.
 */
import type { Chooser } from './chooser.ts'

/** After so long a time without a sample, a latency has faded to a third. Finagle's default. */
const FADE_MS = 10_000

/** What is expected of a node that has never answered and is being tried: others are better, but for the first request. */
const UNKNOWN_MS = 1e9

/** How long a node takes to answer. */
export class PeakLatency {
  private ms = 0
  private sampledAt = 0

  observe(ms: number, nowMs: number): void {
    const before = this.at(nowMs)
    const kept = Math.exp((this.sampledAt - nowMs) / FADE_MS)
    this.ms = ms > before ? ms : this.ms * kept + ms * (1 - kept)
    this.sampledAt = nowMs
  }

  /** What is expected now; 0 where nothing is known. It fades, so that a node which was slow once is tried again. */
  at(nowMs: number): number {
    return this.ms === 0 ? 0 : this.ms * Math.exp((this.sampledAt - nowMs) / FADE_MS)
  }
}

interface Timed {
  readonly weight: number
  readonly inFlight: number
  readonly latency: PeakLatency
}

export class PeakEwma<N extends Timed> implements Chooser<N> {
  private readonly monotonicMs: () => number
  private turn = 0

  constructor(monotonicMs: () => number) {
    this.monotonicMs = monotonicMs
  }

  pick(nodes: readonly N[]): N {
    const now = this.monotonicMs()
    const from = this.turn++
    let best: N | undefined
    let least = Infinity
    for (let i = 0; i < nodes.length; i++) {
      const node = nodes[(from + i) % nodes.length]!
      const expected = costOf(node, now)
      if (expected >= least && best !== undefined) continue
      best = node
      least = expected
    }
    return best!
  }
}

function costOf({ latency, inFlight, weight }: Timed, nowMs: number): number {
  const ms = latency.at(nowMs)
  if (ms === 0 && inFlight > 0) return UNKNOWN_MS + inFlight
  return (ms * (inFlight + 1)) / weight
}
