/** All connections are read into one buffer: whatever comes in between, each call gets its own answer, byte for byte. */
import { randomBytes } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { nodeTest } from '../support/certificate.ts'
import { brief, call, context, oneNode, upstreamOf } from './fixture.ts'
import type { Socket } from 'node:net'
import type { Script } from '../support/scripted-node.ts'

const CALLS = 240
/** Characters of results: from one read to many, on both sides of what is kept as it came and of what gzip is undone at once. */
const SIZES = [8, 900, 17_000, 60_000, 66_000, 300_000]

type Framing = (body: Buffer) => Buffer

const head = (line: string): string => `HTTP/1.1 200 OK\r\n${line}\r\n`
const withLength = (line: string, body: Buffer): Buffer => Buffer.concat([Buffer.from(head(`${line}Content-Length: ${body.length}\r\n`)), body])
const chunked: Framing = (body) => {
  const parts: Buffer[] = []
  for (let at = 0; at < body.length;) {
    const part = body.subarray(at, at + 1 + Math.floor(Math.random() * body.length))
    parts.push(Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n'))
    at += part.length
  }
  return Buffer.concat([Buffer.from(head('Transfer-Encoding: chunked\r\n')), ...parts, Buffer.from('0\r\n\r\n')])
}

const framings: readonly Framing[] = [
  (body) => withLength('', body),
  chunked,
  (body) => withLength('Content-Encoding: gzip\r\n', gzipSync(body)),
  (body) => Buffer.concat([Buffer.from(head('Connection: close\r\n')), body]),
]

/** Writes in a few pieces, with time for others in between. */
async function dribble(socket: Socket, bytes: Buffer, isLast: boolean): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const piece = bytes.subarray(at, at + 1 + Math.floor(Math.random() * bytes.length * 1.5))
    socket.write(piece)
    at += piece.length
    await new Promise((resolve) => void setTimeout(resolve, Math.random() * 4))
  }
  if (isLast) socket.end()
}

test.each([
  ['in the clear', {}],
  ['over TLS', { tls: nodeTest }],
])('answers that arrive a piece at a time, all at once, %s', async (_, options) => {
  const texts = Array.from({ length: CALLS }, (_none, n) => randomBytes(SIZES[n % SIZES.length]! / 2).toString('hex'))
  const node = await oneNode(options)
  const script: Script = ({ calls: [asked] }, socket) => {
    const n = Number(asked!.params!.slice(1, -1))
    const framing = framings[Math.floor(n / SIZES.length) % framings.length]!
    void dribble(socket, framing(Buffer.from(`{"jsonrpc":"2.0","id":${asked!.id},"result":"${texts[n]}"}`)), framing === framings[3])
  }
  node.script(script)
  const upstream = upstreamOf([node.url], {
    maxConnections: 40,
    ...('tls' in options && { tls: { ca: nodeTest.cert, servername: 'node.test', verify: true } }),
  })
  const answers = await Promise.all(texts.map((_text, n) => upstream.exchange([call('eth_call', `[${n}]`)], context())))
  for (const [n, [outcome]] of answers.entries()) expect(brief(outcome) === `result "${texts[n]}"`, `call ${n}: ${brief(outcome).slice(0, 60)}`).toBe(true)
})
