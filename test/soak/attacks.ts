/** What outsiders do to a gateway, over and over: each attack is one act, and says which statuses it was answered with. */
import * as fc from 'fast-check'
import { mutatedBytes } from '../jsonrpc/arbitraries.ts'
import { CALL, SMUGGLED, ambiguous, call } from '../hostile/requests.ts'
import { RawHttp } from '../support/raw-http.ts'
import { OPCODE, RawWebSocket, frame } from '../support/raw-web-socket.ts'

/** Where an attack goes. */
export interface Target {
  readonly port: number
  readonly key: string
}

/** One act; answers the statuses that it met, 101 for a WebSocket that opened. */
export type Attack = (target: Target) => Promise<readonly number[]>

/** An attacker waits for no answer longer than this. */
const PATIENCE_MS = 20_000

const pick = <T>(items: readonly T[]): T => items[Math.floor(Math.random() * items.length)]!
const requests = Object.values(ambiguous).map(([request]) => request)

/** What an act comes to, or nothing when the gateway leaves it without an answer for too long. */
async function answersTo(port: number, text: string): Promise<readonly number[]> {
  const client = (await RawHttp.connect(port)).send(text)
  const timer = setTimeout(() => client.end(), PATIENCE_MS)
  try {
    return (await client.answers()).map(({ status }) => status)
  } finally {
    clearTimeout(timer)
    client.end()
  }
}

const post = (target: Target, path: string, body: string, headers = ''): string =>
  call({ line: `POST ${path} HTTP/1.1`, body, headers: `${headers}Connection: close\r\n` }).replace('free-key', target.key)

/** JSON whose reading could go wrong, or take long. */
const documents: readonly (() => string)[] = [
  () => fc.sample(mutatedBytes, 1)[0]!.toString('latin1'),
  () => '['.repeat(100_000),
  () => `{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[${'{},'.repeat(100_000)}0]}`,
  () => `{"jsonrpc":"2.0","id":1,"method":"eth_call","params":["${'\\u0041'.repeat(100_000)}"]}`,
  () => `[${`${CALL},`.repeat(99)}${CALL}]`,
  () => `[${`${CALL},`.repeat(2000)}${CALL}]`,
  () => `{${Array.from({ length: 10_000 }, (_, at) => `"k${at}":0`).join(',')}}`,
  () => ' '.repeat(1_000_000),
  () => ' '.repeat(2_000_000),
  () => CALL.replace('1,', `"${'x'.repeat(100_000)}",`),
]

export const attacks: Readonly<Record<string, Attack>> = {
  'requests of two readings': ({ port }) => answersTo(port, pick(requests) + SMUGGLED),

  'documents that are almost JSON-RPC': (target) => answersTo(target.port, post(target, '/eth', pick(documents)())),

  'answers without an end, bombs, lies': (target) => answersTo(target.port, post(target, '/rogue', CALL)),

  'packets of a hundred batches': async (target) => {
    await new Promise((resolve) => setTimeout(resolve, 1000))
    const batch = post(target, '/eth', `[${'0,'.repeat(99)}0]`).replace('Connection: close\r\n', '')
    return answersTo(target.port, `${batch.repeat(99)}garbage\r\n\r\n`)
  },

  'keys that are none': (target) => answersTo(target.port, post({ ...target, key: `wrong-${Math.random()}` }, '/eth', CALL)),

  'a thousand calls on one connection': ({ port, key }) => answersTo(port, `${call().replace('free-key', key).repeat(200)}garbage\r\n\r\n`),

  'requests that never end': async ({ port, key }) => {
    const text = pick(['', 'POST /e', call({ length: 'Content-Length: 100000\r\n', body: ' '.repeat(5000) }).replace('free-key', key)])
    return answersTo(port, text)
  },

  'callers that leave': async (target) => {
    const client = (await RawHttp.connect(target.port)).send(post(target, pick(['/eth', '/rogue']), CALL))
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 50))
    client.end()
    return []
  },

  'answers that nobody reads': async (target) => {
    const client = await RawHttp.connect(target.port)
    client.socket.pause()
    client.send(post(target, pick(['/eth', '/rogue']), CALL.replace('eth_blockNumber', 'eth_getLogs')))
    await new Promise((resolve) => setTimeout(resolve, 3000))
    client.end()
    return []
  },

  'messages that never end': async ({ port, key }) => {
    const { client, status } = await RawWebSocket.handshake(port, '/eth', { apikey: key })
    client.send(frame(OPCODE.text, ' '.repeat(pick([1000, 500_000])), { fin: false }))
    await new Promise((resolve) => setTimeout(resolve, 5000))
    client.end()
    return [status]
  },

  'subscriptions to ever more': async ({ port, key }) => {
    const { client, status } = await RawWebSocket.handshake(port, '/feed/close', { apikey: key })
    const count = status === 101 ? 50 : 0
    for (let at = 0; at < count; at++) {
      const address = `0x${Math.random()}${'0'.repeat(50_000)}`
      client.send(frame(OPCODE.text, `{"jsonrpc":"2.0","id":${at},"method":"eth_subscribe","params":["logs",{"address":"${address}"}]}`))
      if ((await client.next()) === undefined) break
    }
    client.end()
    return [status]
  },

  'WebSockets that speak garbage': async ({ port, key }) => {
    const odd = pick(['', 'x;;,=', 'permessage-deflate; server_max_window_bits=99'])
    const { client, status } = await RawWebSocket.handshake(port, '/eth', { apikey: key, 'Sec-WebSocket-Extensions': odd })
    if (status === 101) {
      const garbage = [
        frame(OPCODE.text, pick(documents)().slice(0, 100_000)),
        frame(OPCODE.binary, Buffer.from([0xc0, 0xaf])),
        frame(3, 'x'),
        frame(OPCODE.text, 'x', { rsv: 4 }),
        frame(OPCODE.text, 'x', { masked: false }),
        frame(OPCODE.text, 'x', { claims: 2 ** 31 }),
        frame(OPCODE.text, CALL, { fin: false }),
        frame(OPCODE.ping, 'x'.repeat(125)),
        Buffer.concat(Array.from({ length: 5000 }, () => frame(OPCODE.text, '[0]'))),
        Buffer.concat(Array.from({ length: 2000 }, () => frame(OPCODE.text, CALL.replace('eth_blockNumber', 'x')))),
      ]
      for (let at = 0; at < 10; at++) client.send(pick(garbage))
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 500))
    }
    client.end()
    return [status]
  },
}
