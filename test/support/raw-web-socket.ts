/** A WebSocket client written by hand, byte by byte (RFC 6455 section 5.2), for what a well-behaved library will not send. */
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

export interface FrameOptions {
  readonly fin?: boolean
  readonly rsv?: number
  readonly masked?: boolean
  /** What the length field says, where it is not the payload's length. */
  readonly claims?: number
}

/** One frame. */
export function frame(opcode: number, payload: string | Uint8Array = '', { fin = true, rsv = 0, masked = true, claims }: FrameOptions = {}): Buffer {
  const body = Buffer.from(typeof payload === 'string' ? Buffer.from(payload) : payload)
  const length = claims ?? body.length
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode]
  const mask = masked ? 0x80 : 0
  if (length < 126) head.push(mask | length)
  else if (length < 65_536) head.push(mask | 126, length >> 8, length & 255)
  else head.push(mask | 127, 0, 0, 0, 0, (length >>> 24) & 255, (length >>> 16) & 255, (length >>> 8) & 255, length & 255)
  if (!masked) return Buffer.concat([Buffer.from(head), body])
  const key = Buffer.from([1, 2, 3, 4])
  return Buffer.concat([Buffer.from(head), key, body.map((byte, at) => byte ^ key[at % 4]!)])
}

/** A close frame with a code. */
export function closeFrame(code: number, reason = ''): Buffer {
  return frame(OPCODE.close, Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]))
}

/** What the server sent: one frame. */
export interface Received {
  readonly opcode: number
  readonly fin: boolean
  readonly payload: Buffer
}

export class RawWebSocket {
  readonly socket: Socket
  private bytes: Buffer = Buffer.alloc(0)
  private isEnded = false
  private wake = (): void => undefined

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.bytes = Buffer.concat([this.bytes, chunk])
      this.wake()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.isEnded = true
      this.wake()
    })
  }

  /** Sends the lines of a handshake and reads the head of the answer. */
  static async handshake(
    port: number,
    path: string,
    headers: Readonly<Record<string, string>> = {},
    requestLine = `GET ${path} HTTP/1.1`,
  ): Promise<{ client: RawWebSocket; status: number; head: string }> {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    const client = new RawWebSocket(socket)
    const all = {
      Host: 'localhost',
      Upgrade: 'websocket',
      Connection: 'Upgrade',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Version': '13',
      ...headers,
    }
    const lines = Object.entries(all)
      .filter(([, value]) => value !== '')
      .map(([name, value]) => `${name}: ${value}\r\n`)
    socket.write(`${requestLine}\r\n${lines.join('')}\r\n`)
    const end = await client.until(() => {
      const at = client.bytes.indexOf('\r\n\r\n')
      return at === -1 ? undefined : at
    })
    const head = client.bytes.subarray(0, end ?? 0).toString('latin1')
    client.bytes = client.bytes.subarray((end ?? -4) + 4)
    return { client, head, status: Number(head.split(' ')[1] ?? 0) }
  }

  send(...frames: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat(frames))
  }

  /** The next frame; undefined when the connection ends instead. */
  async next(): Promise<Received | undefined> {
    return this.until(() => this.parse())
  }

  /** The code of the close frame that comes, after whatever comes before it; undefined when the connection just ends. */
  async closeCode(): Promise<number | undefined> {
    for (let received = await this.next(); received !== undefined; received = await this.next()) {
      if (received.opcode === OPCODE.close) return received.payload.length >= 2 ? received.payload.readUInt16BE(0) : 1005
    }
    return undefined
  }

  /** All that came after the head, as text: the body of a refused handshake. */
  async rest(): Promise<string> {
    await this.until(() => (this.isEnded ? true : undefined))
    return this.bytes.toString('latin1')
  }

  end(): void {
    this.socket.destroy()
  }

  private async until<T>(look: () => T | undefined): Promise<T | undefined> {
    for (;;) {
      const found = look()
      if (found !== undefined || this.isEnded) return found
      await new Promise<void>((resolve) => (this.wake = resolve))
    }
  }

  private parse(): Received | undefined {
    const { bytes } = this
    if (bytes.length < 2) return undefined
    let length = bytes[1]! & 0x7f
    let at = 2
    if (length === 126) {
      if (bytes.length < 4) return undefined
      length = bytes.readUInt16BE(2)
      at = 4
    } else if (length === 127) {
      if (bytes.length < 10) return undefined
      length = Number(bytes.readBigUInt64BE(2))
      at = 10
    }
    if (bytes.length < at + length) return undefined
    this.bytes = bytes.subarray(at + length)
    return { opcode: bytes[0]! & 0x0f, fin: (bytes[0]! & 0x80) !== 0, payload: bytes.subarray(at, at + length) }
  }
}
