/**
 * What a node says of its chain, asked over the socket whose subscriptions it is to complete. Requests of our own: few at
 * once, charged to nobody. A method rejects when the node does not say.
 */
import { jsonWire } from '../../jsonrpc/wire.ts'
import { elementsOf, textOf } from './source-text.ts'
import type { Wire } from '../../jsonrpc/wire.ts'
import type { Link, SocketTerms } from './link.ts'

/** A block as eth_getBlockByNumber has it. */
export interface Block {
  readonly number: number
  readonly hash: string
  readonly parentHash: string
  readonly text: Wire
}

export class Chain {
  private readonly link: Link
  private readonly terms: SocketTerms
  /** Kept while subscriptions make up for a loss: all of them ask for the same blocks. */
  private readonly blocks = new Map<number, Promise<Block>>()
  private readers = 0
  private inFlight = 0
  private readonly waiting: (() => void)[] = []

  constructor(link: Link, terms: SocketTerms) {
    this.link = link
    this.terms = terms
  }

  /** The number of the newest block. */
  async head(): Promise<number> {
    const number = quantityOf(JSON.parse(await this.ask('eth_blockNumber', [])))
    if (number === undefined) throw new Error('eth_blockNumber: no number')
    return number
  }

  /** The newest block's number, once the node has come as far as `number`, or when it was waited for long enough. */
  async headFrom(number: number): Promise<number> {
    const { lagPatienceMs, lagPollMs } = this.terms.limits
    const untilMs = this.terms.monotonicMs() + lagPatienceMs
    for (;;) {
      const head = await this.head()
      if (head >= number || this.terms.monotonicMs() >= untilMs) return head
      await new Promise((resolve) => void setTimeout(resolve, lagPollMs))
    }
  }

  /** A block by its number. */
  block(number: number): Promise<Block> {
    let block = this.blocks.get(number)
    if (block !== undefined) return block
    this.blocks.set(number, (block = this.askBlock(number)))
    block.catch(() => this.blocks.delete(number))
    return block
  }

  /** Blocks are remembered from now on, until as many have left as have entered. */
  enter(): void {
    this.readers++
  }

  leave(): void {
    if (--this.readers === 0) this.forget()
  }

  /** The next answers are to be new ones: blocks may have been replaced. */
  forget(): void {
    this.blocks.clear()
  }

  /** Source texts of the logs that a filter finds in these blocks. */
  async logs(filter: Readonly<Record<string, unknown>>, from: number, to: number): Promise<readonly Wire[]> {
    const logs = elementsOf(await this.ask('eth_getLogs', [{ ...filter, fromBlock: quantity(from), toBlock: quantity(to) }]))
    if (logs === undefined) throw new Error('eth_getLogs: no list')
    return logs
  }

  private async askBlock(number: number): Promise<Block> {
    const text = await this.ask('eth_getBlockByNumber', [quantity(number), false])
    const { number: found, hash, parentHash } = (JSON.parse(text) ?? {}) as Readonly<Record<string, unknown>>
    if (quantityOf(found) !== number || typeof hash !== 'string' || typeof parentHash !== 'string') throw new Error('eth_getBlockByNumber: no such block')
    return { number, hash, parentHash, text }
  }

  private async ask(method: string, params: readonly unknown[]): Promise<Wire> {
    while (this.inFlight >= this.terms.limits.ownRequests) await new Promise<void>((resolve) => void this.waiting.push(resolve))
    this.inFlight++
    const dueAt = this.terms.monotonicMs() + this.terms.spec.readTimeoutMs
    return new Promise((resolve, reject) => {
      this.link.ask({ methodText: jsonWire(method), paramsText: jsonWire(params) }, dueAt, (answer) => {
        this.inFlight--
        this.waiting.shift()?.()
        if (answer.kind === 'result') resolve(textOf(answer.payload))
        else reject(new Error(`${method}: ${answer.kind === 'failure' ? answer.refusal.why : 'refused by the node'}`))
      })
    })
  }
}

/** A hexadecimal quantity (EIP-1474) as a number; undefined for what is none. */
export function quantityOf(value: unknown): number | undefined {
  return typeof value === 'string' && /^0x[0-9a-f]{1,13}$/i.test(value) ? Number(value) : undefined
}

function quantity(value: number): string {
  return `0x${value.toString(16)}`
}
