/** Metrics as a plugin sees them: a family by name, a handle per set of label values, kept and counted on. */

/** Where a handle's number is kept. Add to `value`; it is read when somebody scrapes. */
export interface CounterHandle {
  value: number
}

/** Observes one value, in the family's unit. */
export interface HistogramHandle {
  observe(value: number): void
}

/** What the values that several processes have for one gauge make together. By default their sum. */
export type GaugeOver = 'sum' | 'min' | 'max'

/** Makes or finds metric families. Asking again for a name gives the same family: counts survive a reload. */
export interface Metrics {
  /** A counter; `name` ends in `_total` (Prometheus naming). Look the handle up once, not per event. */
  counter(name: string, help: string, labelNames: readonly string[]): (...labels: string[]) => CounterHandle
  /** A gauge; `over` says what the values of several worker processes make together. */
  gauge(name: string, help: string, labelNames: readonly string[], over?: GaugeOver): (...labels: string[]) => CounterHandle
  /** A histogram; `buckets` are upper bounds in the unit that the name ends in. */
  histogram(name: string, help: string, labelNames: readonly string[], buckets: readonly number[]): (...labels: string[]) => HistogramHandle
}
