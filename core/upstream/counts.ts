/** What is counted of one upstream. Handles are looked up when it is built; those of failures when one first happens. */
import type { CounterHandle, HistogramHandle, Metrics } from '../plugin/metrics.ts'

/** Seconds: from an answer out of a cache next door to the default read timeout. */
const DURATION_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

export class UpstreamCounts {
  readonly attempts: CounterHandle
  readonly retries: CounterHandle
  readonly inFlight: CounterHandle
  readonly hedges: CounterHandle
  readonly coalesced: CounterHandle
  readonly duration: HistogramHandle
  private readonly upstream: string
  private readonly headBlock: (...labels: string[]) => CounterHandle
  private readonly nodeHeadBlock: (...labels: string[]) => CounterHandle
  private readonly nodeHealthy: (...labels: string[]) => CounterHandle
  private readonly failuresOf: (...labels: string[]) => CounterHandle
  private readonly failures = new Map<string, CounterHandle>()

  constructor(metrics: Metrics, upstream: string) {
    this.upstream = upstream
    this.attempts = metrics.counter('tollgate_upstream_attempts_total', 'Requests sent to nodes, retries and hedges included.', ['upstream'])(upstream)
    this.retries = metrics.counter('tollgate_upstream_retries_total', 'Requests that repeated calls which an earlier one left without an answer.', [
      'upstream',
    ])(upstream)
    this.hedges = metrics.counter('tollgate_upstream_hedges_total', 'Requests that asked another node for calls which one had not answered yet.', ['upstream'])(
      upstream,
    )
    this.inFlight = metrics.gauge('tollgate_upstream_in_flight', 'Requests to nodes that are not yet answered.', ['upstream'])(upstream)
    this.coalesced = metrics.counter('tollgate_upstream_coalesced_total', 'Calls that were answered by a request which the same call had sent already.', [
      'upstream',
    ])(upstream)
    this.duration = metrics.histogram(
      'tollgate_upstream_duration_seconds',
      'From a request to a node until its whole answer, or until it failed.',
      ['upstream'],
      DURATION_BUCKETS,
    )(upstream)
    this.headBlock = metrics.gauge('tollgate_upstream_head_block', 'Number of the newest block that a node of the upstream has.', ['upstream'], 'max')
    this.nodeHeadBlock = metrics.gauge('tollgate_node_head_block', 'Number of the newest block that the node has.', ['upstream', 'node'], 'max')
    this.nodeHealthy = metrics.gauge('tollgate_node_healthy', '0 while the node is out, else 1.', ['upstream', 'node'], 'min')
    this.failuresOf = metrics.counter('tollgate_upstream_failures_total', 'Calls that an attempt left without an answer, by why.', ['upstream', 'why'])
  }

  /** What the highest node has. There is no series before it is known. */
  head(number: number): void {
    this.headBlock(this.upstream).value = number
  }

  /** What a node has. */
  headOf(node: string, number: number): void {
    this.nodeHeadBlock(this.upstream, node).value = number
  }

  /** Whether a node is given calls. */
  healthOf(node: string, isUp: boolean): void {
    this.nodeHealthy(this.upstream, node).value = Number(isUp)
  }

  /** `why` is a word of the table of failures. */
  failed(why: string): void {
    let handle = this.failures.get(why)
    if (handle === undefined) this.failures.set(why, (handle = this.failuresOf(this.upstream, why)))
    handle.value++
  }
}
