/** What an upstream is built from. The configuration's own upstreams fit in here, and their schema has the defaults. */

/** One node. */
export interface NodeSpec {
  /** http or https; may have a path, a query, and user and password. A secret: never logged, never part of a message. */
  readonly url: string
  /** ws or wss, as secret as `url`; undefined where the node has no WebSocket. */
  readonly wsUrl?: string | undefined
  /** Its share of the calls, beside the other nodes' weights; 0 takes it out. */
  readonly weight: number
}

/** How https nodes are verified. */
export interface TlsSpec {
  /** Certificates in PEM that are trusted instead of the system's. */
  readonly ca: string | undefined
  /** The name that the certificate must carry, where it is not the URL's host. */
  readonly servername: string | undefined
  /** False takes any certificate. */
  readonly verify: boolean
}

/** One upstream. */
export interface UpstreamSpec {
  readonly id: string
  readonly nodes: readonly NodeSpec[]
  /** Until a connection stands, TLS included. */
  readonly connectTimeoutMs: number
  /** Until the head of an answer is there, and between two pieces of its body. Also how long a call waits for a free connection. */
  readonly readTimeoutMs: number
  /** For a frame as a whole, retries included. */
  readonly totalTimeoutMs: number
  /** Further attempts on calls that a node left without an answer. */
  readonly retries: number
  /** An answer is cut at this size, counted after decompression. */
  readonly maxAnswerBytes: number
  /** Connections to one node. */
  readonly maxConnections: number
  /** An idle connection is kept for so long; less where the node's Keep-Alive header says so. Must be under what nodes keep (Node's own servers: 5 s), or a call meets a closing connection. */
  readonly keepAliveMs: number
  /** Whether nodes are asked for gzip. Undoing it costs some 10 µs of CPU on a small answer, a quarter of the whole call. */
  readonly gzip: boolean
  readonly tls: TlsSpec | undefined
}
