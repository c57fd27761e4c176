/** What an upstream is built from. The configuration's own upstreams fit in here, and their schema has the defaults. */

/** One node. */
export interface NodeSpec {
  /** How metrics, logs and reports name it; its position where there is none. */
  readonly id: string | undefined
  /** http or https; may have a path, a query, and user and password. A secret: never logged, never part of a message. */
  readonly url: string
  /** ws or wss, as secret as `url`; undefined where the node has no WebSocket. */
  readonly wsUrl?: string | undefined
  /** Its share of the calls, beside the other nodes' weights; 0 takes it out. */
  readonly weight: number
  /** Nodes of a lower priority serve only while none of a higher one can. */
  readonly priority: number
  /** Patterns of the methods that it serves, `!` denies; none means all. */
  readonly methods: readonly string[]
  /** What it has that others may lack, in the words of the rules: `archive`, `trace`. */
  readonly tags: readonly string[]
}

/** What a method needs of a node. */
export interface MethodRule {
  /** The node must have all of these. A tag that no node of the upstream has is not asked for. */
  readonly tags: readonly string[]
  /** Position of the param that names a block: then the tags are needed only for old blocks. */
  readonly block: number | undefined
}

/** Which methods need more than every node has. */
export interface Rules {
  /** A block is old that is more than so many behind the head: nodes that prune keep the state of the others. */
  readonly recentBlocks: number
  /** By method pattern; the best fit counts. */
  readonly methods: Readonly<Record<string, MethodRule>>
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

/** What calls may meet before a node is out. */
export interface PassiveSpec {
  /** Failures in a row. */
  readonly failures: number
  /** The part of the last 32 answers that may be failures. */
  readonly ratio: number
  /** How long a node is out before it is tried again. */
  readonly coolDownMs: number
}

/** How nodes are looked at, whether there are calls or not. */
export interface ActiveSpec {
  readonly intervalMs: number
  /** For the answers to one look. */
  readonly timeoutMs: number
  /** A node on another chain is out; undefined does not look. */
  readonly chainId: number | undefined
  /** A node that is more blocks behind the highest is out. */
  readonly maxLag: number
  /** Looks in a row at which a node that was out has to be well. */
  readonly successes: number
  /** Looks in a row at which a node cannot be reached before it is out. */
  readonly failures: number
}

/** When a read is asked of another node before the first has answered. */
export interface HedgeSpec {
  /** After so many milliseconds, or after what so large a part of a method's answers took (0.95). */
  readonly after: { readonly ms: number } | { readonly part: number }
  /** Further requests for one call. */
  readonly max: number
}

/** How the calls of batches travel. */
export interface BatchSpec {
  /** Calls in one request to a node. */
  readonly max: number
  /** How long a read waits for others to travel with; 0 is for none but those of its own frame. */
  readonly waitMs: number
}

/** One upstream. */
export interface UpstreamSpec {
  readonly id: string
  /** How a node is chosen among those that can answer. */
  readonly type: 'roundrobin' | 'least_conn' | 'chash' | 'ewma'
  /** For chash: the template of what is hashed. Calls without a value share one. */
  readonly key: string
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
  /** Undefined stands for Ethereum's. */
  readonly rules: Rules | undefined
  /** Whether reads that are the same and under way at the same moment are one request to a node. */
  readonly coalesce: boolean
  /** Whether calls that came over HTTP share the sockets to nodes that have a `wsUrl`. */
  readonly multiplex: boolean
  /** Undefined is never. */
  readonly hedge: HedgeSpec | undefined
  /** Nodes that a signed transaction is sent to at once. */
  readonly broadcast: number
  readonly batch: BatchSpec
  readonly passive: PassiveSpec
  /** Undefined where nodes are not looked at. */
  readonly active: ActiveSpec | undefined
  /** Whether a consumer that sent a transaction is read for only from nodes that are as high as what it saw before. */
  readonly finality: boolean
}
