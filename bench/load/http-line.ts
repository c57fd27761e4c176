/** A client's HTTP connection: raw bytes, one request at a time, and as little work as the check of the answer allows. */
import { connect } from 'node:net'
import { isExpected, textOf } from './requests.ts'
import type { Socket } from 'node:net'
import type { Line, LineOwner } from './generator.ts'
import type { Request } from './requests.ts'

const HEAD_END = Buffer.from('\r\n\r\n')
const LENGTH = /\r\ncontent-length: *(\d+)/i

const prepared = new WeakMap<Request, Buffer>()

/** A request as bytes; made once. */
function prepare(request: Request, host: string): Buffer {
  let bytes = prepared.get(request)
  if (bytes === undefined) {
    const body = textOf(request, 1)
    const key = request.key === undefined ? '' : `apikey: ${request.key}\r\n`
    bytes = Buffer.from(
      `POST ${request.path} HTTP/1.1\r\nHost: ${host}\r\n${key}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )
    prepared.set(request, bytes)
  }
  return bytes
}

export class HttpLine implements Line {
  private readonly owner: LineOwner
  private readonly host: string
  private readonly socket: Socket
  private request: Request | undefined
  /** The beginning of an answer whose head is not all there. */
  private head: Buffer | undefined
  private body: Buffer[] = []
  /** Bytes of the body that are still to come; -1 while there is no head. */
  private missing = -1

  private constructor(socket: Socket, host: string, owner: LineOwner) {
    this.socket = socket
    this.host = host
    this.owner = owner
    socket.on('data', (chunk: Buffer) => this.receive(chunk))
    socket.on('close', () => owner.lost('a connection was closed'))
  }

  static open(host: string, port: number, owner: LineOwner): Promise<HttpLine> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port, noDelay: true }, () => resolve(new HttpLine(socket, `${host}:${port}`, owner)))
      socket.once('error', reject)
    })
  }

  send(request: Request): void {
    this.request = request
    this.socket.write(prepare(request, this.host))
  }

  close(): void {
    this.socket.removeAllListeners('close')
    this.socket.destroy()
  }

  private receive(chunk: Buffer): void {
    let bytes = chunk
    if (this.missing < 0) {
      if (this.head !== undefined) bytes = Buffer.concat([this.head, chunk])
      const headEnd = bytes.indexOf(HEAD_END)
      this.head = headEnd === -1 ? bytes : undefined
      if (headEnd === -1) return
      this.missing = Number(LENGTH.exec(bytes.toString('latin1', 0, headEnd))?.[1] ?? 0)
      bytes = bytes.subarray(headEnd + HEAD_END.length)
    }
    this.missing -= bytes.length
    // Of an answer to one call only the beginning is looked at.
    if (this.request!.isBatch || this.body.length === 0) this.body.push(bytes)
    if (this.missing <= 0) this.answered()
  }

  private answered(): void {
    const body = this.body.length === 1 ? this.body[0]! : Buffer.concat(this.body)
    this.body = []
    this.missing = -1
    this.owner.answered(this, 0, isExpected(this.request!, body))
  }
}
