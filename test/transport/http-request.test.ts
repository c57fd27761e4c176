/** A body reaches whoever takes it whole, in order and once, whenever he begins to take it. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { HttpRequest } from '../../core/transport/http-request.ts'
import type { ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { BodyTaker } from '../../core/transport/http-request.ts'

const POST = 'POST / HTTP/1.1\r\nHost: a\r\n'

/** Keeps what it is given. */
class Keeper implements BodyTaker {
  text = ''
  ends = 0
  took(chunk: Buffer): void {
    this.text += chunk.toString('latin1')
  }

  tookAll(): void {
    this.ends++
  }
}

/** A server that leaves it to the test what becomes of a request, and a connection to it. */
async function start(serve: (request: HttpRequest, response: ServerResponse) => void): Promise<Socket> {
  const server = createServer({ IncomingMessage: HttpRequest }, serve).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').setEncoding('latin1')
  onTestFinished(() => {
    socket.destroy()
    server.close()
  })
  return socket
}

test.each([
  ['at once', 0],
  ['after the first half', 20],
  ['when all of it is there', 60],
])('a body is taken %s', async (_, waitMs) => {
  const keeper = new Keeper()
  const seen: HttpRequest[] = []
  const socket = await start((request, response) => {
    seen.push(request)
    const take = (): void => request.deliverTo(keeper)
    if (waitMs === 0) take()
    else setTimeout(take, waitMs)
    setTimeout(() => response.end(), 100)
  })
  for (const expected of ['onetwo', 'onetwoonetwo']) {
    socket.write(`${POST}Content-Length: 6\r\n\r\none`)
    await delay(40)
    socket.write('two')
    await once(socket, 'data')
    expect(keeper.text).toBe(expected)
  }
  expect(keeper.ends).toBe(2)
  expect(seen.map(({ readableEnded, aborted }) => [readableEnded, aborted])).toEqual([
    [true, false],
    [true, false],
  ])
})

test.each([
  ['no body', 'Content-Length: 0\r\n\r\n', ''],
  ['chunks', 'Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n', 'onetwo'],
])('%s', async (_, rest, text) => {
  const keeper = new Keeper()
  const socket = await start((request, response) => {
    request.deliverTo(keeper)
    setImmediate(() => response.end())
  })
  socket.write(POST + rest)
  await once(socket, 'data')
  expect(keeper).toMatchObject({ text, ends: 1 })
})

test.each([
  ['at once', 0],
  ['late', 20],
])('what is left goes to another taker: the first came %s', async (_, waitMs) => {
  const first = new Keeper()
  const second = new Keeper()
  const socket = await start((request, response) => {
    const take = (): void => request.deliverTo(first)
    if (waitMs === 0) take()
    else setTimeout(take, waitMs)
    setTimeout(() => request.deliverTo(second), 40)
    setTimeout(() => response.end(), 100)
  })
  socket.write(`${POST}Content-Length: 6\r\n\r\none`)
  await delay(60)
  socket.write('two')
  await once(socket, 'data')
  expect(first).toMatchObject({ text: 'one', ends: 0 })
  expect(second).toMatchObject({ text: 'two', ends: 1 })
})

test('a client that breaks off has not sent all', async () => {
  const keeper = new Keeper()
  const seen: HttpRequest[] = []
  const socket = await start((request) => {
    seen.push(request)
    request.deliverTo(keeper)
  })
  socket.write(`${POST}Content-Length: 6\r\n\r\none`)
  await delay(40)
  const [request] = seen
  const closed = new Promise((resolve) => request!.on('close', resolve))
  socket.destroy()
  await closed
  expect(keeper).toMatchObject({ text: 'one', ends: 0 })
  expect(request).toMatchObject({ aborted: true, readableEnded: false })
})

test('what nobody takes is thrown away once there is an answer', async () => {
  const socket = await start((_, response) => response.end())
  for (let i = 0; i < 2; i++) {
    socket.write(`${POST}Content-Length: 6\r\n\r\none`)
    const [head] = (await once(socket, 'data')) as [string]
    expect(head).toMatch(/^HTTP\/1.1 200 OK/)
    socket.write('two')
  }
})
