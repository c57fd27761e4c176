/** A pipeline with recording plugins around it: no sockets, the real chain, a meter and an upstream that note what they were asked. */
import { coreMetrics } from '../../core/observe/core-metrics.ts'
import { createMetrics } from '../../core/observe/metrics.ts'
import { buildChain } from '../../core/pipeline/chain.ts'
import { FrameRun } from '../../core/pipeline/frame-run.ts'
import { closeSession, openSession } from '../../core/pipeline/open.ts'
import { LiveSession } from '../../core/pipeline/session.ts'
import { Room } from '../../core/plugin/room.ts'
import { answer, decode, definePlugin } from '#plugin'
import type { Answer } from '../../core/pipeline/answer.ts'
import type { Pipeline } from '../../core/pipeline/frame-run.ts'
import type { ExchangeContext, Meter, Upstream } from '../../core/pipeline/ports.ts'
import type { Destination } from '../../core/pipeline/session.ts'
import type { Draw, HttpAnswer, Outcome, PluginInstance } from '#plugin'
import type { RpcRequest } from '../../core/jsonrpc/frame.ts'

export interface Member {
  readonly name: string
  readonly priority: number
  readonly instance: PluginInstance
  readonly onFault?: 'refuse' | 'pass'
}

export interface FixtureOptions {
  readonly members?: readonly Member[]
  /** Members that replace all others for the consumer of this name. */
  readonly own?: Readonly<Record<string, readonly Member[]>>
  readonly upstream?: (requests: readonly RpcRequest[], context: ExchangeContext) => Promise<readonly Outcome[]>
  readonly meter?: Partial<Meter>
  readonly refuseTogether?: boolean
  readonly hookTimeoutMs?: number
  readonly maxHeldBytes?: number
  readonly maxBacklogBytes?: number
}

const decoder: Member = {
  name: 'decoder',
  priority: 26_000,
  instance: { decode: (bytes) => decode(bytes, { strict: true, maxBatch: 100, maxDepth: 64, maxMethodLength: 128, maxIdBytes: 256 }) },
}

const SILENT = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined, isEnabled: () => false }

/** The pipeline and where it leads, without a session. */
export function pipelineOf(options: FixtureOptions = {}) {
  const metrics = createMetrics()
  const sent: string[] = []
  const refunded: number[] = []
  const upstream: Upstream = {
    id: 'node',
    exchange: (requests, context) => {
      sent.push(...requests.map((request) => request.method))
      return options.upstream?.(requests, context) ?? Promise.resolve(requests.map((request) => answer(`"${request.method}"`)))
    },
    reach: () => Promise.resolve(true),
  }
  const meter: Meter = {
    draw: (wants: readonly (readonly Draw[])[]) => {
      for (const draws of wants) for (const draw of draws) draw.held = draw.cost
      return wants.map(() => -1)
    },
    refund: (draw, amount) => {
      refunded.push(amount)
      draw.held -= amount
    },
    overdraw: () => undefined,
    ...options.meter,
  }
  const core = coreMetrics(metrics, 'test', 'test')
  const { sessions, frames } = core
  const pipeline: Pipeline = {
    meter,
    log: SILENT,
    hookTimeoutMs: options.hookTimeoutMs ?? 50,
    sessions,
    framesInFlight: frames,
    maxFramesInFlight: 1000,
    load: {
      refusal: undefined,
      room: new Room({ value: 0 }, options.maxHeldBytes ?? Infinity),
      backlog: new Room({ value: 0 }, options.maxBacklogBytes ?? Infinity),
    },
    monotonicMs: () => performance.now(),
  }
  const chainOf = (members: readonly Member[]) =>
    buildChain(
      [decoder, ...members].map(({ name, priority, instance, onFault = 'refuse' }) => ({
        plugin: definePlugin({ name, priority, summary: '', config: {}, examples: [], onFault, create: () => instance }),
        instance,
        priority,
        source: 'test',
      })),
      metrics,
    )
  const chain = chainOf(options.members ?? [])
  const own = new Map(Object.entries(options.own ?? {}).map(([name, members]) => [name, chainOf(members)]))
  const destination: Destination = {
    routeId: 'rpc',
    variables: { network: 'eth' },
    network: 'eth',
    upstream,
    chain,
    chainFor: (username) => own.get(username) ?? chain,
    refuseTogether: options.refuseTogether ?? false,
  }
  return { pipeline, destination, sent, refunded, metrics, core }
}

export function fixture(options: FixtureOptions = {}) {
  const { pipeline, destination, sent, refunded, metrics } = pipelineOf(options)
  const session = new LiveSession(
    { scheme: 'http', httpMethod: 'POST', peer: '127.0.0.1', host: 'localhost', path: '/eth', query: '', headers: {} },
    destination,
    'r1',
    0,
  )
  return {
    session,
    pipeline,
    /** Methods that reached the node. */
    sent,
    refunded,
    metrics,
    open: () => new Promise<HttpAnswer | undefined>((resolve) => openSession(session, pipeline, resolve)),
    run: (document: unknown, onRun?: (run: FrameRun) => void) =>
      new Promise<Answer & { text: string; json: Body & readonly Body[] }>((resolve) => {
        const text = typeof document === 'string' ? document : JSON.stringify(document)
        const run = new FrameRun(session, 'r1', text.length, pipeline, (given) => {
          const body = given.document === undefined ? '' : typeof given.document === 'string' ? given.document : given.document.join('')
          resolve({ ...given, text: body, json: (body === '' ? undefined : JSON.parse(body)) as Body & readonly Body[] })
        })
        onRun?.(run)
        run.start(Buffer.from(text))
      }),
    close: () => closeSession(session, pipeline),
  }
}

/** One answer, as far as these tests read it. */
interface Body {
  readonly id: unknown
  readonly result: unknown
  readonly error: { readonly code: number; readonly data: { readonly reason: string } }
}

/** A request object. */
export function rpc(method: string, id: unknown = 1): Record<string, unknown> {
  return { jsonrpc: '2.0', id, method }
}

/** A notification. */
export function note(method: string): Record<string, unknown> {
  return { jsonrpc: '2.0', method }
}
