/** Metrics as a plugin sees them: a family by name, a handle per set of label values, kept and counted on. */

/** Where a handle's number is kept. Add to `value`; it is read when somebody scrapes. */
export interface CounterHandle {
  value: number
}

/** Observes one value, in the family's unit. */
export interface HistogramHandle {
  observe(value: number): void
}

/** Makes or finds metric families. Asking again for a name gives the same family: counts survive a reload. */
export interface Metrics {
  /** A counter; `name` ends in `_total` (Prometheus naming). Look the handle up once, not per event. */
  counter(name: string, help: string, labelNames: readonly string[]): (...labels: string[]) => CounterHandle
  gauge(name: string, help: string, labelNames: readonly string[]): (...labels: string[]) => CounterHandle
  /** A histogram; `buckets` are upper bounds in the unit that the name ends in. */
  histogram(name: string, help: string, labelNames: readonly string[], buckets: readonly number[]): (...labels: string[]) => HistogramHandle
}
