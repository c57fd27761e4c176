/**
 * The chains behind networks, as plugins see them. A view finds its upstream anew each time, so it stays good over a reload;
 * what plugins listen for ends with the snapshot in which they were made.
 */
import type { ChainHead, ChainView, PluginLog } from '../plugin/define.ts'
import type { ChainFollower } from './chain-follower.ts'

/** An upstream as its chain is concerned. */
export interface Followed {
  readonly id: string
  /** Follows its chain from the first time on. */
  readonly chain: ChainFollower
}

interface Listening {
  readonly generation: number
  readonly network: string
  readonly onHead?: (head: ChainHead) => void
  readonly onReorg?: (fromNumber: number) => void
}

export class Chains {
  private readonly log: PluginLog
  private find: (network: string) => Followed | undefined = () => undefined
  private listening: readonly Listening[] = []

  constructor(log: PluginLog) {
    this.log = log
  }

  /** From now on this is how networks are found, and only plugins of this generation are told anything. */
  use(generation: number, find: (network: string) => Followed | undefined): void {
    this.find = find
    this.listening = this.listening.filter((listening) => listening.generation === generation)
  }

  /** The chain behind a network, for a plugin of this generation; undefined where there is none. */
  view(network: string, generation: number): ChainView | undefined {
    if (this.find(network) === undefined) return undefined
    return {
      head: () => this.find(network)?.chain.head,
      finalized: () => this.find(network)?.chain.finalized,
      onHead: (onHead) => this.listen({ generation, network, onHead }),
      onReorg: (onReorg) => this.listen({ generation, network, onReorg }),
    }
  }

  moved(upstream: string, head: ChainHead): void {
    this.tell(upstream, ({ onHead }) => onHead?.(head))
  }

  turned(upstream: string, fromNumber: number): void {
    this.log.warn({ upstream, fromNumber }, 'the chain has turned')
    this.tell(upstream, ({ onReorg }) => onReorg?.(fromNumber))
  }

  private listen(listening: Listening): void {
    this.listening = [...this.listening, listening]
    void this.find(listening.network)?.chain // who listens wants it to be followed
  }

  private tell(upstream: string, tell: (listening: Listening) => void): void {
    for (const listening of this.listening) {
      try {
        if (this.find(listening.network)?.id === upstream) tell(listening)
      } catch (error) {
        this.log.error({ err: error, upstream }, 'a listener to the chain failed')
      }
    }
  }
}
