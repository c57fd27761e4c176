import { describe, expect, test } from 'vitest'
import { mergedFamilies, mergedText } from '../../core/observe/exposition.ts'
import { createMetrics } from '../../core/observe/metrics.ts'
import type { MetricsRegistry } from '../../core/observe/metrics.ts'

/** A process's metrics after some counting, as they travel to another process. */
async function dumped(count: (metrics: MetricsRegistry) => void) {
  const metrics = createMetrics()
  count(metrics)
  return structuredClone(await metrics.dump())
}

/** The lines of the merged text of several processes that start with this. */
async function merged(start: string, ...counts: ((metrics: MetricsRegistry) => void)[]): Promise<string[]> {
  const parts = new Map<string, Awaited<ReturnType<typeof dumped>>>()
  for (const [at, count] of counts.entries()) parts.set(String(at + 1), await dumped(count))
  return (await mergedText(parts, [])).split('\n').filter((line) => line.startsWith(start))
}

describe('the metrics of several processes as one', () => {
  const things = (kind: string, count: number) => (metrics: MetricsRegistry) => {
    metrics.counter('tollgate_things_total', 'Things.', ['kind'])(kind).value += count
  }

  test('counters are added up, label set by label set', async () => {
    expect(await merged('tollgate_things', things('good', 2), things('good', 3), things('bad', 1))).toEqual([
      'tollgate_things_total{kind="good"} 5',
      'tollgate_things_total{kind="bad"} 1',
    ])
    expect(await merged('# TYPE tollgate_things', things('good', 2), things('good', 3))).toEqual(['# TYPE tollgate_things_total counter'])
  })

  test('histograms are added up bucket by bucket', async () => {
    const observing = (value: number) => (metrics: MetricsRegistry) =>
      metrics.histogram('tollgate_thing_seconds', 'Things.', ['kind'], [1, 2])('a').observe(value)
    expect(await merged('tollgate_thing', observing(0.5), observing(1.5), observing(5))).toEqual([
      'tollgate_thing_seconds_bucket{le="1",kind="a"} 1',
      'tollgate_thing_seconds_bucket{le="2",kind="a"} 2',
      'tollgate_thing_seconds_bucket{le="+Inf",kind="a"} 3',
      'tollgate_thing_seconds_sum{kind="a"} 7',
      'tollgate_thing_seconds_count{kind="a"} 3',
    ])
  })

  test.each([
    ['sum', 6],
    ['min', 2],
    ['max', 4],
  ] as const)('a gauge that is declared as %s of 2 and 4 is %i', async (over, value) => {
    const measured = (value: number) => (metrics: MetricsRegistry) => {
      metrics.gauge('tollgate_level', 'A level.', [], over)().value = value
    }
    expect(await merged('tollgate_level', measured(4), measured(2))).toEqual([`tollgate_level ${value}`])
  })

  test('a label value that holds quotes stays one label', async () => {
    expect(await merged('tollgate_things', things('a","b', 1), things('a","b', 1))).toEqual(['tollgate_things_total{kind="a\\",\\"b"} 2'])
  })

  test('metrics of the processes themselves stay apart', async () => {
    const lines = await merged('process_resident_memory_bytes', things('a', 1), things('a', 1))
    expect(lines.map((line) => line.split(' ')[0])).toEqual(['process_resident_memory_bytes{worker="1"}', 'process_resident_memory_bytes{worker="2"}'])
    expect(await merged('# TYPE process_resident_memory_bytes', things('a', 1), things('a', 1))).toHaveLength(1)
    expect(await merged('nodejs_gc_duration_seconds_count{worker="1"', things('a', 1))).not.toEqual([])
  })

  test('what ended processes counted is not forgotten', async () => {
    const { families } = await dumped(things('good', 2))
    const text = await mergedText(new Map([['1', await dumped(things('good', 3))]]), families)
    expect(text).toContain('\ntollgate_things_total{kind="good"} 5\n')
  })

  test('merging leaves what it was given as it was', async () => {
    const { families } = await dumped(things('good', 2))
    mergedFamilies([families, families])
    expect(families.find(({ declared }) => declared.name === 'tollgate_things_total')!.series[0]!.numbers).toEqual([2])
  })

  test('the text is in the format that a single process writes', async () => {
    const text = await mergedText(new Map([['1', await dumped(things('good', 3))]]), [])
    for (const line of text.split('\n')) expect(line).toMatch(/^(# (HELP|TYPE) .*|[a-zA-Z0-9_:]+(\{.*\})? \S+|)$/)
    expect(text.endsWith('\n')).toBe(true)
  })
})
