import { describe, expect, test } from 'vitest'
import { createMetrics } from '../../core/observe/metrics.ts'
import { coreMetrics } from '../../core/observe/core-metrics.ts'

/** The lines of the text that start with this. */
async function lines(metrics: { text(): Promise<string> }, start: string): Promise<string[]> {
  return (await metrics.text()).split('\n').filter((line) => line.startsWith(start))
}

describe('families', () => {
  test('a handle is a number, read when somebody scrapes', async () => {
    const metrics = createMetrics()
    const handle = metrics.counter('tollgate_things_total', 'Things.', ['kind'])('good')
    handle.value += 2
    handle.value++
    expect(await lines(metrics, 'tollgate_things')).toEqual(['tollgate_things_total{kind="good"} 3'])
    expect(await lines(metrics, '# TYPE tollgate_things')).toEqual(['# TYPE tollgate_things_total counter'])
    expect(await lines(metrics, '# HELP tollgate_things')).toEqual(['# HELP tollgate_things_total Things.'])
  })

  test('the same labels are the same handle, and the same name the same family', () => {
    const metrics = createMetrics()
    const family = metrics.counter('tollgate_things_total', 'Things.', ['kind'])
    const again = metrics.counter('tollgate_things_total', 'Things.', ['kind'])
    expect(again('good')).toBe(family('good'))
    expect(family('bad')).not.toBe(family('good'))
  })

  test('a name cannot be declared again with other labels, another type or other buckets', () => {
    const metrics = createMetrics()
    metrics.counter('tollgate_things_total', 'Things.', ['kind'])
    metrics.histogram('tollgate_thing_seconds', 'Things.', [], [1, 2])
    expect(() => metrics.counter('tollgate_things_total', 'Things.', ['kind', 'size'])).toThrow('already declared as counter{kind}')
    expect(() => metrics.gauge('tollgate_things_total', 'Things.', ['kind'])).toThrow('already declared')
    expect(() => metrics.histogram('tollgate_thing_seconds', 'Things.', [], [1, 3])).toThrow('already declared as histogram{} with buckets 1,2')
  })

  test.each([
    ['things_total', ['a'], 'must be tollgate_ and lower-case words'],
    ['tollgate_things', ['a'], 'must end in _total'],
    ['tollgate_things_total', ['le'], 'label names'],
    ['tollgate_things_total', ['Kind'], 'label names'],
    ['tollgate_things_total', ['a', 'a'], 'must differ'],
  ])('the counter %s%j is refused', (name, labels, problem) => {
    expect(() => createMetrics().counter(name, 'Things.', labels)).toThrow(problem)
  })

  test('a histogram without buckets, or with buckets that do not rise, is refused', () => {
    expect(() => createMetrics().histogram('tollgate_thing_seconds', 'Things.', [], [])).toThrow('needs buckets')
    expect(() => createMetrics().histogram('tollgate_thing_seconds', 'Things.', [], [2, 1])).toThrow('rising')
  })

  test('a handle asked for with too few or too many labels is refused', () => {
    const family = createMetrics().counter('tollgate_things_total', 'Things.', ['kind'])
    expect(() => family()).toThrow('has 1 labels, not 0')
    expect(() => family('a', 'b')).toThrow('has 1 labels, not 2')
  })

  test('quotes, backslashes and line breaks in a label are escaped', async () => {
    const metrics = createMetrics()
    metrics.gauge('tollgate_thing', 'Things.', ['kind'])('a"b\\c\nd').value = 1
    expect(await lines(metrics, 'tollgate_thing{')).toEqual(['tollgate_thing{kind="a\\"b\\\\c\\nd"} 1'])
  })

  test('labels that join to the same text are still different series', () => {
    const family = createMetrics().counter('tollgate_things_total', 'Things.', ['a', 'b'])
    expect(family('x","y', 'z')).not.toBe(family('x', 'y","z'))
  })
})

describe('histograms', () => {
  test('buckets are cumulative, bounds included, and end in +Inf', async () => {
    const metrics = createMetrics()
    const handle = metrics.histogram('tollgate_thing_seconds', 'Things.', ['kind'], [0.1, 1])('a')
    for (const value of [0.05, 0.1, 0.5, 2]) handle.observe(value)
    expect(await lines(metrics, 'tollgate_thing')).toEqual([
      'tollgate_thing_seconds_bucket{le="0.1",kind="a"} 2',
      'tollgate_thing_seconds_bucket{le="1",kind="a"} 3',
      'tollgate_thing_seconds_bucket{le="+Inf",kind="a"} 4',
      'tollgate_thing_seconds_sum{kind="a"} 2.65',
      'tollgate_thing_seconds_count{kind="a"} 4',
    ])
  })

  test('what is no finite number is not counted', async () => {
    const metrics = createMetrics()
    const handle = metrics.histogram('tollgate_thing_seconds', 'Things.', [], [1])()
    handle.observe(Number.NaN)
    handle.observe(Infinity)
    expect(await lines(metrics, 'tollgate_thing_seconds_count')).toEqual(['tollgate_thing_seconds_count 0'])
  })
})

test('beyond its bound a family counts under "other", says so, and forgets nobody', async () => {
  const metrics = createMetrics(2)
  const family = metrics.counter('tollgate_things_total', 'Things.', ['kind', 'size'])
  for (const kind of ['a', 'b', 'c', 'd', 'a']) family(kind, 'big').value++
  expect(await lines(metrics, 'tollgate_things')).toEqual([
    'tollgate_things_total{kind="a",size="big"} 2',
    'tollgate_things_total{kind="b",size="big"} 1',
    'tollgate_things_total{kind="other",size="other"} 2',
  ])
  expect(await lines(metrics, 'tollgate_metric_collapsed_total')).toEqual(['tollgate_metric_collapsed_total{metric="tollgate_things_total"} 2'])
})

test('the text holds the process metrics, once, in the format that it says', async () => {
  const metrics = createMetrics()
  expect(await lines(metrics, '# TYPE process_cpu_seconds_total')).toHaveLength(1)
  expect(await lines(createMetrics(), '# TYPE nodejs_eventloop_lag_seconds')).toHaveLength(1)
  expect(await lines(metrics, '# TYPE nodejs_gc_duration_seconds')).toHaveLength(1)
  expect(metrics.contentType).toBe('text/plain; version=0.0.4; charset=utf-8')
  for (const line of (await metrics.text()).split('\n')) expect(line).toMatch(/^(# (HELP|TYPE) .*|[a-zA-Z0-9_:]+(\{.*\})? \S+|)$/)
})

test('the core’s families start at zero and name the build', async () => {
  const metrics = createMetrics()
  const core = coreMetrics(metrics, '1.2.3', 'v26.0.0')
  core.config.lastReloadSuccess.value = 1
  core.frames.http.value++
  core.httpRefusal('bad-host').value++
  expect(await lines(metrics, 'tollgate_')).toEqual([
    'tollgate_build_info{version="1.2.3",node="v26.0.0"} 1',
    'tollgate_config_reloads_total{outcome="reloaded"} 0',
    'tollgate_config_reloads_total{outcome="refused"} 0',
    'tollgate_sessions{scheme="http"} 0',
    'tollgate_sessions{scheme="ws"} 0',
    'tollgate_socket_messages_total{direction="in"} 0',
    'tollgate_socket_messages_total{direction="out"} 0',
    'tollgate_pushes_total{outcome="sent"} 0',
    'tollgate_pushes_total{outcome="dropped"} 0',
    'tollgate_frames_in_flight{scheme="http"} 1',
    'tollgate_frames_in_flight{scheme="ws"} 0',
    'tollgate_config_last_reload_success 1',
    'tollgate_config_last_reload_timestamp_seconds 0',
    'tollgate_config_generation 0',
    'tollgate_workers 0',
    'tollgate_worker_restarts_total 0',
    'tollgate_gateways 0',
    'tollgate_gateways_differing 0',
    'tollgate_slow_consumers_total 0',
    'tollgate_log_lines_dropped_total 0',
    'tollgate_http_refusals_total{why="bad-host"} 1',
  ])
})
