/** A chain of blocks that grows and is replaced when told to; nodes that share one have the same. */
import { createHash } from 'node:crypto'

export interface ScriptedLog {
  readonly address: string
  readonly data: string
}

export interface ScriptedBlock {
  readonly number: number
  readonly hash: string
  readonly parentHash: string
  readonly logs: readonly Readonly<Record<string, unknown>>[]
}

/** What has happened: logs of replaced blocks come first. */
export interface ChainEvent {
  readonly removed: readonly Readonly<Record<string, unknown>>[]
  readonly added: readonly ScriptedBlock[]
}

export class ScriptedChain {
  /** By number; the first is block 0. */
  readonly blocks: ScriptedBlock[] = []
  private readonly listeners = new Set<(event: ChainEvent) => void>()
  private branch = 0

  constructor(head = 0) {
    for (let number = 0; number <= head; number++) this.append([])
  }

  get head(): number {
    return this.blocks.length - 1
  }

  /** Adds blocks, each with these logs. */
  mine(count = 1, logs: readonly ScriptedLog[] = []): void {
    for (let i = 0; i < count; i++) this.tell({ removed: [], added: [this.append(logs)] })
  }

  /** Replaces the newest `depth` blocks by `length` others. Branches of the same number are the same. */
  reorg(depth: number, length = depth, logs: readonly ScriptedLog[] = [], branch = this.branch + 1): void {
    this.branch = branch
    const replaced = this.blocks.splice(this.blocks.length - depth)
    const removed = replaced.flatMap((block) => block.logs.map((log) => ({ ...log, removed: true }))).toReversed()
    this.tell({ removed, added: Array.from({ length }, () => this.append(logs)) })
  }

  listen(listener: (event: ChainEvent) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  private append(logs: readonly ScriptedLog[]): ScriptedBlock {
    const number = this.blocks.length
    const parentHash = this.blocks.at(-1)?.hash ?? `0x${'0'.repeat(64)}`
    const hash = `0x${createHash('sha256')
      .update(`${parentHash} ${number} ${this.branch} ${JSON.stringify(logs)}`)
      .digest('hex')}`
    const block: ScriptedBlock = {
      number,
      hash,
      parentHash,
      logs: logs.map(({ address, data }, index) => ({
        address,
        topics: [],
        data,
        blockNumber: hex(number),
        blockHash: hash,
        logIndex: hex(index),
        removed: false,
      })),
    }
    this.blocks.push(block)
    return block
  }

  private tell(event: ChainEvent): void {
    for (const listener of this.listeners) listener(event)
  }
}

export function hex(number: number): string {
  return `0x${number.toString(16)}`
}
