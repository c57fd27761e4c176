/**
 * The second listener: what an operator and an orchestrator ask of a gateway. It has nothing to do with traffic, holds no
 * secret, answers while the gateway drains, and listens on loopback unless told otherwise.
 *
 *     GET /metrics   Prometheus' text format
 *     GET /healthz   200 while the process lives
 *     GET /readyz    200 when the gateway takes traffic, else 503 with the reasons
 *     GET /<report>  whatever else the gateway reports, as JSON
 */
import { createServer } from '../transport/node-http.ts'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { PluginLog } from '../plugin/define.ts'

/** What the admin listener asks of the gateway. */
export interface AdminPort {
  /** Why traffic should not come here now, as sentences; empty when it may. */
  notReady(): readonly string[]
  /** All metrics as text. */
  metrics(): Promise<string>
  /** The media type of `metrics`. */
  readonly metricsType: string
  /** Further pages by name: `upstreams` is served at `/upstreams`. Values of JSON or promises of them, made when asked for. */
  readonly reports: Readonly<Record<string, () => unknown>>
}

export interface AdminOptions {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  readonly log: PluginLog
}

/** A listener that is up. */
export interface AdminListener {
  readonly address: AddressInfo
  /** Stops it and cuts what is still open. */
  close(): Promise<void>
}

/** Sockets at once; a scraper and a few probes need one each. */
const MAX_CONNECTIONS = 64
/** Bytes of all headers of a request. */
const MAX_HEADER_BYTES = 8192
/** Headers and request as a whole have to arrive within this. */
const REQUEST_TIMEOUT_MS = 5000
const KEEP_ALIVE_MS = 30_000

interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
}

type Page = () => Answer | Promise<Answer>

/** Starts the listener. Rejects when the address cannot be listened on. */
export async function startAdmin(port: AdminPort, options: AdminOptions): Promise<AdminListener> {
  const pages = pagesOf(port)
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: REQUEST_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
    },
    (request, response) => void serve(pages, request, response, options.log),
  )
  server.maxConnections = MAX_CONNECTIONS
  await listen(server, options)
  return {
    address: server.address() as AddressInfo,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function pagesOf(port: AdminPort): ReadonlyMap<string, Page> {
  const pages = new Map<string, Page>()
  for (const [name, report] of Object.entries(port.reports)) pages.set(`/${name}`, async () => json(200, await report()))
  pages.set('/metrics', async () => ({ status: 200, type: port.metricsType, body: await port.metrics() }))
  pages.set('/healthz', () => json(200, { status: 'ok' }))
  pages.set('/readyz', () => {
    const reasons = port.notReady()
    return reasons.length === 0 ? json(200, { status: 'ready' }) : json(503, { status: 'not ready', reasons })
  })
  return pages
}

/** Never rejects. */
async function serve(pages: ReadonlyMap<string, Page>, request: IncomingMessage, response: ServerResponse, log: PluginLog): Promise<void> {
  const path = request.url!.split('?', 1)[0]!
  const page = pages.get(path)
  if (page === undefined) return send(response, json(404, { error: 'not found', pages: [...pages.keys()] }))
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD')
    return send(response, json(405, { error: 'method not allowed' }))
  }
  try {
    send(response, await page())
  } catch (error) {
    log.error({ err: error, page: path }, 'an admin page failed')
    send(response, json(500, { error: 'internal error' }))
  }
}

function send(response: ServerResponse, { status, type, body }: Answer): void {
  response.writeHead(status, {
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  })
  response.end(body)
}

function json(status: number, value: unknown): Answer {
  return { status, type: 'application/json; charset=utf-8', body: `${JSON.stringify(value)}\n` }
}

function listen(server: Server, { host, port, log }: AdminOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      server.on('error', (error) => log.error({ err: error }, 'the admin listener failed to accept')) // out of file descriptors
      resolve()
    })
  })
}
