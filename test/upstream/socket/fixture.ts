/** Upstreams over scripted nodes with WebSocket, and clients as the transport would bring them. */
import { onTestFinished } from 'vitest'
import { Room } from '../../../core/plugin/room.ts'
import { NodeUpstream } from '../../../core/upstream/upstream.ts'
import { fromWire } from '../../../core/jsonrpc/wire.ts'
import { startScriptedSocketNode } from '../../support/scripted-socket-node.ts'
import { brief, call, deps, nodeOf, settings, specOf } from '../fixture.ts'
import type { Document } from '../../../core/jsonrpc/encode.ts'
import type { RpcRequest } from '../../../core/jsonrpc/frame.ts'
import type { ExchangeContext, Notification, Subscriber } from '../../../core/pipeline/ports.ts'
import type { WebSocketSettings } from '../../../core/plugin/define.ts'
import type { UpstreamRequest } from '../../../core/plugin/session.ts'
import type { Outcome } from '../../../core/plugin/outcome.ts'
import type { SocketLimits } from '../../../core/upstream/socket/socket-limits.ts'
import type { UpstreamSpec } from '../../../core/upstream/spec.ts'
import type { ScriptedSocketNode, ScriptedSocketNodeOptions } from '../../support/scripted-socket-node.ts'

/** Waits that a test need not wait for. */
const QUICK: Partial<SocketLimits> = { backoffMs: 5, maxBackoffMs: 40, lagPollMs: 5, headPollMs: 20, reachCacheMs: 50 }

const unbounded = (): Room => new Room({ value: 0 }, Infinity)

export async function socketNode(options?: ScriptedSocketNodeOptions): Promise<ScriptedSocketNode> {
  const node = await startScriptedSocketNode(options)
  onTestFinished(() => node.stop())
  return node
}

export interface UpstreamChanges extends Partial<UpstreamSpec> {
  readonly limits?: Partial<SocketLimits>
  readonly room?: Room
  readonly backlog?: Room
}

export function socketSpec(nodes: readonly ScriptedSocketNode[], changes: Partial<UpstreamSpec> = {}): UpstreamSpec {
  return { ...specOf([]), nodes: nodes.map(({ url, wsUrl }) => nodeOf(url, { wsUrl })), ...changes }
}

/** An upstream over these nodes, with a client that opens a session as the transport does. */
export function socketUpstream(
  nodes: readonly ScriptedSocketNode[],
  { limits = {}, room = unbounded(), backlog = unbounded(), ...changes }: UpstreamChanges = {},
) {
  const parts = { ...deps(), room, backlog, socketLimits: { ...QUICK, ...limits } }
  const upstream = new NodeUpstream(socketSpec(nodes, changes), parts)
  onTestFinished(async () => {
    await upstream.close()
    await until(() => room.held.value === 0 && backlog.held.value === 0) // whoever has gone holds nothing
  })
  const metric = async (line: string): Promise<number> => {
    const text = await parts.registry.text()
    return Number(
      text
        .split('\n')
        .find((each) => each.startsWith(`${line} `))
        ?.split(' ')
        .at(-1),
    )
  }
  return { upstream, metric, parts, client: (settings?: Partial<WebSocketSettings>) => new TestClient(upstream, settings, backlog) }
}

/** A client's socket, as an upstream sees it, and what arrived there. */
export class TestClient implements Subscriber {
  readonly settings: WebSocketSettings
  readonly backlog: Room
  rewrite: UpstreamRequest = { path: undefined, host: undefined, headers: undefined }
  /** All that was written to the client, in order: answers as `answer …`, notifications as source text. */
  readonly received: string[] = []
  readonly notifications: Notification[] = []
  closed: [code: number, reason: string] | undefined
  upstream: NodeUpstream
  private readonly closers: ((code: number, reason: string) => void)[] = []
  private readonly inFlight = new Set<ExchangeContext>()

  constructor(upstream: NodeUpstream, changes: Partial<WebSocketSettings> = {}, backlog = unbounded()) {
    this.upstream = upstream
    this.backlog = backlog
    this.settings = settings(changes)
  }

  get isGone(): boolean {
    return this.closed !== undefined
  }

  push(notification: Notification): void {
    if (this.closed !== undefined) return
    this.notifications.push(notification)
    this.received.push(documentText(notification.message))
  }

  close(code: number, reason: string): void {
    this.leave(code, reason)
  }

  onClose(run: (code: number, reason: string) => void): void {
    this.closers.push(run)
  }

  /** Goes, as a crash or a close frame would have it. */
  leave(code = 1001, reason = ''): void {
    if (this.closed !== undefined) return
    this.closed = [code, reason]
    for (const context of this.inFlight) context.running?.cancel()
    for (const run of this.closers) run(code, reason)
  }

  /** Sends a frame of calls. */
  async send(...requests: readonly RpcRequest[]): Promise<readonly Outcome[]> {
    const context: ExchangeContext = { isBatch: requests.length > 1, rewrite: this.rewrite, calls: [], subscriber: this, afterAnswer: [], running: undefined }
    this.inFlight.add(context)
    const outcomes = await this.upstream.exchange(requests, context)
    this.inFlight.delete(context)
    this.received.push(`answer ${outcomes.map(brief).join(', ')}`)
    for (const run of context.afterAnswer) run()
    return outcomes
  }

  /** Sends one call, and tells in few words what became of it. */
  async ask(method: string, params = '[]'): Promise<string> {
    const [outcome] = await this.send(call(method, params))
    return brief(outcome)
  }

  /** Subscribes, and answers with the client's id as JSON text. */
  async subscribe(params = '["newHeads"]', method = 'eth_subscribe'): Promise<string> {
    const said = await this.ask(method, params)
    if (!said.startsWith('result ')) throw new Error(said)
    return said.slice('result '.length)
  }

  /** Events that arrived, parsed; of one subscription where an id is given. */
  events(id?: string): Record<string, unknown>[] {
    return this.received
      .filter((text) => text.startsWith('{'))
      .map((text) => (JSON.parse(text) as { params: { subscription: unknown; result: Record<string, unknown> } }).params)
      .filter(({ subscription }) => id === undefined || JSON.stringify(subscription) === id)
      .map(({ result }) => result)
  }

  /** Numbers of the heads that arrived. */
  heads(id?: string): number[] {
    return this.events(id).map((head) => Number(head['number']))
  }

  /** Logs that arrived, as `DATA` or `-DATA` where removed. */
  logs(id?: string): string[] {
    return this.events(id).map((log) => `${log['removed'] === true ? '-' : ''}${log['data'] as string}`)
  }
}

function documentText(document: Document): string {
  const pieces = typeof document === 'string' ? [document] : document
  return fromWire(pieces.map((piece) => (typeof piece === 'string' ? piece : Buffer.from(piece).toString('latin1'))).join(''))
}

/** Resolves once something is so. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => void setTimeout(resolve, 2))
}

/** Whole numbers from the first to the last. */
export function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i)
}
