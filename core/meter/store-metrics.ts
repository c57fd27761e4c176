/** What is shown of a store that holds budgets for several processes. */
import type { CounterHandle, HistogramHandle, Metrics } from '../plugin/metrics.ts'

/** Frames, by what drew for them. */
export interface FrameCounts {
  readonly lease: CounterHandle
  readonly store: CounterHandle
  readonly alone: CounterHandle
}

/** How the line to the store stands. */
export interface LinkMetrics {
  readonly up: CounterHandle
  readonly processes: CounterHandle
  readonly errors: (why: string) => CounterHandle
  readonly duration: (call: string) => HistogramHandle
}

export interface StoreMetrics extends LinkMetrics {
  readonly frames: FrameCounts
  readonly unsettled: CounterHandle
}

/** Seconds. A store in the same house answers within the second bucket. */
const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1]

/** Declares the families. Without a store, a process is all that shares its budgets. */
export function storeMetrics(metrics: Metrics): StoreMetrics {
  const frames = metrics.counter(
    'tollgate_store_frames_total',
    'Frames that drew on shared budgets, by what drew for them: a slice that was held (lease), the store, or the process alone.',
    ['by'],
  )
  const up = metrics.gauge('tollgate_store_up', '1 while the store of shared budgets answers, 0 while each process counts alone.', [], 'min')()
  const processes = metrics.gauge('tollgate_store_processes', 'Processes that share the budgets, as far as is known.', [], 'max')()
  up.value = processes.value = 1
  return {
    up,
    processes,
    errors: metrics.counter('tollgate_store_errors_total', 'Calls to the store that failed, by why.', ['why']),
    duration: metrics.histogram('tollgate_store_duration_seconds', 'From a call to the store until its answer.', ['call'], BUCKETS),
    frames: { lease: frames('lease'), store: frames('store'), alone: frames('alone') },
    unsettled: metrics.gauge('tollgate_store_unsettled', 'Budgets of which the store is yet to be told what was spent.', [])(),
  }
}
