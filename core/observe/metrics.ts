/**
 * Metrics on prom-client's registry. A handle is a plain number, so that counting on the hot path is an addition;
 * prom-client reads the numbers when somebody scrapes. A family lives as long as the process: asked for again
 * after a reload it is the same one, counts included. No family grows without bound.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { TEXT_FORMAT, familyText, loadPromClient } from './exposition.ts'
import type { CounterHandle, GaugeOver, HistogramHandle, Metrics } from '../plugin/metrics.ts'
import type { Registry } from 'prom-client'
import type { Declaration, FamilyDump, Labels, MetricsDump } from './exposition.ts'

/** Label sets that one family holds; further ones are counted together under `other`. A scrape of so many takes some 10 ms. */
const MAX_SERIES = 10_000

/** After so long a process has started. */
const SETTLED_MS = 500

/** What every label says in the series that takes what is above the bound. */
const COLLAPSED = 'other'

/** The metrics of one gateway, countable and readable. */
export interface MetricsRegistry extends Metrics {
  /** Everything in Prometheus' text format: what was counted here, and the process's CPU, memory, GC and event loop. */
  text(): Promise<string>
  /** The same as plain data, for a process that adds up several. */
  dump(): Promise<MetricsDump>
  /** The media type of `text`. */
  readonly contentType: string
}

/** Makes an empty registry. `maxSeries` bounds the label sets of each family. */
export function createMetrics(maxSeries: number = MAX_SERIES): MetricsRegistry {
  // Before the first scrape, whose calls would else wait for it; where it cannot be loaded, that scrape says so.
  setTimeout(() => void processMetrics().catch(() => undefined), SETTLED_MS).unref()
  const families = new Map<string, Family>()

  function family<H extends Series>(declared: Declaration, make: (labels: Labels) => H): (...labels: string[]) => H {
    const known = families.get(declared.name)
    if (known !== undefined) {
      if (signature(known.declared) !== signature(declared)) throw new TypeError(`metric ${declared.name} is already declared as ${signature(known.declared)}`)
      return known.of as (...labels: string[]) => H
    }
    const problem = nameProblem(declared)
    if (problem !== undefined) throw new TypeError(`metric ${declared.name}: ${problem}`)
    const series = new Map<string, H>()
    const of = seriesFinder(declared, series, make, maxSeries, () => collapsed(declared.name).value++)
    families.set(declared.name, { declared, of, series })
    return of
  }

  const metrics: Metrics = {
    counter: (name, help, labelNames) => family({ name, help, type: 'counter', labelNames, buckets: [], over: 'sum' }, makeNumber),
    gauge: (name, help, labelNames, over: GaugeOver = 'sum') => family({ name, help, type: 'gauge', labelNames, buckets: [], over }, makeNumber),
    histogram: (name, help, labelNames, buckets) =>
      family({ name, help, type: 'histogram', labelNames, buckets, over: 'sum' }, (labels) => new HistogramSeries(labels, buckets)),
  }
  const collapsed: (...labels: string[]) => CounterHandle = metrics.counter(
    'tollgate_metric_collapsed_total',
    'Label sets that were asked for after a family was full, and are counted under "other".',
    ['metric'],
  )

  return {
    ...metrics,
    text: async () => {
      const texts: string[] = []
      for (const one of families.values()) {
        texts.push(await familyText(dumpOf(one)))
        await nextTurn() // calls go on between families
      }
      return `${texts.join('\n\n')}\n\n${await (await processMetrics()).metrics()}`
    },
    dump: async () => ({ families: Array.from(families.values(), dumpOf), ofProcess: await (await processMetrics()).getMetricsAsJSON() }),
    contentType: TEXT_FORMAT,
  }
}

interface Family {
  readonly declared: Declaration
  readonly of: (...labels: string[]) => unknown
  readonly series: ReadonlyMap<string, Series>
}

function dumpOf({ declared, series }: Family): FamilyDump {
  return { declared, series: Array.from(series.values(), (one) => ({ labels: one.labels, numbers: one.numbers() })) }
}

/** What was counted under one label set. */
interface Series {
  readonly labels: Labels
  /** As exposition.ts wants them. */
  numbers(): readonly number[]
}

class NumberSeries implements Series, CounterHandle {
  value = 0
  readonly labels: Labels

  constructor(labels: Labels) {
    this.labels = labels
  }

  numbers(): readonly number[] {
    return [this.value]
  }
}

function makeNumber(labels: Labels): NumberSeries {
  return new NumberSeries(labels)
}

/** Counts per bucket; made cumulative, as Prometheus wants them, when they are shown. */
class HistogramSeries implements Series, HistogramHandle {
  readonly labels: Labels
  readonly bounds: readonly number[]
  /** One more than there are bounds: the last takes what is above all of them. */
  readonly counts: Float64Array
  sum = 0

  constructor(labels: Labels, bounds: readonly number[]) {
    this.labels = labels
    this.bounds = bounds
    this.counts = new Float64Array(bounds.length + 1)
  }

  observe(value: number): void {
    if (!Number.isFinite(value)) return // one NaN would spoil the sum for good
    const { bounds } = this
    let bucket = 0
    while (bucket < bounds.length && value > bounds[bucket]!) bucket++
    this.counts[bucket]!++
    this.sum += value
  }

  numbers(): readonly number[] {
    return [...this.counts, this.sum]
  }
}

/** Finds the series of a label set, or makes it while there is room. */
function seriesFinder<H>(
  { name, labelNames }: Declaration,
  series: Map<string, H>,
  make: (labels: Labels) => H,
  maxSeries: number,
  onCollapse: () => void,
): (...labels: string[]) => H {
  const labelled = (values: readonly string[]): Labels => Object.fromEntries(labelNames.map((label, i) => [label, values[i]!]))
  return (...values) => {
    if (values.length !== labelNames.length) throw new TypeError(`metric ${name} has ${labelNames.length} labels, not ${values.length}`)
    let key = JSON.stringify(values)
    let found = series.get(key)
    if (found === undefined && series.size >= maxSeries) {
      onCollapse()
      values = labelNames.map(() => COLLAPSED)
      key = COLLAPSED
      found = series.get(key)
    }
    if (found === undefined) {
      found = make(labelled(values))
      series.set(key, found)
    }
    return found
  }
}

function signature({ type, labelNames, buckets }: Declaration): string {
  return `${type}{${labelNames.join(',')}}${buckets.length === 0 ? '' : ` with buckets ${buckets.join(',')}`}`
}

/** https://prometheus.io/docs/practices/naming/ and our own prefix, under which everything of ours is found. */
function nameProblem({ name, type, labelNames, buckets }: Declaration): string | undefined {
  if (!/^tollgate_[a-z0-9_]+$/.test(name)) return 'the name must be tollgate_ and lower-case words'
  if (type === 'counter' && !name.endsWith('_total')) return 'the name of a counter must end in _total'
  if (labelNames.some((label) => !/^[a-z][a-z0-9_]*$/.test(label) || label === 'le')) return 'label names must be lower-case words, and not le'
  if (new Set(labelNames).size !== labelNames.length) return 'label names must differ'
  if (buckets.some((bound, i) => !Number.isFinite(bound) || (i > 0 && bound <= buckets[i - 1]!))) return 'buckets must be finite and rising'
  if (type === 'histogram' && buckets.length === 0) return 'a histogram needs buckets'
  return undefined
}

let ofProcess: Promise<Registry> | undefined

/** The process's own metrics, once per process however many gateways run in it: prom-client's observers never end. */
function processMetrics(): Promise<Registry> {
  ofProcess ??= loadPromClient().then(({ Registry, collectDefaultMetrics }) => {
    const register = new Registry()
    collectDefaultMetrics({ register })
    return register
  })
  return ofProcess
}
