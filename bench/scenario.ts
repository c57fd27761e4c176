/** What a scenario is given, and what it finds. */
import type { Pace, Spread } from './cost.ts'

export interface Context {
  /** Port of the stub node. */
  readonly nodePort: number
  readonly pace: Pace
  /** Whether other programs are measured too. */
  readonly withPeers: boolean
  /** Whether a million keys are measured, which takes minutes. */
  readonly withMillion: boolean
}

/** A target of the project, and what was measured. */
export interface Verdict {
  readonly work: string
  readonly target: string
  /** `-` where it was not measured; `note` then says why. */
  readonly measured: string
  readonly isMet: boolean | undefined
  readonly note?: string
}

/** A bar of the chart. */
export interface Bar {
  readonly label: string
  /** CPU per call, in terms of the yardstick. */
  readonly ratio: Spread
  readonly isOurs: boolean
}

export interface Findings {
  readonly columns: readonly string[]
  readonly rows: readonly (readonly string[])[]
  readonly verdicts: readonly Verdict[]
  /** The side that ratios are taken to. */
  readonly yardstick?: string
  readonly bars: readonly Bar[]
  /** What was left out, and why. */
  readonly notes: readonly string[]
  /** All that was measured. */
  readonly raw: unknown
}

export interface Scenario {
  readonly name: string
  readonly title: string
  /** Whether its bars stand in the chart. */
  readonly isCharted?: boolean
  run(context: Context): Promise<Findings>
}
