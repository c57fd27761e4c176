/**
 * A scripted JSON-RPC node on a real socket. Unless told otherwise it answers every call with what it was asked; a script
 * may do anything else that bytes on a socket can do. It records every request that reached it.
 */
import { createServer } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { decodeReplies } from '../../core/jsonrpc/reply.ts'
import type { AddressInfo, Server, Socket } from 'node:net'

/** A request as it reached the node. */
export interface NodeRequest {
  readonly httpMethod: string
  readonly path: string
  /** By lower-case name; a header that stands twice is joined with a comma. */
  readonly headers: Readonly<Record<string, string>>
  /** The names as they came, in order. */
  readonly headerNames: readonly string[]
  /** Wire text: one character per byte. */
  readonly body: string
  /** 1 for the node's first connection, and so on. */
  readonly connection: number
  /** The calls of the body; empty where it is no JSON-RPC. */
  readonly calls: readonly NodeCall[]
  readonly isBatch: boolean
}

/** A call as source text: one character per byte. */
interface NodeCall {
  readonly id: string | undefined
  readonly method: string
  readonly params: string | undefined
}

/** What a script does with a request. `socket` is the connection itself. */
export type Script = (request: NodeRequest, socket: Socket, node: ScriptedNode) => void

export interface ScriptedNode {
  /** `http://127.0.0.1:PORT`, or https with `tls`. */
  readonly url: string
  readonly port: number
  /** Every request, in order of arrival. */
  readonly requests: readonly NodeRequest[]
  /** Every call of every request, in order of arrival. */
  readonly calls: readonly NodeCall[]
  /** Connections that were made so far. */
  readonly connections: number
  /** Connections that are open now. */
  readonly openConnections: number
  /** Source text of the result, by method; what is not in here is answered with `{"method":…,"params":…}`, source text both. */
  readonly results: Map<string, string>
  /** Does this with every request from now on; undefined answers again. */
  script(script: Script | undefined): void
  /** Does these with the next requests, one each, before `script` has its say. */
  next(...scripts: readonly Script[]): void
  /** Resolves once so many requests have arrived. */
  arrived(count: number): Promise<void>
  /** Resolves once no connection is open. */
  deserted(): Promise<void>
  /** Closes the port and every connection. */
  stop(): Promise<void>
}

export interface ScriptedNodeOptions {
  /** Certificate and key in PEM; makes it an https node. */
  readonly tls?: { readonly cert: string; readonly key: string }
  /** 0, the default, takes any free port. */
  readonly port?: number
  /** Knows no blocks, and records nobody who asks for one: a gateway follows no chain here. */
  readonly hasNoBlocks?: boolean
}

/** Starts a node on the loopback address. */
export async function startScriptedNode(options: ScriptedNodeOptions = {}): Promise<ScriptedNode> {
  const node = new RunningNode(options)
  await node.listen(options.port ?? 0)
  return node
}

class RunningNode implements ScriptedNode {
  readonly requests: NodeRequest[] = []
  readonly results = new Map<string, string>()
  port = 0
  connections = 0
  private readonly scheme: string
  private readonly hasNoBlocks: boolean
  private readonly server: Server
  private readonly sockets = new Set<Socket>()
  private readonly once: Script[] = []
  private always: Script | undefined
  /** Looked at after every change; each answers whether it is done. */
  private waiting: (() => boolean)[] = []

  constructor({ tls, hasNoBlocks = false }: ScriptedNodeOptions) {
    this.hasNoBlocks = hasNoBlocks
    this.scheme = tls === undefined ? 'http' : 'https'
    const serve = (socket: Socket): void => this.serve(socket)
    this.server = tls === undefined ? createServer({ noDelay: true }, serve) : createTlsServer(tls, serve)
  }

  get url(): string {
    return `${this.scheme}://127.0.0.1:${this.port}`
  }

  get calls(): readonly NodeCall[] {
    return this.requests.flatMap((request) => request.calls)
  }

  get openConnections(): number {
    return this.sockets.size
  }

  script(script: Script | undefined): void {
    this.always = script
  }

  next(...scripts: readonly Script[]): void {
    this.once.push(...scripts)
  }

  arrived(count: number): Promise<void> {
    return this.until(() => this.requests.length >= count)
  }

  deserted(): Promise<void> {
    return this.until(() => this.sockets.size === 0)
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.server.once('error', reject)
      this.server.listen(port, '127.0.0.1', () => {
        this.port = (this.server.address() as AddressInfo).port
        resolve()
      })
    })
  }

  stop(): Promise<void> {
    return new Promise((resolve) => {
      this.server.close(() => resolve())
      for (const socket of this.sockets) socket.destroy()
    })
  }

  private serve(socket: Socket): void {
    const connection = ++this.connections
    let pending = ''
    this.sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.sockets.delete(socket)
      this.changed()
    })
    socket.on('data', (chunk: Buffer) => {
      pending += chunk.toString('latin1')
      for (let request = readRequest(pending, connection); request !== undefined; request = readRequest(pending, connection)) {
        pending = pending.slice(request.bytes)
        if (this.hasNoBlocks && request.calls[0]?.method === 'eth_getBlockByNumber') {
          noSuchMethod(request, socket, this)
          continue
        }
        this.requests.push(request)
        ;(this.once.shift() ?? this.always ?? answer)(request, socket, this)
        this.changed()
      }
    })
    this.changed()
  }

  private until(isDone: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.waiting.push(() => {
        if (isDone()) resolve()
        return isDone()
      })
      this.changed()
    })
  }

  private changed(): void {
    this.waiting = this.waiting.filter((isDone) => !isDone())
  }
}

/** One whole request at the front of the text, with Content-Length; undefined until all of it is there. */
function readRequest(text: string, connection: number): (NodeRequest & { readonly bytes: number }) | undefined {
  const headEnd = text.indexOf('\r\n\r\n')
  if (headEnd === -1) return undefined
  const [requestLine, ...lines] = text.slice(0, headEnd).split('\r\n')
  const [httpMethod, path] = requestLine!.split(' ')
  const headers: Record<string, string> = {}
  const headerNames = lines.map((line) => line.slice(0, line.indexOf(':')))
  for (const line of lines) {
    const name = line.slice(0, line.indexOf(':')).toLowerCase()
    const value = line.slice(line.indexOf(':') + 1).trim()
    headers[name] = name in headers ? `${headers[name]}, ${value}` : value
  }
  const bytes = headEnd + 4 + Number(headers['content-length'] ?? 0)
  if (text.length < bytes) return undefined
  const body = text.slice(headEnd + 4, bytes)
  const read = decodeReplies(Buffer.from(body, 'latin1'))
  const calls = (read?.members ?? []).flatMap((member) =>
    member?.method === undefined ? [] : [{ id: member.id, method: JSON.parse(member.method) as string, params: member.params }],
  )
  return { httpMethod: httpMethod!, path: path!, headers, headerNames, body, connection, calls, isBatch: read?.isBatch ?? false, bytes }
}

/** The default: a result for every call. */
export const answer: Script = (request, socket, node) => {
  const answers = request.calls.map(({ id, method, params }) => {
    const result = node.results.get(method) ?? `{"method":${JSON.stringify(method)},"params":${params ?? 'null'}}`
    return `{"jsonrpc":"2.0","id":${id ?? 'null'},"result":${result}}`
  })
  socket.write(http(request.isBatch ? `[${answers.join(',')}]` : (answers[0] ?? '')), 'latin1')
}

const noSuchMethod: Script = ({ calls }, socket) => {
  socket.write(http(`{"jsonrpc":"2.0","id":${calls[0]!.id ?? 'null'},"error":{"code":-32601,"message":"no such method"}}`))
}

/** An HTTP answer as wire text, Content-Length and JSON content type unless `headers` says otherwise. */
export function http(body: string, status = 200, headers: Readonly<Record<string, string | number>> = {}): string {
  const all: Record<string, string | number> = { 'content-type': 'application/json', 'content-length': body.length, ...headers }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 ${status} Scripted\r\n${lines.join('')}\r\n${body}`
}

/** Answers with this text; `{id}` in it becomes the id of the request's first call, `{id+1}` that of the next. */
export function reply(body: string, status = 200, headers: Readonly<Record<string, string | number>> = {}): Script {
  return (request, socket) => {
    socket.write(http(withIds(body, request), status, headers), 'latin1')
  }
}

/** Writes these bytes and nothing more; ids are put in as `reply` does. With `end` the connection is then closed. */
export function raw(text: string, end = false): Script {
  return (request, socket) => {
    socket.write(withIds(text, request), 'latin1')
    if (end) socket.end()
  }
}

/** Never answers. */
export const hang: Script = () => undefined

/** Resets the connection. */
export const reset: Script = (_request, socket) => {
  socket.resetAndDestroy()
}

/** Writes the head, and then this text a byte at a time, over and over for as long as the connection lasts. */
export function drip(head: string, text: string, everyMs: number): Script {
  return (_request, socket) => {
    let at = 0
    socket.write(head, 'latin1')
    const timer = setInterval(() => socket.write(text.charAt(at++ % text.length), 'latin1'), everyMs)
    socket.on('close', () => clearInterval(timer))
  }
}

/** Writes the head, and then this piece for as long as anybody reads. */
export function endless(head: string, piece: Buffer): Script {
  return (_request, socket) => {
    socket.write(head, 'latin1')
    const more = (): void => {
      while (!socket.destroyed && socket.write(piece)) continue
    }
    socket.on('drain', more)
    more()
  }
}

function withIds(text: string, request: NodeRequest): string {
  const first = Number(request.calls[0]?.id)
  return text.replaceAll(/\{id(?:\+(\d+))?\}/g, (_, plus: string | undefined) => String(first + Number(plus ?? 0)))
}
