/** What a scenario is given, and what it finds. */
import type { Pace } from './cost.ts'

export interface Context {
  /** Port of the stub node. */
  readonly nodePort: number
  readonly pace: Pace
  /** Whether other programs are measured too. */
  readonly withPeers: boolean
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
  /** CPU microseconds per call. */
  readonly value: number
  readonly least: number
  readonly most: number
  readonly isOurs: boolean
}

export interface Findings {
  readonly columns: readonly string[]
  readonly rows: readonly (readonly string[])[]
  readonly verdicts: readonly Verdict[]
  readonly bars: readonly Bar[]
  /** What was left out, and why. */
  readonly notes: readonly string[]
  /** All that was measured. */
  readonly raw: unknown
}

export interface Scenario {
  readonly name: string
  readonly title: string
  run(context: Context): Promise<Findings>
}
