/** Scenarios that compare what a call costs: sides, a yardstick among them, and targets in terms of one of them. */
import { costRatio, measureCost, spread } from './cost.ts'
import { peers } from './peers.ts'
import type { Measured, Side, Spread } from './cost.ts'
import type { SideLoad } from './loads.ts'
import type { PeerName } from './peers.ts'
import type { Context, Findings, Verdict } from './scenario.ts'

/** What a side may cost, in terms of another. */
export interface Bound {
  readonly work: string
  readonly side: string
  readonly to: string
  readonly atMost: number
}

/** How many calls a second a side has to serve, in terms of another, under the same closed load. */
export interface Pull {
  readonly work: string
  readonly side: string
  readonly to: string
  readonly atLeast: number
}

export interface Comparison {
  readonly sides: readonly Side[]
  /** The side that ratios are printed in. */
  readonly yardstick: string
  readonly bounds: readonly Bound[]
  readonly throughput?: readonly Pull[]
}

/** The peer that most targets are set in. */
export const YARDSTICK = 'nginx-lua'

/** Measures a comparison. */
export async function compare({ sides, yardstick, bounds, throughput = [] }: Comparison, { pace }: Context, notes: readonly string[] = []): Promise<Findings> {
  const { measured, missing, usedByOthers } = await measureCost(sides, pace)
  const find = (name: string): Measured | undefined => measured.find((side) => side.name === name)
  const base = find(yardstick)
  return {
    columns: ['', 'CPU µs per call', `× ${yardstick}`, 'calls/s', 'p50 ms', 'p99 ms', 'failed'],
    rows: measured.map((side) => row(side, base)),
    verdicts: [
      ...bounds.map((bound) => judge(bound, find(bound.side), find(bound.to))),
      ...throughput.map((pull) => judgePull(pull, find(pull.side), find(pull.to))),
    ],
    yardstick,
    bars: base === undefined ? [] : measured.map((side) => ({ label: side.name, ratio: costRatio(side, base), isOurs: side.name.startsWith('gateway') })),
    notes: [
      ...notes,
      ...missing.map(({ name, why }) => `${name} was not measured: ${why}`),
      ...measured.flatMap(besideNote),
      `other programs used ${Math.round(100 * usedByOthers)} % of the machine`,
    ],
    raw: { measured, missing, usedByOthers },
  }
}

/** Measures sides beside nginx + Lua, and beside others; those that are not installed, or not wanted, are left out. */
export async function besidePeers(
  context: Context,
  what: {
    readonly sides: readonly Side[]
    /** Further peers. */
    readonly peers: readonly PeerName[]
    /** Peers that are in this repository, and so always there. The first is the yardstick where nginx + Lua is not. */
    readonly references: readonly PeerName[]
    /** What the peers are asked. */
    readonly load: SideLoad
    /** In terms of the yardstick, unless they say otherwise. */
    readonly bounds: readonly (Omit<Bound, 'to'> & Partial<Bound>)[]
    readonly throughput?: readonly Pull[]
  },
): Promise<Findings> {
  const wanted = [...(context.withPeers ? [YARDSTICK as PeerName, ...what.peers] : []), ...what.references]
  const installed = wanted.filter((name) => peers[name].missing === undefined)
  const notes = wanted.filter((name) => !installed.includes(name)).map((name) => `${name} is not installed: ${peers[name].missing}`)
  const sides = [
    ...what.sides,
    ...installed.map((name) => ({ name, start: () => peers[name].start(context.nodePort), load: what.load, isCompiled: peers[name].isCompiled })),
  ]
  const yardstick = installed.includes(YARDSTICK) ? YARDSTICK : (what.references[0] ?? what.sides[0]!.name)
  return compare({ sides, yardstick, bounds: what.bounds.map((bound) => ({ to: YARDSTICK, ...bound })), throughput: what.throughput ?? [] }, context, notes)
}

function row(side: Measured, base: Measured | undefined): string[] {
  const of = (value: (round: Measured['rounds'][number]) => number): Spread => spread(side.rounds.map(value))
  return [
    side.name,
    withSpread(
      of(({ cpuUsPerCall }) => cpuUsPerCall),
      1,
    ),
    base === undefined ? '-' : withSpread(costRatio(side, base), 2),
    Math.round(of(({ callsPerSecond }) => callsPerSecond).median).toString(),
    (of(({ p50Us }) => p50Us).median / 1000).toFixed(2),
    (of(({ p99Us }) => p99Us).median / 1000).toFixed(2),
    side.rounds.reduce((sum, { failed }) => sum + failed, 0).toString(),
  ]
}

function judge({ work, side, to, atMost }: Bound, measured: Measured | undefined, base: Measured | undefined): Verdict {
  const target = `≤ ${atMost} × ${to}`
  if (measured === undefined || base === undefined) return unmeasured(work, target, `${measured === undefined ? side : to} was not measured`)
  const ratio = costRatio(measured, base)
  return { work, target, measured: withSpread(ratio, 2), isMet: ratio.median <= atMost }
}

function judgePull({ work, side, to, atLeast }: Pull, measured: Measured | undefined, base: Measured | undefined): Verdict {
  const target = `≥ ${Math.round(100 * atLeast)} % of ${to}`
  if (measured === undefined || base === undefined) return unmeasured(work, target, `${measured === undefined ? side : to} was not measured`)
  const ratio = spread(measured.rounds.map(({ callsPerSecond }, i) => callsPerSecond / base.rounds[i]!.callsPerSecond))
  return { work, target, measured: withSpread(ratio, 2), isMet: ratio.median >= atLeast }
}

/** A target that nothing was measured for. */
export function unmeasured(work: string, target: string, note: string): Verdict {
  return { work, target, measured: '-', isMet: undefined, note }
}

/** What is used beside the server: a store. */
function besideNote({ name, rounds }: Measured): string[] {
  const { median } = spread(rounds.map(({ besideCpuUsPerCall }) => besideCpuUsPerCall))
  return median === 0 ? [] : [`${name}: ${median.toFixed(1)} µs per call in the store, not counted above`]
}

/** `12.3 (11.9 – 13.0)` */
export function withSpread({ median, least, most }: Spread, digits: number): string {
  return `${median.toFixed(digits)} (${least.toFixed(digits)} – ${most.toFixed(digits)})`
}
