/** Scenarios that compare what a call costs: sides, a yardstick among them, and targets in terms of it. */
import { costRatio, measureCost, spread } from './cost.ts'
import { peers } from './peers.ts'
import type { Measured, Side, Spread } from './cost.ts'
import type { PeerName } from './peers.ts'
import type { Bar, Context, Findings, Verdict } from './scenario.ts'

/** What a side may cost, in terms of another. */
export interface Bound {
  readonly work: string
  readonly side: string
  readonly to: string
  /** The name of `to` in the table of targets. */
  readonly toTitle: string
  readonly atMost: number
}

export interface Comparison {
  readonly sides: readonly Side[]
  /** The side that ratios are printed in. */
  readonly yardstick: string
  readonly bounds: readonly Bound[]
  /** Sides that were left out before, and why. */
  readonly left?: readonly string[]
}

export const COLUMNS = ['', 'CPU µs per call', '× yardstick', 'calls/s', 'p50 ms', 'p99 ms', 'failed']

/** Measures a comparison. */
export async function compare({ sides, yardstick, bounds, left = [] }: Comparison, { pace }: Context): Promise<Findings> {
  const { measured, missing } = await measureCost(sides, pace)
  const find = (name: string): Measured | undefined => measured.find((side) => side.name === name)
  const base = find(yardstick)
  return {
    columns: COLUMNS,
    rows: measured.map((side) => row(side, base)),
    verdicts: bounds.map((bound) => judge(bound, find(bound.side), find(bound.to))),
    bars: measured.map(bar),
    notes: [...left, ...missing.map(({ name, why }) => `${name} was not measured: ${why}`)],
    raw: { measured, missing },
  }
}

/** Peers that are installed, as sides; what is missing, as notes. */
export function peerSides(names: readonly PeerName[], { nodePort }: Context, load: Side['load']): { sides: Side[]; left: string[] } {
  const sides: Side[] = []
  const left: string[] = []
  for (const name of names) {
    const { missing, start } = peers[name]
    if (missing === undefined) sides.push({ name, start: () => start(nodePort), load })
    else left.push(`${name} is not installed: ${missing}`)
  }
  return { sides, left }
}

function row({ name, rounds }: Measured, base: Measured | undefined): string[] {
  const of = (value: (round: Measured['rounds'][number]) => number): Spread => spread(rounds.map(value))
  return [
    name,
    withSpread(
      of(({ cpuUsPerCall }) => cpuUsPerCall),
      1,
    ),
    base === undefined ? '-' : withSpread(costRatio({ name, rounds }, base), 2),
    Math.round(of(({ callsPerSecond }) => callsPerSecond).median).toString(),
    (of(({ p50Us }) => p50Us).median / 1000).toFixed(2),
    (of(({ p99Us }) => p99Us).median / 1000).toFixed(2),
    rounds.reduce((sum, { failed }) => sum + failed, 0).toString(),
  ]
}

function judge({ work, side, to, toTitle, atMost }: Bound, measured: Measured | undefined, base: Measured | undefined): Verdict {
  const target = `≤ ${atMost} × ${toTitle}`
  if (measured === undefined || base === undefined) {
    return { work, target, measured: '-', isMet: undefined, note: `${measured === undefined ? side : to} was not measured` }
  }
  const ratio = costRatio(measured, base)
  return { work, target, measured: withSpread(ratio, 2), isMet: ratio.median <= atMost }
}

function bar({ name, rounds }: Measured): Bar {
  const { median, least, most } = spread(rounds.map(({ cpuUsPerCall }) => cpuUsPerCall))
  return { label: name, value: median, least, most, isOurs: name.startsWith('gateway') }
}

/** `12.3 (11.9 – 13.0)` */
export function withSpread({ median, least, most }: Spread, digits: number): string {
  return `${median.toFixed(digits)} (${least.toFixed(digits)} – ${most.toFixed(digits)})`
}
