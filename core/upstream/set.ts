/** The upstreams of the snapshot that serves. Those that a reload leaves as they were keep their connections. */
import { NodeUpstream } from './upstream.ts'
import type { UpstreamSpec } from './spec.ts'
import type { UpstreamDeps, UpstreamReport } from './upstream.ts'

export class UpstreamSet {
  private readonly deps: UpstreamDeps
  private serving: ReadonlyMap<string, NodeUpstream> = new Map()
  /** What each was made from, as text, to tell what has changed. */
  private readonly madeFrom = new WeakMap<NodeUpstream, string>()
  /** Those that were let go, and still work for frames of an older snapshot. */
  private retired: NodeUpstream[] = []

  constructor(deps: UpstreamDeps) {
    this.deps = deps
  }

  get(id: string): NodeUpstream | undefined {
    return this.serving.get(id)
  }

  /** What an operator is told of those that serve. */
  report(): UpstreamReport[] {
    return [...this.serving.values()].map((upstream) => upstream.report())
  }

  /** From now on these serve. Closes the connections of the others when their last request has ended. */
  update(specs: readonly UpstreamSpec[]): void {
    const next = new Map(specs.map((spec) => [spec.id, this.keepOrMake(spec)]))
    this.retired = this.retired.filter((upstream) => upstream.isBusy)
    for (const upstream of this.serving.values()) {
      if (next.get(upstream.id) === upstream) continue
      upstream.retire()
      this.retired.push(upstream)
    }
    this.serving = next
  }

  /** Closes all connections; what still runs on them fails, and so does what comes later. */
  async close(): Promise<void> {
    await Promise.all([...this.serving.values(), ...this.retired].map((upstream) => upstream.close()))
  }

  private keepOrMake(spec: UpstreamSpec): NodeUpstream {
    const from = JSON.stringify(spec)
    const known = this.serving.get(spec.id)
    if (known !== undefined && this.madeFrom.get(known) === from) return known
    const made = new NodeUpstream(spec, this.deps, known)
    this.madeFrom.set(made, from)
    return made
  }
}
