/**
 * What a call leaves behind dies young. A table that lives as long as the process while entries come and go, or a closure kept
 * where the next call finds it, lets every call keep the one after it alive: a quarter of all that is allocated is
 * then copied into the old generation, with a pause of 25 ms for each collection. So it is when V8 takes a first crowd of
 * calls for a sign of what is to come, and makes their objects in the old generation from then on.
 */
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { Agent, request } from 'undici'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { basic, basicFiles } from '../support/gateway.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { result, startScriptedSocketNode } from '../support/scripted-socket-node.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'

const CLIENTS = 16
const CALLS = 20_000
const LARGE_ANSWERS = 100

interface Collection {
  readonly gc: string
  /** Of what was allocated, the part that has become old, in percent. */
  readonly promotion_ratio: number
}

/** Of the young generation, `s`, or of everything, `mc`. */
function collections({ output }: GatewayProcess, kind: 's' | 'mc'): Collection[] {
  return Array.from(output.matchAll(/ GC: (\{.*\})/g), ([, json]) => JSON.parse(json!) as Collection).filter(({ gc }) => gc === kind)
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

/** Each call is another one, so that none is answered with another's. */
async function callOverSockets({ wsUrl }: GatewayProcess, calls: number, atOnce: number): Promise<void> {
  const client = async (): Promise<WebSocket> => {
    const socket = new WebSocket(`${wsUrl}/eth`, { headers: { apikey: 'paid-key' } })
    await once(socket, 'open')
    return socket
  }
  const sockets = await Promise.all(Array.from({ length: CLIENTS }, client))
  for (let left = calls; left > 0;) {
    const answered = sockets.map((socket) => messages(socket, atOnce))
    for (const socket of sockets) for (let i = 0; i < atOnce; i++) socket.send(text(left--))
    await Promise.all(answered)
  }
  for (const socket of sockets) socket.close()
}

function messages(socket: WebSocket, count: number): Promise<void> {
  return new Promise((resolve) => {
    socket.on('message', () => {
      if (--count > 0) return
      socket.removeAllListeners('message')
      resolve()
    })
  })
}

function text(id: number): string {
  return `{"jsonrpc":"2.0","id":${id},"method":"eth_blockNumber","params":[${id}]}`
}

/** A gateway, and the node behind it that answers always the same. */
async function startGatewayBefore(answer: string, ...nodeArguments: readonly string[]): Promise<GatewayProcess> {
  const node = await startScriptedSocketNode()
  node.handlers.set('eth_blockNumber', result(answer))
  onTestFinished(() => node.stop())
  const upstreams = [{ id: 'eth', nodes: [{ url: node.url, ws_url: node.wsUrl }] }]
  const plans = ['free', 'pro'].map((id) => ({ id, tier: 'paid', seconds_quota: -1, monthly_quota: -1 }))
  const config = basic({ nodeUrl: node.url, top: { upstreams, log: { level: 'info' }, plans } })
  const gateway = await startGatewayProcess(config, { files: basicFiles, command: ['--trace-gc', '--trace-gc-nvp', ...nodeArguments, 'core/main.ts'] })
  onTestFinished(() => gateway.stop())
  return gateway
}

test.each([
  ['HTTP', callOverHttp],
  ['WebSocket', (gateway: GatewayProcess, calls: number) => callOverSockets(gateway, calls, 1)],
  ['WebSocket, many at once', (gateway: GatewayProcess, calls: number) => callOverSockets(gateway, calls, 64)],
] as const)(
  'calls over %s',
  async (_, call) => {
    const gateway = await startGatewayBefore('"0x1"')
    await call(gateway, CALLS)
    const ratios = collections(gateway, 's').map(({ promotion_ratio: ratio }) => ratio)
    const late = ratios.slice(ratios.length >> 1).toSorted((a, b) => a - b) // the first see what the process needed to start
    expect(late.length).toBeGreaterThan(2)
    expect(late[late.length >> 1]).toBeLessThan(5)
  },
  60_000,
)

test('large answers are let go of without a search of the whole heap for each', async () => {
  const gateway = await startGatewayBefore(`"${'x'.repeat(8 * 1024 * 1024)}"`)
  const before = collections(gateway, 'mc').length
  await callOverHttp(gateway, LARGE_ANSWERS)
  expect(collections(gateway, 'mc').length - before).toBeLessThan(LARGE_ANSWERS / 4)
}, 60_000)

test('who announces much and sends little has no memory searched for: 2000 bodies of 60 000 bytes of an announced mebibyte', async () => {
  const gateway = await startGatewayBefore('"0x1"', '--max-old-space-size=512')
  const port = Number(new URL(gateway.url).port)
  const body = Buffer.alloc(60_000, ' ')
  for (let i = 0; i < 2000; i++) {
    const socket = connect({ port, host: '127.0.0.1', localAddress: `127.0.0.${2 + (i % 6)}` }).on('error', () => undefined)
    onTestFinished(() => void socket.destroy())
    socket.write('POST /eth HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n')
    socket.write(body)
    if (i % 50 === 49) await delay(20)
  }
  const before = collections(gateway, 'mc').length
  await callOverHttp(gateway, 3000)
  expect(collections(gateway, 'mc').length - before).toBeLessThan(20)
}, 60_000)
