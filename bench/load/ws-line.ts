/** A client's WebSocket: frames are masked beforehand, so that the load costs little beside what it measures. */
import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { isExpected, textOf } from './requests.ts'
import type { Socket } from 'node:net'
import type { Line, LineOwner } from './generator.ts'
import type { Request } from './requests.ts'

const HEAD_END = Buffer.from('\r\n\r\n')
const ID = Buffer.from('"id":')
const ZERO = 0x30
/** Ids are as far apart as a batch may be long, so that the id of an answer names the request. */
const IDS_APART = 1000

const prepared = new WeakMap<Request, Buffer[]>()

/** A request as a masked text frame (RFC 6455 section 5.2); made once for each place in flight. */
function prepare(request: Request, place: number): Buffer {
  let frames = prepared.get(request)
  if (frames === undefined) prepared.set(request, (frames = []))
  return (frames[place] ??= masked(Buffer.from(textOf(request, IDS_APART * (place + 1)))))
}

function masked(payload: Buffer): Buffer {
  const { length } = payload
  const size = length < 126 ? 2 : length < 0x10000 ? 4 : 10
  const frame = Buffer.alloc(size + 4 + length)
  frame[0] = 0x81
  frame[1] = 0x80 | (size === 2 ? length : size === 4 ? 126 : 127)
  if (size === 4) frame.writeUInt16BE(length, 2)
  else if (size === 10) frame.writeBigUInt64BE(BigInt(length), 2)
  randomBytes(4).copy(frame, size)
  for (let i = 0; i < length; i++) frame[size + 4 + i] = payload[i]! ^ frame[size + (i & 3)]!
  return frame
}

export class WsLine implements Line {
  private readonly owner: LineOwner
  private readonly socket: Socket
  private readonly requests: (Request | undefined)[] = []
  private rest: Buffer = Buffer.alloc(0)

  private constructor(socket: Socket, owner: LineOwner) {
    this.socket = socket
    this.owner = owner
    socket.on('data', (chunk: Buffer) => this.receive(chunk))
    socket.on('close', () => owner.lost('a WebSocket was closed'))
  }

  /** Resolves after the 101. */
  static open(host: string, port: number, { path, key }: Request, owner: LineOwner): Promise<WsLine> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port, noDelay: true })
      const apikey = key === undefined ? '' : `apikey: ${key}\r\n`
      socket.write(
        `GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\n${apikey}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`,
      )
      socket.once('error', reject)
      socket.once('data', (head: Buffer) => {
        const text = head.toString('latin1')
        if (text.startsWith('HTTP/1.1 101') && head.indexOf(HEAD_END) === head.length - HEAD_END.length) resolve(new WsLine(socket, owner))
        else reject(new Error(`no WebSocket: ${text}`))
      })
    })
  }

  send(request: Request, place: number): void {
    this.requests[place] = request
    this.socket.write(prepare(request, place))
  }

  close(): void {
    this.socket.removeAllListeners('close')
    this.socket.destroy()
  }

  private receive(chunk: Buffer): void {
    const bytes = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk])
    let at = 0
    // What is sent because of an answer leaves with what is sent because of those that came with it.
    this.socket.cork()
    for (;;) {
      const next = this.frame(bytes, at)
      if (next === at) break
      at = next
    }
    this.socket.uncork()
    this.rest = bytes.subarray(at)
  }

  /** Reads a frame of a server. Answers where the next one begins, or the same position when it is not all there. */
  private frame(bytes: Buffer, at: number): number {
    if (bytes.length < at + 2) return at
    let length = bytes[at + 1]!
    let from = at + 2
    if (length === 126) {
      if (bytes.length < at + 4) return at
      length = bytes.readUInt16BE(from)
      from += 2
    } else if (length === 127) {
      if (bytes.length < at + 10) return at
      length = Number(bytes.readBigUInt64BE(from))
      from += 8
    }
    const end = from + length
    if (bytes.length < end) return at
    const opcode = bytes[at]! & 0x0f
    if (opcode === 0x1) this.message(bytes.subarray(from, end))
    else if (opcode === 0x8) this.owner.lost('a WebSocket was closed by the server')
    return end
  }

  private message(payload: Buffer): void {
    const idAt = payload.indexOf(ID)
    if (idAt === -1) return // a notification
    let id = 0
    for (let at = idAt + ID.length; payload[at]! >= ZERO && payload[at]! <= ZERO + 9; at++) id = id * 10 + payload[at]! - ZERO
    const place = Math.floor(id / IDS_APART) - 1
    const request = this.requests[place]
    if (request === undefined) return this.owner.lost(`an answer to nothing that was asked, id ${id}`)
    this.requests[place] = undefined
    this.owner.answered(this, place, isExpected(request, payload))
  }
}
