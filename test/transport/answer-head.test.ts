/** What is written past node:http's own checks is, byte for byte, what node:http would have written. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import * as fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { HeaderList } from '../../core/pipeline/header-list.ts'
import { isAnswerHeader } from '../../core/plugin/headers.ts'
import { writeLastingHead } from '../../core/transport/answer-head.ts'
import type { ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

/** A server that answers with what the test says, and a connection to it. */
async function start(): Promise<{ ask: (write: (response: ServerResponse) => void) => Promise<string>; socket: Socket }> {
  let write: (response: ServerResponse) => void = () => undefined
  const server = createServer({ keepAliveTimeout: 0 }, (_, response) => write(response)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').setEncoding('latin1')
  onTestFinished(() => {
    socket.destroy()
    server.close()
  })
  let heard = ''
  socket.on('data', (text: string) => (heard += text))
  const ask = async (writer: typeof write): Promise<string> => {
    write = writer
    heard = ''
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    while (!heard.endsWith('.end')) await once(socket, 'data')
    return heard.replace(/Date: [^\r]{29}\r/, 'Date: now\r')
  }
  return { ask, socket }
}

const headers = fc.array(
  fc.tuple(
    fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}$/),
    fc.oneof(fc.stringMatching(/^[\t\x20-\x7e\x80-\xff]{0,40}$/), fc.integer(), fc.constantFrom(0, -1, 1.5, 1e21, Infinity)),
  ),
  { maxLength: 12 },
)

test('the same head and the same body, in one piece and in several, on one connection', async () => {
  const { ask } = await start()
  const status = fc.constantFrom(200, 400, 401, 402, 403, 404, 413, 415, 429, 500, 502, 503, 504, 299, 599)
  const body = fc.oneof(fc.constant('x.end'), fc.constant('y'.repeat(200_000) + '.end'), fc.constantFrom(['a', '.end'], ['b', 'c'.repeat(70_000), '.end']))
  await fc.assert(
    fc.asyncProperty(status, headers, body, async (status, headers, body) => {
      const list = new HeaderList()
      for (const [name, value] of headers) if (isAnswerHeader(name, value)) list.set(name, value)
      const pieces = typeof body === 'string' ? [body] : body
      list.set('Content-Length', pieces.join('').length)
      const send = (response: ServerResponse): void => {
        for (const piece of pieces.slice(0, -1)) response.write(piece, 'latin1')
        response.end(pieces.at(-1), 'latin1')
      }
      const theirs = await ask((response) => {
        response.writeHead(status, list.flat)
        send(response)
      })
      const ours = await ask((response) => {
        writeLastingHead(response, status, list)
        send(response)
      })
      expect(ours).toBe(theirs)
    }),
    { numRuns: 200 },
  )
})

test('the date is that of the second', async () => {
  const { socket, ask } = await start()
  for (let i = 0; i < 3; i++) {
    let heard = ''
    const hear = (text: string): void => void (heard += text)
    socket.on('data', hear)
    const before = Math.floor(Date.now() / 1000)
    await ask((response) => {
      const list = new HeaderList()
      list.set('Content-Length', 4)
      writeLastingHead(response, 200, list)
      response.end('.end')
    })
    socket.off('data', hear)
    const said = Date.parse(/Date: ([^\r]+)\r/.exec(heard)![1]!) / 1000
    expect(said).toBeGreaterThanOrEqual(before - 1) // a timer may come late
    expect(said).toBeLessThanOrEqual(Math.floor(Date.now() / 1000))
    await new Promise((resolve) => setTimeout(resolve, 700))
  }
})

test.each(['Connection', 'connection', 'KEEP-ALIVE', 'Content-Length', 'Transfer-Encoding', 'Trailer', 'TE', 'Upgrade', 'Date', 'Proxy-Connection'])(
  'no plugin says %s',
  (name) => {
    for (let i = 0; i < 2; i++) expect(isAnswerHeader(name, 'close')).toBe(false)
  },
)
