/**
 * The stub node: JSON-RPC over HTTP/1.1 and WebSocket on one port, as cheap as node:net allows, in a process of its own. It
 * answers every call with the right id and a result that depends on the method alone. It trusts whoever calls.
 *
 * Started as `node bench/node.ts`; sends its port to the process that started it.
 */
import { createHash } from 'node:crypto'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'

const KIB = 1024

/** The method whose answer is as large as the largest trace of a block. */
export const BIG_METHOD = 'debug_traceBlockByNumber'
export const BIG_BYTES = 10 * 1024 * KIB

/** How often a subscriber to newHeads hears of a block. */
const BLOCK_MS = 1000

const HEX_WORD = `"0x${'ab'.repeat(32)}"`
const LOG = `{"address":"0x${'c0'.repeat(20)}","topics":[${HEX_WORD},${HEX_WORD}],"data":${HEX_WORD},"blockNumber":"0x1312d00","logIndex":"0x0"}`
const BLOCK = `{"number":"0x1312d00","hash":${HEX_WORD},"parentHash":${HEX_WORD},"timestamp":"0x65a0b3c0","logsBloom":"0x${'00'.repeat(256)}"`

/** Results by method; all others are answered as eth_blockNumber is. */
const RESULTS: ReadonlyMap<string, string> = new Map([
  ['eth_blockNumber', '"0x1312d00"'],
  ['eth_getBalance', '"0x1b1ae4d6e2ef500000"'],
  ['eth_call', HEX_WORD],
  ['eth_sendRawTransaction', HEX_WORD],
  ['eth_getBlockByNumber', padded(`${BLOCK},"transactions":[`, HEX_WORD, ']}', KIB)],
  ['eth_getTransactionReceipt', padded(`{"status":"0x1","transactionHash":${HEX_WORD},"logs":[`, LOG, ']}', KIB)],
  ['eth_getLogs', padded('[', LOG, ']', 100 * KIB)],
  [BIG_METHOD, padded('[', LOG, ']', BIG_BYTES)],
  ['eth_subscribe', '"0x51"'],
  ['eth_unsubscribe', 'true'],
])
const OTHERWISE = RESULTS.get('eth_blockNumber')!

/** A list of one item again and again, at least so many bytes of it. */
function padded(before: string, item: string, after: string, bytes: number): string {
  const count = Math.max(1, Math.ceil((bytes - before.length - after.length) / (item.length + 1)))
  return before + Array.from({ length: count }, () => item).join(',') + after
}

interface Request {
  readonly id: unknown
  readonly method: string
  readonly params?: readonly unknown[]
}

function answerTo({ id, method }: Request): string {
  return `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${RESULTS.get(method) ?? OTHERWISE}}`
}

function answerAll(document: Request | readonly Request[]): string {
  return Array.isArray(document) ? `[${document.map(answerTo).join(',')}]` : answerTo(document as Request)
}

const HEAD_END = Buffer.from('\r\n\r\n')
const LENGTH = /\r\ncontent-length: *(\d+)/i
const WEBSOCKET_KEY = /\r\nsec-websocket-key: *(\S+)/i
/** RFC 6455 section 1.3. */
const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** One connection: what has arrived and is not yet answered. Answers to what arrived together leave in one write. */
class Connection {
  private readonly socket: Socket
  private rest: Buffer = Buffer.alloc(0)
  private isWebSocket = false
  private out = ''
  private blocks: NodeJS.Timeout | undefined

  constructor(socket: Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => this.receive(chunk))
    socket.on('error', () => socket.destroy())
    socket.on('close', () => clearInterval(this.blocks))
  }

  private receive(chunk: Buffer): void {
    const bytes = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk])
    let at = 0
    for (;;) {
      const next = this.isWebSocket ? this.frame(bytes, at) : this.request(bytes, at)
      if (next === at) break
      at = next
    }
    this.rest = bytes.subarray(at)
    this.flush()
  }

  private flush(): void {
    if (this.out !== '' && this.socket.writable) this.socket.write(this.out, 'latin1')
    this.out = ''
  }

  /** Reads one HTTP request. Answers where the next one begins, or the same position when it is not all there. */
  private request(bytes: Buffer, at: number): number {
    const headEnd = bytes.indexOf(HEAD_END, at)
    if (headEnd === -1) return at
    const head = bytes.toString('latin1', at, headEnd)
    const bodyAt = headEnd + HEAD_END.length
    const key = WEBSOCKET_KEY.exec(head)?.[1]
    if (key !== undefined) {
      this.isWebSocket = true
      const accept = createHash('sha1')
        .update(key + WEBSOCKET_GUID)
        .digest('base64')
      this.out += `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`
      return bodyAt
    }
    const end = bodyAt + Number(LENGTH.exec(head)?.[1] ?? 0)
    if (bytes.length < end) return at
    const body = end === bodyAt ? '' : answerAll(JSON.parse(bytes.toString('utf8', bodyAt, end)) as Request)
    this.out += `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
    return end
  }

  /** Reads one WebSocket frame of a client (RFC 6455 section 5.2), which is a whole message. */
  private frame(bytes: Buffer, at: number): number {
    if (bytes.length < at + 6) return at
    const opcode = bytes[at]! & 0x0f
    let length = bytes[at + 1]! & 0x7f
    let maskAt = at + 2
    if (length === 126) {
      length = bytes.readUInt16BE(maskAt)
      maskAt += 2
    } else if (length === 127) {
      if (bytes.length < at + 14) return at
      length = Number(bytes.readBigUInt64BE(maskAt))
      maskAt += 8
    }
    const from = maskAt + 4
    const end = from + length
    if (bytes.length < end) return at
    for (let i = 0; i < length; i++) bytes[from + i]! ^= bytes[maskAt + (i & 3)]!
    if (opcode === 0x8) this.socket.end()
    else if (opcode === 0x9) this.out += framed(0x8a, bytes.toString('latin1', from, end))
    else if (opcode === 0x1 || opcode === 0x2) this.message(JSON.parse(bytes.toString('utf8', from, end)) as Request)
    return end
  }

  private message(document: Request): void {
    this.out += framed(0x81, answerAll(document))
    if (document.method === 'eth_subscribe' && document.params?.[0] === 'newHeads') this.blocks ??= setInterval(() => this.block(), BLOCK_MS)
    else if (document.method === 'eth_unsubscribe') {
      clearInterval(this.blocks)
      this.blocks = undefined
    }
  }

  private block(): void {
    this.out += framed(0x81, `{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"0x51","result":${BLOCK}}}}`)
    this.flush()
  }
}

/** An unmasked frame in wire text. */
function framed(first: number, payload: string): string {
  const { length } = payload
  if (length < 126) return String.fromCharCode(first, length) + payload
  if (length < 0x10000) return String.fromCharCode(first, 126, length >> 8, length & 0xff) + payload
  return String.fromCharCode(first, 127, 0, 0, 0, 0, (length >>> 24) & 0xff, (length >> 16) & 0xff, (length >> 8) & 0xff, length & 0xff) + payload
}

if (process.send !== undefined) {
  const server = createServer((socket) => new Connection(socket))
  server.listen(0, '127.0.0.1', () => process.send!({ port: (server.address() as AddressInfo).port }))
  process.on('disconnect', () => process.exit())
}
