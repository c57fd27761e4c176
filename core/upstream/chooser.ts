/** Which of several nodes takes the next calls. All that are asked about can; who cannot was left out before. */
import { ConsistentHash } from './consistent-hash.ts'
import { LeastConnections } from './least-connections.ts'
import { PeakEwma } from './peak-ewma.ts'
import { RoundRobin } from './round-robin.ts'
import type { PoolNode } from './pool-node.ts'
import type { UpstreamSpec } from './spec.ts'

/** Chooses among `nodes`: at least two, some of those that it was made for. `key` is '' where the upstream has none. */
export interface Chooser<N> {
  pick(nodes: readonly N[], key: string): N
}

/** The chooser of a type, for these nodes. */
export function chooserOf(type: UpstreamSpec['type'], nodes: readonly PoolNode[], monotonicMs: () => number): Chooser<PoolNode> {
  switch (type) {
    case 'roundrobin':
      return new RoundRobin(nodes)
    case 'least_conn':
      return new LeastConnections()
    case 'chash':
      return new ConsistentHash(nodes)
    case 'ewma':
      return new PeakEwma(monotonicMs)
  }
}
