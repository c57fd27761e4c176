/**
 * The reference for Node: node:http in front of undici, and no policy at all. What any gateway in JavaScript pays before it
 * has done anything. `raw` has a client of its own in undici's place, which believes all that a node says, and `local` asks no node:
 * floors, not proposals. Arguments: port, port of the node, and `request`, `dispatch`, `pipe`, `raw` or `local`.
 */
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { Pool } from 'undici'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Dispatcher } from 'undici'

/** How undici is used. */
export type ReferenceMode = 'request' | 'dispatch' | 'pipe' | 'raw' | 'local'

const [port, nodePort, mode] = process.argv.slice(2)
const pool = new Pool(`http://127.0.0.1:${nodePort}`, { connections: 512, pipelining: 1 })
const headers = { 'content-type': 'application/json' }

type Answer = (request: IncomingMessage, response: ServerResponse, body: Buffer) => void

/** undici's `request`, the body read as a whole. */
const viaRequest: Answer = (request, response, body) => {
  const asked = pool.request({ method: 'POST', path: request.url!, headers, body })
  asked.then(async (answer) => end(response, answer.statusCode, Buffer.from(await answer.body.arrayBuffer()))).catch(() => end(response, 502, Buffer.alloc(0)))
}

/** undici's `dispatch`: its callbacks, without streams. */
const viaDispatch: Answer = (request, response, body) => {
  let status = 502
  let first: Buffer | undefined
  let more: Buffer[] | undefined
  const handler: Dispatcher.DispatchHandler = {
    onRequestStart: () => undefined,
    onResponseStart: (_controller, statusCode) => void (status = statusCode),
    onResponseData: (_controller, chunk) => {
      if (first === undefined) first = chunk
      else (more ??= [first]).push(chunk)
    },
    onResponseEnd: () => end(response, status, more === undefined ? (first ?? Buffer.alloc(0)) : Buffer.concat(more)),
    onResponseError: () => end(response, 502, Buffer.alloc(0)),
  }
  pool.dispatch({ method: 'POST', path: request.url!, headers, body }, handler)
}

/** undici's `stream` into the answer, nothing collected. */
const viaPipe: Answer = (request, response, body) => {
  pool
    .stream({ method: 'POST', path: request.url!, headers, body }, ({ statusCode, headers: { 'content-length': length } }) => {
      response.writeHead(statusCode, { 'Content-Type': 'application/json', 'Content-Length': String(length) })
      return response
    })
    .catch(() => response.destroy())
}

const HEAD_END = Buffer.from('\r\n\r\n')
const LENGTH = /\r\ncontent-length: *(\d+)/i
const idle: RawConnection[] = []

/** One request at a time on a bare socket: a request is one string, and nothing of an answer is looked at but its length. */
class RawConnection {
  private readonly socket = connect({ port: Number(nodePort), noDelay: true })
  private done: (body: Buffer) => void = () => undefined
  private pieces: Buffer[] = []
  private missing = -1

  constructor() {
    this.socket.on('data', (chunk: Buffer) => this.receive(chunk))
  }

  send(request: string, done: (body: Buffer) => void): void {
    this.done = done
    this.socket.write(request, 'latin1')
  }

  private receive(chunk: Buffer): void {
    let piece = chunk
    if (this.missing < 0) {
      const headEnd = chunk.indexOf(HEAD_END)
      this.missing = Number(LENGTH.exec(chunk.toString('latin1', 0, headEnd))![1])
      piece = chunk.subarray(headEnd + HEAD_END.length)
    }
    this.missing -= piece.length
    this.pieces.push(piece)
    if (this.missing > 0) return
    const body = this.pieces.length === 1 ? this.pieces[0]! : Buffer.concat(this.pieces)
    this.pieces = []
    this.missing = -1
    idle.push(this)
    this.done(body)
  }
}

const viaRaw: Answer = (request, response, body) => {
  const head = `POST ${request.url} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`
  const connection = idle.pop() ?? new RawConnection()
  connection.send(head + body.toString('latin1'), (answer) => endBarely(response, answer.toString('latin1')))
}

/** Answers by itself, whatever is asked. */
const local: Answer = (_request, response) => endBarely(response, LOCAL_ANSWER)
const LOCAL_ANSWER = '{"jsonrpc":"2.0","id":1,"result":"0x1312d00"}'

/** With as few headers as can be; the text has one character per byte. */
function endBarely(response: ServerResponse, text: string): void {
  response.sendDate = false
  response.writeHead(200, ['Content-Type', 'application/json', 'Content-Length', String(text.length)])
  response.end(text, 'latin1')
}

function end(response: ServerResponse, status: number, body: Buffer): void {
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': body.length })
  response.end(body)
}

const modes: Readonly<Record<ReferenceMode, Answer>> = { request: viaRequest, dispatch: viaDispatch, pipe: viaPipe, raw: viaRaw, local }
const answer = modes[mode as ReferenceMode]
if (!Object.hasOwn(modes, mode ?? '')) throw new Error('usage: node-reference.ts PORT NODE_PORT request|dispatch|pipe|raw|local')

createServer({ noDelay: true, keepAliveTimeout: 65_000 }, (request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => answer(request, response, chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)))
}).listen(Number(port), '127.0.0.1')
