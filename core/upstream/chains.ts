/**
 * The chains behind networks, as plugins see them. What plugins listen for ends with the snapshot in which they were made.
 */
import type { ChainHead, ChainView, PluginLog } from '../plugin/define.ts'
import type { ChainFollower } from './chain-follower.ts'

/** An upstream as its chain is concerned. */
export interface Followed {
  readonly id: string
  /** Follows its chain from the first time on. */
  readonly chain: ChainFollower
}

/** Networks of a snapshot that are looked at; more than that are names that clients made up. */
const MAX_NETWORKS = 1000

/** Finds the upstream behind a network. */
type Find = (network: string) => Followed | undefined

/** The chain behind one network, for the plugins of one snapshot. */
class View implements ChainView {
  private readonly upstream: Followed
  readonly headListeners: ((head: ChainHead) => void)[] = []
  readonly reorgListeners: ((fromNumber: number) => void)[] = []

  constructor(upstream: Followed) {
    this.upstream = upstream
  }

  get id(): string {
    return this.upstream.id
  }

  head(): ChainHead | undefined {
    return this.upstream.chain.head
  }

  finalized(): number | undefined {
    return this.upstream.chain.finalized
  }

  onHead(run: (head: ChainHead) => void): void {
    this.headListeners.push(run)
    void this.upstream.chain // who listens wants it to be followed
  }

  onReorg(run: (fromNumber: number) => void): void {
    this.reorgListeners.push(run)
    void this.upstream.chain
  }
}

export class Chains {
  private readonly log: PluginLog
  private generation = 0
  private find: Find = () => undefined
  /** By network, those of the snapshot that serves. */
  private views = new Map<string, View>()

  constructor(log: PluginLog) {
    this.log = log
  }

  /** From now on this is how networks are found, and only plugins of this generation are told anything. */
  use(generation: number, find: Find): void {
    this.generation = generation
    this.find = find
    this.views = new Map()
  }

  /** The chain behind a network, for a plugin of this generation; undefined where there is none, and for plugins whose snapshot does not serve. */
  view(network: string, generation: number): ChainView | undefined {
    if (generation !== this.generation) return undefined
    const known = this.views.get(network)
    if (known !== undefined) return known
    const upstream = this.views.size < MAX_NETWORKS ? this.find(network) : undefined
    if (upstream === undefined) return undefined
    const view = new View(upstream)
    this.views.set(network, view)
    return view
  }

  moved(upstream: string, head: ChainHead): void {
    this.tell(upstream, ({ headListeners }) => headListeners, head)
  }

  turned(upstream: string, fromNumber: number): void {
    this.log.warn({ upstream, fromNumber }, 'the chain has turned')
    this.tell(upstream, ({ reorgListeners }) => reorgListeners, fromNumber)
  }

  private tell<T>(upstream: string, listenersOf: (view: View) => readonly ((event: T) => void)[], event: T): void {
    for (const view of this.views.values()) {
      if (view.id !== upstream) continue
      for (const run of listenersOf(view)) {
        try {
          run(event)
        } catch (error) {
          this.log.error({ err: error, upstream }, 'a listener to the chain failed')
        }
      }
    }
  }
}
