/** Upstreams over scripted nodes. */
import { onTestFinished } from 'vitest'
import { RpcRequest } from '../../core/jsonrpc/frame.ts'
import { createMetrics } from '../../core/observe/metrics.ts'
import { NodeUpstream } from '../../core/upstream/upstream.ts'
import { startScriptedNode } from '../support/scripted-node.ts'
import type { ExchangeContext } from '../../core/pipeline/ports.ts'
import type { PluginLog, WebSocketSettings } from '../../core/plugin/define.ts'
import type { Outcome } from '../../core/plugin/outcome.ts'
import type { UpstreamRequest } from '../../core/plugin/session.ts'
import type { NodeSpec, UpstreamSpec } from '../../core/upstream/spec.ts'
import type { ScriptedNode, ScriptedNodeOptions } from '../support/scripted-node.ts'

/** Lines that upstreams logged in this file's tests. */
export const logged: Readonly<Record<string, unknown>>[] = []

const write = (fields: Readonly<Record<string, unknown>>): void => void logged.push(fields)
const log: PluginLog = { isEnabled: () => true, debug: write, info: write, warn: write, error: write }

/** Nodes that stop when the test has ended. */
export async function nodes(count: number, options?: ScriptedNodeOptions): Promise<ScriptedNode[]> {
  const started = await Promise.all(Array.from({ length: count }, () => startScriptedNode(options)))
  onTestFinished(async () => {
    await Promise.all(started.map((node) => node.stop()))
  })
  return started
}

export async function oneNode(options?: ScriptedNodeOptions): Promise<ScriptedNode> {
  const [node] = await nodes(1, options)
  return node!
}

/** A node of a spec. */
export function nodeOf(url: string, changes: Partial<NodeSpec> = {}): NodeSpec {
  return { id: undefined, url, weight: 1, priority: 0, methods: [], tags: [], ...changes }
}

/** A spec over these URLs. */
export function specOf(urls: readonly string[], changes: Partial<UpstreamSpec> = {}): UpstreamSpec {
  return {
    id: 'test',
    type: 'roundrobin',
    key: '$remote_addr',
    nodes: urls.map((url) => nodeOf(url)),
    connectTimeoutMs: 5000,
    readTimeoutMs: 5000,
    totalTimeoutMs: 10_000,
    retries: 0,
    maxAnswerBytes: 1024 * 1024,
    maxConnections: 512,
    keepAliveMs: 4000,
    gzip: true,
    tls: undefined,
    rules: undefined,
    finality: false,
    coalesce: false,
    multiplex: false,
    hedge: undefined,
    broadcast: 1,
    batch: { max: 20, waitMs: 0 },
    active: undefined,
    passive: { failures: 3, ratio: 0.5, coolDownMs: 1000 },
    ...changes,
  }
}

/** What a route says of WebSocket, unless told otherwise. */
export function settings(changes: Partial<WebSocketSettings> = {}): WebSocketSettings {
  return {
    mode: 'shared',
    maxInFlight: 64,
    maxSubscriptions: 100,
    maxMessageBytes: 1024 * 1024,
    maxAnswerBytes: 16 * 1024 * 1024,
    maxBufferedBytes: 8 * 1024 * 1024,
    slowConsumer: 'close',
    maxErrors: 100,
    pingIntervalMs: 30_000,
    maxLifetimeMs: undefined,
    compression: false,
    origins: undefined,
    ...changes,
  }
}

/** What upstreams need; with a registry of its own. */
export function deps() {
  const registry = createMetrics()
  return { metrics: registry, registry, log, version: '1.2.3' }
}

/** An upstream that closes when the test has ended. */
export function upstreamOf(urls: readonly string[], changes: Partial<UpstreamSpec> = {}, parts = deps()): NodeUpstream {
  const upstream = new NodeUpstream(specOf(urls, changes), parts)
  onTestFinished(() => upstream.close())
  return upstream
}

/** A call; `params` is source text. */
export function call(method = 'eth_blockNumber', params = '[]'): RpcRequest {
  return new RpcRequest('1', method, JSON.stringify(method), params)
}

export function context(rewrite: Partial<UpstreamRequest> = {}): ExchangeContext {
  const whole = { path: undefined, host: undefined, headers: undefined, ...rewrite }
  return { isBatch: false, rewrite: whole, calls: [], subscriber: undefined, afterAnswer: [], running: undefined }
}

/** An outcome in few words: `result TEXT`, `error TEXT`, or `NAME why`. */
export function brief(outcome: Outcome | undefined): string {
  if (outcome === undefined) return 'nothing'
  if (outcome.kind === 'refusal') return `${outcome.name} ${outcome.why}`
  return `${outcome.kind} ${typeof outcome.payload === 'string' ? outcome.payload : Buffer.from(outcome.payload).toString('latin1')}`
}

/** Lets the loop turn once: only then is a connection free for another call. */
export function turn(): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, 10))
}

/** Asks, and tells in few words what became of every call. */
export async function ask(upstream: NodeUpstream, ...methods: readonly string[]): Promise<string[]> {
  const outcomes = await upstream.exchange(
    methods.map((method) => call(method)),
    context(),
  )
  return outcomes.map(brief)
}
