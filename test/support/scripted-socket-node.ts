/**
 * A scripted node that speaks JSON-RPC over WebSocket and HTTP on one port: calls, subscriptions to heads and logs of a scripted
 * chain, and whatever else a test wants it to say, or not to say. Real sockets.
 */
import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'
import { hex, ScriptedChain } from './scripted-chain.ts'
import type { IncomingMessage, Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { WebSocket } from 'ws'
import type { ChainEvent, ScriptedBlock } from './scripted-chain.ts'

/** A call as it reached the node. */
export interface SocketCall {
  readonly id: number
  readonly method: string
  readonly params: readonly unknown[]
  /** The whole message, as text. */
  readonly text: string
  /** Undefined for a call over HTTP. */
  readonly socket: WebSocket | undefined
}

/** The texts of whole messages; undefined stands for the usual answer. */
type Said = string | readonly string[] | undefined

/** Answers a call, at once or later. */
export type Handler = (call: SocketCall, node: ScriptedSocketNode) => Said | Promise<Said>

/** Leaves the call without an answer. */
export const silence: Handler = () => []

/** Answers with a result, given as source text. */
export function result(text: string): Handler {
  return ({ id }) => `{"jsonrpc":"2.0","id":${id},"result":${text}}`
}

export function refusal(message: string): Handler {
  return ({ id }) => `{"jsonrpc":"2.0","id":${id},"error":{"code":-32000,"message":${JSON.stringify(message)}}}`
}

interface AskedCall {
  readonly id: number
  readonly method: string
  readonly params?: readonly unknown[]
}

interface NodeSubscription {
  readonly id: string
  readonly params: readonly unknown[]
  readonly socket: WebSocket
}

export interface ScriptedSocketNodeOptions {
  readonly chain?: ScriptedChain
  readonly port?: number
  /** What makes its subscription ids differ from another's. */
  readonly name?: string
}

export class ScriptedSocketNode {
  readonly chain: ScriptedChain
  /** Every call, over both transports, in order of arrival. */
  readonly calls: SocketCall[] = []
  readonly sockets = new Set<WebSocket>()
  /** Requests that opened a WebSocket. */
  readonly handshakes: IncomingMessage[] = []
  /** Codes and reasons with which clients have closed. */
  readonly closes: [code: number, reason: string][] = []
  /** By the node's id. */
  readonly subscriptions = new Map<string, NodeSubscription>()
  /** By method; what is not in here is answered as a node would. */
  readonly handlers = new Map<string, Handler>()
  private readonly name: string
  private server: Server | undefined
  private nextId = 1
  private boundPort: number
  private readonly deafen: () => void
  private waiting: (() => boolean)[] = []

  constructor({ chain = new ScriptedChain(), port = 0, name = 'a' }: ScriptedSocketNodeOptions = {}) {
    this.chain = chain
    this.boundPort = port
    this.name = name
    this.deafen = chain.listen((event) => this.push(event))
  }

  get url(): string {
    return `http://127.0.0.1:${this.boundPort}`
  }

  get wsUrl(): string {
    return `ws://127.0.0.1:${this.boundPort}`
  }

  /** Listens, on the port it had before if it had one. */
  async start(): Promise<this> {
    const server = (this.server = createServer((request, response) => {
      const pieces: Buffer[] = []
      request.on('data', (piece: Buffer) => pieces.push(piece))
      request.on('end', () =>
        this.take(Buffer.concat(pieces).toString(), undefined, ([text]) => void response.setHeader('content-type', 'application/json').end(text)),
      )
    }))
    const webSockets = new WebSocketServer({ server, perMessageDeflate: false })
    webSockets.on('connection', (socket, request) => this.serve(socket, request))
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(this.boundPort, '127.0.0.1', resolve)
    })
    this.boundPort = (server.address() as AddressInfo).port
    return this
  }

  /** Cuts every socket, without a word. */
  cut(): void {
    for (const socket of this.sockets) socket.terminate()
    this.server?.closeAllConnections()
  }

  /** Dies: cuts everything and does not listen any more. `start` brings it back. */
  async die(): Promise<void> {
    const { server } = this
    this.server = undefined
    const closed = new Promise<void>((resolve) => (server === undefined ? resolve() : server.close(() => resolve())))
    for (const socket of this.sockets) socket.terminate()
    server?.closeAllConnections()
    await closed
    await this.until(() => this.sockets.size === 0)
  }

  async stop(): Promise<void> {
    this.deafen()
    await this.die()
  }

  /** Resolves once something is so; looked at after every message, and now and then. */
  until(isSo: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const timer = setInterval(() => this.changed(), 5)
      this.waiting.push(() => {
        if (!isSo()) return false
        clearInterval(timer)
        resolve()
        return true
      })
      this.changed()
    })
  }

  /** Calls of a method. */
  callsTo(method: string): readonly SocketCall[] {
    return this.calls.filter((call) => call.method === method)
  }

  /** Sends a text to all sockets. */
  say(text: string): void {
    for (const socket of this.sockets) socket.send(text)
  }

  /** Sends an event, as source text, to a subscription. */
  notify(subscription: string, event: string, method = 'eth_subscription'): void {
    const { socket } = this.subscriptions.get(subscription)!
    socket.send(notification(subscription, event, method))
  }

  /** The answer that a node would give. */
  usual({ id, method, params, socket }: SocketCall): string | readonly string[] {
    const say = (value: unknown): string => JSON.stringify({ jsonrpc: '2.0', id, result: value })
    if (method === 'eth_blockNumber') return say(hex(this.chain.head))
    if (method === 'eth_getBlockByNumber') return say(blockOf(this.chain.blocks[Number(params[0])]))
    if (method === 'eth_getLogs') return say(logsOf(this.chain, params[0] as LogFilter))
    if (method.endsWith('unsubscribe') && socket !== undefined) return say(this.subscriptions.delete(params[0] as string))
    if (method.endsWith('subscribe') && socket !== undefined) {
      const subscription = `0x${this.name}${(this.nextId++).toString(16)}`
      this.subscriptions.set(subscription, { id: subscription, params, socket })
      return say(subscription)
    }
    return say({ method, params })
  }

  private serve(socket: WebSocket, request: IncomingMessage): void {
    this.handshakes.push(request)
    this.sockets.add(socket)
    socket.on('message', (data: Buffer) => {
      this.take(data.toString(), socket, (texts) => {
        for (const text of texts) socket.send(text)
      })
    })
    socket.on('error', () => undefined)
    socket.on('close', (code, reason) => {
      this.closes.push([code, reason.toString()])
      this.sockets.delete(socket)
      for (const [id, each] of this.subscriptions) if (each.socket === socket) this.subscriptions.delete(id)
      this.changed()
    })
    this.changed()
  }

  private take(text: string, socket: WebSocket | undefined, say: (texts: readonly string[]) => void): void {
    const document = JSON.parse(text) as AskedCall | readonly AskedCall[]
    if (!('length' in document)) return this.handle(document, text, socket, say)
    const answers: string[] = []
    for (const each of document) {
      this.handle(each, text, socket, (texts) => {
        if (answers.push(...texts) === document.length) say([`[${answers.join(',')}]`])
      })
    }
  }

  private handle({ id, method, params = [] }: AskedCall, text: string, socket: WebSocket | undefined, say: (texts: readonly string[]) => void): void {
    const call: SocketCall = { id, method, params, text, socket }
    this.calls.push(call)
    const answer = (said: Said): void => {
      const texts = said ?? this.usual(call)
      if (texts.length > 0 || typeof texts === 'string') say(typeof texts === 'string' ? [texts] : texts)
      this.changed()
    }
    const said = this.handlers.get(method)?.(call, this)
    if (said instanceof Promise) void said.then(answer)
    else answer(said)
    this.changed()
  }

  private push({ removed, added }: ChainEvent): void {
    for (const { id, params, socket } of this.subscriptions.values()) {
      const send = (event: unknown): void => socket.send(notification(id, JSON.stringify(event), 'eth_subscription'))
      if (params[0] === 'newHeads') for (const block of added) send(headerOf(block))
      if (params[0] !== 'logs') continue
      const { address } = (params[1] ?? {}) as LogFilter
      for (const log of [...removed, ...added.flatMap(({ logs }) => logs)]) if (address === undefined || log['address'] === address) send(log)
    }
  }

  private changed(): void {
    this.waiting = this.waiting.filter((isDone) => !isDone())
  }
}

interface LogFilter {
  readonly address?: string
  readonly fromBlock?: string
  readonly toBlock?: string
}

function notification(subscription: string, event: string, method: string): string {
  return `{"jsonrpc":"2.0","method":"${method}","params":{"subscription":${JSON.stringify(subscription)},"result":${event}}}`
}

/** A header has fewer members than a block, as on every node. */
function headerOf({ number, hash, parentHash }: ScriptedBlock): Record<string, unknown> {
  return { parentHash, number: hex(number), extraData: '0x', hash }
}

function blockOf(block: ScriptedBlock | undefined): Record<string, unknown> | null {
  return block === undefined ? null : { ...headerOf(block), size: '0x220', transactions: [], uncles: [], withdrawals: [] }
}

function logsOf(chain: ScriptedChain, { address, fromBlock, toBlock }: LogFilter): unknown[] {
  return chain.blocks
    .slice(Number(fromBlock), Number(toBlock) + 1)
    .flatMap(({ logs }) => logs)
    .filter((log) => address === undefined || log['address'] === address)
}

/** Starts a node on the loopback address. */
export function startScriptedSocketNode(options?: ScriptedSocketNodeOptions): Promise<ScriptedSocketNode> {
  return new ScriptedSocketNode(options).start()
}
