/**
 * What a call leaves behind dies young. A table that lives as long as the process while entries come and go, or a closure kept
 * where the next call finds it, lets every call keep the one after it alive: a quarter of all that is allocated is
 * then copied into the old generation, with a pause of 25 ms for each collection.
 */
import { once } from 'node:events'
import { Agent, request } from 'undici'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { basic, basicFiles } from '../support/gateway.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { startScriptedNode } from '../support/scripted-node.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'

const CLIENTS = 16
/** Some ten collections of a young generation of 16 MiB. */
const CALLS = 10_000
/** The first collections see what the process needed to start. */
const WARM_UP = 3

interface Collection {
  readonly gc: string
  /** Of what was allocated, the part that has become old, in percent. */
  readonly promotion_ratio: number
}

function collections({ output }: GatewayProcess): Collection[] {
  return Array.from(output.matchAll(/ GC: (\{.*\})/g), ([, json]) => JSON.parse(json!) as Collection).filter(({ gc }) => gc === 's')
}

async function callOverHttp({ url }: GatewayProcess, calls: number): Promise<void> {
  const dispatcher = new Agent({ connections: CLIENTS })
  let left = calls
  const client = async (): Promise<void> => {
    while (left-- > 0) {
      const { body } = await request(`${url}/eth`, { method: 'POST', headers: { apikey: 'paid-key' }, body: text(left), dispatcher })
      await body.dump()
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  await dispatcher.close()
}

async function callOverSockets({ wsUrl }: GatewayProcess, calls: number): Promise<void> {
  let left = calls
  const client = async (): Promise<void> => {
    const socket = new WebSocket(`${wsUrl}/eth`, { headers: { apikey: 'paid-key' } })
    await once(socket, 'open')
    while (left-- > 0) {
      socket.send(text(left))
      await once(socket, 'message')
    }
    socket.close()
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
}

function text(id: number): string {
  return `{"jsonrpc":"2.0","id":${id},"method":"eth_blockNumber","params":[${id}]}`
}

test.each([
  ['HTTP', callOverHttp],
  ['WebSocket', callOverSockets],
] as const)(
  'calls over %s',
  async (_, call) => {
    const node = await startScriptedNode()
    onTestFinished(() => node.stop())
    const upstreams = [{ id: 'eth', nodes: [{ url: node.url }] }]
    const plans = ['free', 'pro'].map((id) => ({ id, tier: 'paid', seconds_quota: -1, monthly_quota: -1 }))
    const config = basic({ nodeUrl: node.url, top: { upstreams, log: { level: 'info' }, plans } })
    const command = ['--trace-gc', '--trace-gc-nvp', '--min-semi-space-size=16', '--max-semi-space-size=16', 'core/main.ts']
    const gateway = await startGatewayProcess(config, { files: basicFiles, command })
    onTestFinished(() => gateway.stop())
    await call(gateway, CALLS)
    const ratios = collections(gateway)
      .slice(WARM_UP)
      .map(({ promotion_ratio: ratio }) => ratio)
      .toSorted((a, b) => a - b)
    expect(ratios.length).toBeGreaterThan(2)
    expect(ratios[ratios.length >> 1]).toBeLessThan(10)
  },
  60_000,
)
