/**
 * What an upstream is built from, and every limit that it keeps. The configuration's own upstreams fit in here; what
 * they leave out is taken from `upstreamDefaults`.
 */

/** One node. */
export interface NodeSpec {
  /** http or https; may have a path, a query, and user and password. A secret: never logged, never part of a message. */
  readonly url: string
  /** Its share of the calls, beside the other nodes' weights; 0 takes it out. */
  readonly weight: number
}

/** How https nodes are verified. */
export interface TlsSpec {
  /** Certificates in PEM that are trusted instead of the system's. */
  readonly ca?: string | undefined
  /** The name that the certificate must carry, where it is not the URL's host. */
  readonly servername?: string | undefined
  /** False takes any certificate. Default true. */
  readonly verify?: boolean | undefined
}

/** One upstream. */
export interface UpstreamSpec {
  readonly id: string
  readonly nodes: readonly NodeSpec[]
  /** Until a connection stands, TLS included. */
  readonly connectTimeoutMs: number
  /** Without a byte of the answer: until its first one, and between two. Also how long a call waits for a free connection. */
  readonly readTimeoutMs: number
  /** For a frame as a whole, retries included. */
  readonly totalTimeoutMs?: number | undefined
  /** Further attempts on calls that a node left without an answer. */
  readonly retries: number
  /** An answer is cut at this size, counted after decompression. */
  readonly maxAnswerBytes: number
  /** Connections to one node. */
  readonly maxConnections?: number | undefined
  /** An idle connection is kept for so long, unless the node's Keep-Alive header says less. */
  readonly keepAliveMs?: number | undefined
  /** Whether nodes are asked for gzip. */
  readonly gzip?: boolean | undefined
  readonly tls?: TlsSpec | undefined
}

export const upstreamDefaults = {
  connectTimeoutMs: 2000,
  readTimeoutMs: 30_000,
  /** Twice the read timeout: room for one retry. */
  totalTimeoutMs: 60_000,
  retries: 1,
  /** 64 MiB: a block of traces is some 20 MiB. */
  maxAnswerBytes: 64 * 1024 * 1024,
  /** Half of the file descriptors that a process commonly may open. */
  maxConnections: 512,
  /** Under the 5 s after which Node's own servers close, the shortest in common use: a request must not meet a closing connection. */
  keepAliveMs: 4000,
  /** Undoing gzip costs 10 µs on a small answer, a third of the whole call: worth switching off for a node on the same machine that compresses everything. */
  gzip: true,
} as const

/** A spec with nothing left open. */
export interface FullSpec extends UpstreamSpec {
  readonly totalTimeoutMs: number
  readonly maxConnections: number
  readonly keepAliveMs: number
  readonly gzip: boolean
}

/** Fills in the defaults. */
export function fillSpec(spec: UpstreamSpec): FullSpec {
  return {
    ...spec,
    totalTimeoutMs: spec.totalTimeoutMs ?? upstreamDefaults.totalTimeoutMs,
    maxConnections: spec.maxConnections ?? upstreamDefaults.maxConnections,
    keepAliveMs: spec.keepAliveMs ?? upstreamDefaults.keepAliveMs,
    gzip: spec.gzip ?? upstreamDefaults.gzip,
  }
}
