/**
 * Metrics as plain data, that travels between processes, and as Prometheus' text format. What several processes counted
 * is one family again: counters and histograms are added up, gauges as they were declared; the metrics of the processes
 * themselves stay apart, by a label.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type * as PromClient from 'prom-client'
import type { Metric, MetricObjectWithValues, MetricValue } from 'prom-client'
import type { GaugeOver } from '../plugin/metrics.ts'

/** The media type of the text format. */
export const TEXT_FORMAT = 'text/plain; version=0.0.4; charset=utf-8'

let loading: Promise<typeof PromClient> | undefined

/** prom-client, which takes an eighth of a start to load, and which nobody needs before somebody scrapes. */
export function loadPromClient(): Promise<typeof PromClient> {
  return (loading ??= import('prom-client'))
}

export type Labels = Readonly<Record<string, string>>

/** What a family was declared as. */
export interface Declaration {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly labelNames: readonly string[]
  /** Upper bounds of a histogram. */
  readonly buckets: readonly number[]
  readonly over: GaugeOver
}

/** What one process counted of one family. */
export interface FamilyDump {
  readonly declared: Declaration
  readonly series: readonly SeriesDump[]
}

interface SeriesDump {
  readonly labels: Labels
  /** The value; of a histogram the count in each bucket, that above all bounds, and the sum. */
  readonly numbers: readonly number[]
}

/** prom-client's own metrics of a process: CPU, memory, GC, event loop. */
type ProcessMetric = MetricObjectWithValues<MetricValue<string>>

/** All that one process counted. */
export interface MetricsDump {
  readonly families: readonly FamilyDump[]
  readonly ofProcess: readonly ProcessMetric[]
}

/** One line of the text format, as prom-client takes it. It keeps the text of `sharedLabels`. */
interface Sample {
  readonly metricName?: string
  readonly labels: Readonly<Record<string, string | number>>
  readonly sharedLabels: Labels
  readonly value: number
}

const NO_LABELS = {}

/** A family in the text format, without a line break at its end. */
export function familyText({ declared, series }: FamilyDump): Promise<string> {
  const { name, help, type } = declared
  const values = series.flatMap(({ labels, numbers }) => {
    return type === 'histogram' ? histogramSamples(declared, labels, numbers) : [{ labels: NO_LABELS, sharedLabels: labels, value: numbers[0]! }]
  })
  return written({ name, help, type, values })
}

async function written(metric: { readonly name: string; readonly help: string; readonly type: unknown; readonly values: readonly unknown[] }): Promise<string> {
  const { Registry } = await loadPromClient()
  const registry = new Registry()
  registry.registerMetric({ name: metric.name, getForPromString: () => metric } as unknown as Metric) // all that a registry asks of a metric
  return registry.getSingleMetricAsString(metric.name)
}

function histogramSamples({ name, buckets }: Declaration, labels: Labels, numbers: readonly number[]): Sample[] {
  const samples: Sample[] = []
  let count = 0
  for (let bucket = 0; bucket <= buckets.length; bucket++) {
    count += numbers[bucket]!
    samples.push({ metricName: `${name}_bucket`, labels: { le: buckets[bucket] ?? '+Inf' }, sharedLabels: labels, value: count })
  }
  samples.push({ metricName: `${name}_sum`, labels: NO_LABELS, sharedLabels: labels, value: numbers.at(-1)! })
  samples.push({ metricName: `${name}_count`, labels: NO_LABELS, sharedLabels: labels, value: count })
  return samples
}

/** What several processes counted, as one text. `parts` holds what each of them counted, by the name that its own metrics get as the label `worker`. */
export async function mergedText(parts: ReadonlyMap<string, MetricsDump>, more: readonly FamilyDump[]): Promise<string> {
  const texts: string[] = []
  for (const family of mergedFamilies([more, ...Array.from(parts.values(), ({ families }) => families)])) {
    texts.push(await familyText(family))
    await nextTurn()
  }
  for (const metric of labelledProcesses(parts)) texts.push(await written(metric))
  return `${texts.join('\n\n')}\n`
}

/** Adds up families of the same name, in the order in which they are first met. */
export function mergedFamilies(dumps: readonly (readonly FamilyDump[])[]): readonly FamilyDump[] {
  const merged = new Map<string, { readonly declared: Declaration; readonly series: Map<string, { labels: Labels; numbers: number[] }> }>()
  for (const { declared, series } of dumps.flat()) {
    let family = merged.get(declared.name)
    if (family === undefined) merged.set(declared.name, (family = { declared, series: new Map() }))
    for (const { labels, numbers } of series) {
      const key = JSON.stringify(Object.values(labels))
      const known = family.series.get(key)
      if (known === undefined) family.series.set(key, { labels, numbers: [...numbers] })
      else add(known.numbers, numbers, declared.over)
    }
  }
  return Array.from(merged.values(), ({ declared, series }) => ({ declared, series: [...series.values()] }))
}

function add(to: number[], numbers: readonly number[], over: GaugeOver): void {
  for (const [at, number] of numbers.entries()) {
    const known = to[at] ?? 0
    to[at] = over === 'sum' ? known + number : Math[over](known, number)
  }
}

function labelledProcesses(parts: ReadonlyMap<string, MetricsDump>): readonly ProcessMetric[] {
  const metrics = new Map<string, ProcessMetric>()
  for (const [worker, { ofProcess }] of parts) {
    for (const metric of ofProcess) {
      const values = metric.values.map((value) => ({ ...value, labels: { worker, ...value.labels } }))
      const known = metrics.get(metric.name)
      if (known === undefined) metrics.set(metric.name, { ...metric, values })
      else known.values.push(...values)
    }
  }
  return [...metrics.values()]
}
