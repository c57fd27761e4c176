import { once } from 'node:events'
import { createServer } from 'node:tls'
import { afterEach, expect, test } from 'vitest'
import { connector } from '../../core/upstream/connector.ts'
import { nodeTest } from '../support/certificate.ts'
import type { AddressInfo, Socket } from 'node:net'
import type { Server, TLSSocket } from 'node:tls'

const servers: Server[] = []
afterEach(() => servers.splice(0).map((server) => server.close()))

test('a second TLS connection to a node resumes the session of the first', async () => {
  const resumed: boolean[] = []
  const server = createServer(nodeTest, (socket) => {
    resumed.push(socket.isSessionReused())
    socket.end('hello')
  }).listen(0, '127.0.0.1')
  servers.push(server)
  await once(server, 'listening')
  const connect = connector(new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}`), 1000, {
    ca: nodeTest.cert,
    servername: 'node.test',
    verify: true,
  })
  for (let turn = 0; turn < 2; turn++) {
    let heard = ''
    const socket = await new Promise<Socket>((resolve, reject) => {
      connect(
        (error, made) => (error === undefined ? resolve(made) : reject(error)),
        (bytes) => (heard += bytes.toString()),
      )
    })
    expect((socket as TLSSocket).authorized).toBe(true)
    await once(socket.resume(), 'close')
    expect(heard).toBe('hello')
  }
  expect(resumed).toEqual([false, true])
})
