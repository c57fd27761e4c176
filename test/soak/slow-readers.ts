/**
 * Ten megabytes of notifications a second, to a client that reads all of it and gets every single one, in order; to one that stops
 * reading for a minute, which is closed with 1013; and to one that reads a little now and then, which misses the oldest, as the operator
 * chose. The node and its readers have a thread of their own: who reads all must not be kept from it by the attacks.
 */
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'
import { WebSocket } from 'ws'
import { startScriptedSocketNode } from '../support/scripted-socket-node.ts'
import type { ScriptedSocketNode } from '../support/scripted-socket-node.ts'

export const NOTIFICATION_BYTES = 50_000
const PER_SECOND = 200
/** So many notifications the feed is ahead of who reads all of it, at most: a reader that the machine keeps from its work is not the gateway's fault. */
const MAX_AHEAD = 80
/** Who reads too slowly reads this long, so often. */
const SIP_MS = 10
const SIP_EVERY_MS = 500
/** A feed that was kept from its work makes up for no more than this: a burst would be more than ten megabytes a second. */
const CATCH_UP_MS = 50
const FILL = 'x'.repeat(NOTIFICATION_BYTES)

/** Where the node of the notifications is. */
interface FeedAddress {
  readonly url: string
  readonly wsUrl: string
}

/** What the readers are told: where they subscribe, by the name of the route, and with which key. */
interface Orders {
  readonly wsUrl: string
  readonly key: string
}

/** What the readers have met. A notification that is lost is missed by the number of the next one; where none comes any more, the feed stands still. */
export interface ReadersReport {
  /** Notifications that the node sent, and that a client received which read all the time. */
  readonly sent: number
  readonly received: number
  /** Times that a client stopped reading. */
  readonly stops: number
  readonly odd: readonly string[]
}

export interface Readers {
  readonly feed: FeedAddress
  /** Begins to push and to read `WSURL/close` and `WSURL/drop`, the routes of the two ways to treat who reads too slowly. */
  start(orders: Orders): void
  end(): Promise<ReadersReport>
}

/** Starts the thread and its node. A slow reader stops for `stoppedMs`. */
export async function startReaders(stoppedMs: number): Promise<Readers> {
  const worker = new Worker(new URL(import.meta.url), { workerData: stoppedMs })
  const heard = async (): Promise<unknown> => ((await once(worker, 'message')) as [unknown])[0]
  const feed = (await heard()) as FeedAddress
  return {
    feed,
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has none
    start: (orders) => worker.postMessage(orders),
    end: async () => {
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has none
      worker.postMessage('end')
      return (await heard()) as ReadersReport
    },
  }
}

class Reading {
  readonly report = { sent: 0, received: 0, stops: 0, odd: [] as string[] }
  private readonly node: ScriptedSocketNode
  private readonly stoppedMs: number
  /** The notification that who reads all has received last. */
  private briskAt: number | undefined
  private isOver = false

  constructor(node: ScriptedSocketNode, stoppedMs: number) {
    this.node = node
    this.stoppedMs = stoppedMs
  }

  /** Runs until `end`: the feed, a brisk reader, and one that stops on each of both routes. */
  async run({ wsUrl, key }: Orders): Promise<void> {
    const [close, drop] = [`${wsUrl}/close`, `${wsUrl}/drop`]
    await Promise.all([this.feed(), this.brisk(close, key), this.slow(close, key, false), this.slow(drop, key, true)])
    await this.node.stop()
  }

  end(): void {
    this.isOver = true
  }

  private async feed(): Promise<void> {
    let seq = 0
    let due = performance.now()
    while (!this.isOver) {
      await delay(1000 / PER_SECOND)
      due = Math.max(due, performance.now() - CATCH_UP_MS)
      for (; due < performance.now(); due += 1000 / PER_SECOND) {
        if (this.node.subscriptions.size === 0 || (this.briskAt !== undefined && seq - this.briskAt > MAX_AHEAD)) continue
        seq++
        this.report.sent++
        for (const id of this.node.subscriptions.keys()) this.node.notify(id, `{"seq":${seq},"fill":"${FILL}"}`)
      }
    }
  }

  /** Reads everything; a number that is left out is a message lost. */
  private async brisk(url: string, key: string): Promise<void> {
    const socket = await this.subscribe(url, key, (seq) => {
      if (this.briskAt !== undefined && seq !== this.briskAt + 1) this.report.odd.push(`${seq} came after ${this.briskAt}`)
      this.briskAt = seq
      this.report.received++
    })
    socket.on('close', (code) => {
      if (!this.isOver) this.report.odd.push(`a client that reads all was closed with ${code}`)
    })
    while (!this.isOver && socket.readyState === socket.OPEN) await delay(100)
    socket.terminate()
  }

  private async slow(url: string, key: string, isSipping: boolean): Promise<void> {
    while (!this.isOver) {
      let last = 0
      const heard = { count: 0 }
      const socket = await this.subscribe(url, key, (seq) => {
        if (seq <= last) this.report.odd.push(`${seq} came to a slow reader after ${last}`)
        last = seq
        heard.count++
      })
      const closed = new Promise<number>((resolve) => socket.on('close', (code) => resolve(code)))
      while (heard.count < 10 && socket.readyState === socket.OPEN && !this.isOver) await delay(20)
      for (let ms = 0; ms < this.stoppedMs && !this.isOver; ms += SIP_EVERY_MS) {
        socket.pause()
        await delay(SIP_EVERY_MS)
        if (isSipping) socket.resume()
        if (isSipping) await delay(SIP_MS)
      }
      const from = heard.count
      socket.resume()
      const code = await Promise.race([closed, delay(3000, 0)])
      // 1006: the gateway has waited long enough for the close to be answered.
      const isRight = isSipping ? code === 0 && heard.count > from : code === 1013 || code === 1006
      if (!this.isOver) this.report.stops++
      if (!this.isOver && !isRight)
        this.report.odd.push(`a reader that ${isSipping ? 'is slow' : 'has stopped'} met code ${code}, and ${heard.count - from} more`)
      socket.terminate()
      await delay(500)
    }
  }

  /** A socket with a subscription; `hear` is given each notification's number. */
  private async subscribe(url: string, key: string, hear: (seq: number) => void): Promise<WebSocket> {
    for (;;) {
      const socket = new WebSocket(url, { headers: { apikey: key }, perMessageDeflate: false })
      socket.on('error', () => undefined)
      socket.on('message', (data: Buffer) => {
        const seq = /"seq":(\d+)/.exec(data.toString('latin1', 0, 300))?.[1]
        if (seq !== undefined) hear(Number(seq))
      })
      const isOpen = await new Promise<boolean>((resolve) => socket.on('open', () => resolve(true)).on('close', () => resolve(false)))
      if (isOpen || this.isOver) {
        if (isOpen) socket.send('{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newPendingTransactions",true]}')
        return socket
      }
      await delay(100)
    }
  }
}

if (!isMainThread) {
  const node = await startScriptedSocketNode()
  const reading = new Reading(node, workerData as number)
  const port = parentPort!
  const ordered = once(port, 'message') as Promise<[Orders]>
  port.postMessage({ url: node.url, wsUrl: node.wsUrl })
  const [orders] = await ordered
  port.once('message', () => reading.end())
  await reading.run(orders)
  port.postMessage(reading.report)
}
