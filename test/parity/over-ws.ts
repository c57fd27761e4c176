/** WebSocket as a transport for the table of cases: one socket per frame, one message per frame. */
import { WebSocket } from 'ws'
import type { IncomingMessage } from 'node:http'
import type { TestGateway } from '../support/gateway.ts'
import type { Answered, Transport } from './over-http.ts'

export const overWebSocket: Transport = async (gateway, path, frame, key) => {
  const framesBefore = await gateway.metric('tollgate_frames_total')
  const socket = new WebSocket(gateway.wsUrl + path, { headers: key === undefined ? {} : { apikey: key } })
  try {
    const refused = await new Promise<Answered | undefined>((resolve, reject) => {
      socket.once('open', () => resolve(undefined))
      socket.once('error', reject)
      socket.once('unexpected-response', (_request, response) => resolve(refusalOf(response)))
    })
    return refused ?? { document: await exchange(gateway, socket, frame, framesBefore), status: undefined, headers: undefined, isHandshake: false }
  } finally {
    socket.terminate()
  }
}

/** Sends the frame; answers with the message that comes back, or undefined once the gateway is done with the frame and has said nothing. */
function exchange(gateway: TestGateway, socket: WebSocket, frame: string | Uint8Array, framesBefore: number): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const look = setInterval(() => {
      void gateway.metric('tollgate_frames_total').then((frames) => {
        if (frames > framesBefore) setImmediate(() => done(undefined))
      }, reject)
    }, 20)
    const done = (message: Buffer | undefined): void => {
      clearInterval(look)
      resolve(message)
    }
    socket.once('message', (message: Buffer) => done(message))
    socket.once('close', (code) => reject(new Error(`closed with ${code}`)))
    socket.send(frame)
  })
}

async function refusalOf(response: IncomingMessage): Promise<Answered> {
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  const headers = new Headers(Object.entries(response.headers).map(([name, value]): [string, string] => [name, String(value)]))
  return { document: Buffer.concat(chunks), status: response.statusCode, headers, isHandshake: true }
}
