/** Real nodes behind a real gateway: one is behind, one is on another chain, one dies under load and comes back. */
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { startAnvil } from '../support/anvil.ts'
import { startTestGateway } from '../support/gateway.ts'
import type { Anvil } from '../support/anvil.ts'
import type { TestGateway } from '../support/gateway.ts'

interface Report {
  readonly upstreams: readonly {
    readonly id: string
    readonly head: number
    readonly nodes: readonly { readonly node: string; readonly standing: string; readonly head: number | null; readonly lag: number | null }[]
  }[]
}

const CHAIN = '"0x7a69"' // 31337
const INTERVAL_MS = 500

let behind: Anvil
let foreign: Anvil
let mortal: Anvil
let again: Anvil | undefined
let gateway: TestGateway

beforeEach(async () => {
  ;[behind, foreign, mortal] = await Promise.all([startAnvil(), startAnvil({ chainId: 999 }), startAnvil()])
  await mortal.call('anvil_mine', ['0x20'])
  await foreign.call('anvil_mine', ['0x30'])
  const node = (id: string, { url, wsUrl }: Anvil) => ({ id, url, ws_url: wsUrl })
  gateway = await startTestGateway({
    listen: '127.0.0.1:0',
    admin: { listen: '127.0.0.1:0' },
    log: { level: 'info', file: 'gateway.log' },
    upstreams: [
      {
        id: 'eth',
        nodes: [node('foreign', foreign), node('behind', behind), node('mortal', mortal)],
        coalesce: false,
        checks: { active: { interval: `${INTERVAL_MS}ms`, chain_id: 31_337, max_lag: 5 }, passive: { cool_down: '100ms' } },
      },
    ],
    routes: [
      { id: 'rpc', uris: ['/'], upstream_id: 'eth', plugins: { 'jsonrpc-var': {}, 'ws-jsonrpc-proxy': {} } },
      { id: 'own', uris: ['/own'], upstream_id: 'eth', plugins: { 'jsonrpc-var': {}, 'ws-jsonrpc-proxy': { mode: 'dedicated' } } },
    ],
  })
})

afterEach(async () => {
  await gateway.stop()
  await Promise.all([behind.stop(), foreign.stop(), mortal.stop(), again?.stop()])
  again = undefined
})

async function report(): Promise<Report['upstreams'][number]> {
  const { upstreams } = (await (await fetch(`${gateway.adminUrl}/upstreams`)).json()) as Report
  return upstreams[0]!
}

async function standings(): Promise<Record<string, string>> {
  return Object.fromEntries((await report()).nodes.map(({ node, standing }) => [node, standing]))
}

function until(node: string, standing: string): Promise<void> {
  return expect.poll(async () => (await standings())[node], { interval: 10, timeout: 10_000 }).toBe(standing)
}

/** The result as text, or the whole answer where there is none. */
async function read(method: string, params: readonly unknown[] = []): Promise<string> {
  const { json } = await gateway.post('/', JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }))
  return JSON.stringify((json as { result?: unknown }).result ?? json)
}

async function connected(path: string): Promise<WebSocket> {
  const socket = new WebSocket(gateway.wsUrl + path)
  await once(socket, 'open')
  onTestFinished(() => socket.terminate())
  return socket
}

/** A client of new heads, and the numbers of those that came. */
async function subscribed(): Promise<{ heads: string[] }> {
  const socket = await connected('/')
  const heads: string[] = []
  socket.send('{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}')
  await once(socket, 'message')
  socket.on('message', (data: Buffer) => heads.push((JSON.parse(data.toString()) as { params: { result: { number: string } } }).params.result.number))
  return { heads }
}

/** Clients that read until they are told to stop. */
class Readers {
  /** Answers so far. */
  count = 0
  /** What came, each once. */
  readonly seen = new Set<string>()
  private readonly stopping = new AbortController()
  private readonly running: Promise<void>[]

  constructor(clients: number) {
    this.running = Array.from({ length: clients }, () => this.run())
  }

  /** Resolves once so many more have been answered. */
  async more(count: number): Promise<void> {
    const wanted = this.count + count
    while (this.count < wanted) await delay(5)
  }

  async stop(): Promise<void> {
    this.stopping.abort()
    await Promise.all(this.running)
  }

  private async run(): Promise<void> {
    while (!this.stopping.signal.aborted) {
      this.seen.add(`chain ${await read('eth_chainId')}`)
      this.seen.add(`block 0 ${await read('eth_getBlockTransactionCountByNumber', ['0x0'])}`)
      this.count += 2
    }
  }
}

describe('three nodes', () => {
  test('one behind and one on another chain are out, and told to operators', async () => {
    await until('behind', 'lagging') // the first that is known to be on the right chain serves while the others are asked
    expect(await read('eth_blockNumber')).toBe('"0x20"')
    expect(await standings()).toEqual({ foreign: 'wrong-chain', behind: 'lagging', mortal: 'up' })
    const { head, nodes } = await report()
    expect(head).toBe(0x20)
    expect(nodes.map(({ node, head: its, lag }) => [node, its, lag])).toEqual([
      ['foreign', 0x30, 0],
      ['behind', 0, 0x20],
      ['mortal', 0x20, 0],
    ])
    expect(JSON.stringify(await report())).not.toContain('127.0.0.1')
    expect(await gateway.metric('tollgate_node_healthy', { node: 'foreign' })).toBe(0)
    expect(await gateway.metric('tollgate_upstream_head_block')).toBe(0x20)
    expect(await gateway.metric('tollgate_node_head_block', { node: 'behind' })).toBe(0)
  })

  test('reads meet no error and no other chain while one is killed under load and comes back', async () => {
    const readers = new Readers(8)
    try {
      await readers.more(50)
      const failedBefore = await gateway.metric('tollgate_upstream_failures_total')
      mortal.signal('SIGKILL')
      await mortal.ended
      await until('behind', 'up') // it is as high as any now
      await readers.more(50)
      // Beside those that were under way, three errors were enough.
      expect((await gateway.metric('tollgate_upstream_failures_total')) - failedBefore).toBeLessThanOrEqual(3 + 8)
      again = await startAnvil({ port: mortal.port })
      await again.call('anvil_mine', ['0x20'])
      await until('mortal', 'up')
      await until('behind', 'lagging')
      await readers.more(50)
    } finally {
      await readers.stop()
    }
    expect([...readers.seen].toSorted()).toEqual(['block 0 "0x0"', `chain ${CHAIN}`])
    expect(await gateway.metric('tollgate_upstream_attempts_total')).toBeLessThanOrEqual(1.2 * readers.count)
    expect(await read('eth_blockNumber')).toBe('"0x20"')
  }, 60_000)

  test('new heads are those of the right chain, and go on at another node when theirs is behind', async () => {
    const { heads } = await subscribed()
    await foreign.call('anvil_mine', ['0x2'])
    await behind.call('anvil_mine', ['0x1'])
    await mortal.call('anvil_mine', ['0x1'])
    await expect.poll(() => heads, { timeout: 5000 }).toEqual(['0x21'])
    await behind.call('anvil_mine', ['0x40'])
    await until('mortal', 'lagging')
    await behind.call('anvil_mine', ['0x1'])
    await expect.poll(() => heads.at(-1), { timeout: 5000 }).toBe('0x42')
  })

  test('a socket of a client’s own leads to the right chain', async () => {
    for (let i = 0; i < 3; i++) {
      const socket = await connected('/own')
      socket.send('{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}')
      const [data] = (await once(socket, 'message')) as [Buffer]
      expect(data.toString()).toContain(CHAIN)
      socket.close()
    }
  })

  test('a node that has caught up is back, and what is pushed is known at once', async () => {
    await behind.call('anvil_mine', ['0x1f'])
    await until('behind', 'up')
    await mortal.call('anvil_mine', ['0x1'])
    await expect.poll(async () => (await report()).head, { interval: 5, timeout: 5000 }).toBe(0x21)
  })
})
