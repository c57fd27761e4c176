/** A node among those that stand in for each other: how to reach it, what it can answer, how it does. */
import { methodList } from '../plugin/method-patterns.ts'
import { PeakLatency } from './peak-ewma.ts'
import type { HttpNode } from './http-node.ts'
import type { NodeHealth, Standing } from './node-health.ts'
import type { NodeSpec } from './spec.ts'

/** What an operator is told of a node. */
export interface NodeReport {
  readonly node: string
  readonly healthy: boolean
  /** Why it is out, or `up`. */
  readonly standing: Standing
  /** Number of the newest block that it is known to have. */
  readonly head: number | null
  /** Blocks that it is behind the highest. */
  readonly lag: number | null
  readonly in_flight: number
  /** How long calls are expected to take, where that decides which node is chosen (`type: ewma`). */
  readonly latency_ms: number | null
  /** How long the last check took that was answered. */
  readonly check_ms: number | null
}

export class PoolNode {
  readonly http: HttpNode
  readonly health: NodeHealth
  readonly latency = new PeakLatency()
  /** How metrics, logs and reports name it. */
  readonly name: string
  readonly wsUrl: string | undefined
  readonly weight: number
  readonly priority: number
  readonly tags: readonly string[]
  /** What tells it from others, over reloads too. Holds its URL: a secret. */
  readonly identity: string
  /** The highest block that it said it has; undefined while it has said nothing. */
  head: number | undefined
  /** How long the last check took that it answered. */
  checkMs: number | undefined
  private readonly offers: ((method: string) => boolean | undefined) | undefined
  /** What a method is that no pattern fits: served where the list only says what is not. */
  private readonly offersOthers: boolean

  constructor(spec: NodeSpec, http: HttpNode, health: NodeHealth) {
    this.http = http
    this.health = health
    this.name = spec.id ?? String(http.position)
    this.wsUrl = spec.wsUrl
    this.weight = spec.weight
    this.priority = spec.priority
    this.tags = spec.tags
    this.identity = spec.id ?? spec.url
    this.offers = spec.methods.length === 0 ? undefined : methodList(spec.methods)
    this.offersOthers = spec.methods.every((pattern) => pattern.startsWith('!'))
  }

  /** Requests under way. */
  get inFlight(): number {
    return this.http.inFlight
  }

  report(lag: number | undefined, nowMs: number): NodeReport {
    const { standing, isUp } = this.health
    const latencyMs = this.latency.at(nowMs)
    return {
      node: this.name,
      healthy: isUp,
      standing,
      head: this.head ?? null,
      lag: lag ?? null,
      in_flight: this.inFlight,
      latency_ms: latencyMs === 0 ? null : Math.round(latencyMs),
      check_ms: this.checkMs === undefined ? null : Math.round(this.checkMs),
    }
  }

  /** Whether it answers a method. */
  serves(method: string): boolean {
    return this.offers === undefined || (this.offers(method) ?? this.offersOthers)
  }

  has(tags: readonly string[]): boolean {
    return tags.every((tag) => this.tags.includes(tag))
  }
}
