/** What the transports take at most. Every limit has a name, a default and a code; operators set them under `limits:`. */

/** setTimeout and setInterval take no more than 2^31 - 1. */
export const MAX_TIMER_MS = 2_147_483_647

export interface TransportLimits {
  /** Bytes of a request body or of a WebSocket message from a client. Above: 413, or close 1009. */
  readonly maxBodyBytes: number
  /** Milliseconds for all headers of a request to arrive. Above: 408. */
  readonly headersTimeoutMs: number
  /** Milliseconds for a whole request to arrive. Above: 408. */
  readonly requestTimeoutMs: number
  /** Milliseconds for which a client may take nothing of its answer, and for all of it beside a second for every 64 KiB. Above: the connection is cut, a WebSocket closed with 1013. */
  readonly writeTimeoutMs: number
  /** Milliseconds that an idle kept-alive connection is held. */
  readonly keepAliveTimeoutMs: number
  /** Bytes of all headers of a request. Above: 431. */
  readonly maxHeaderBytes: number
  /** Headers of a request. Above: 431. */
  readonly maxHeaders: number
  /** Connections at once. Above: closed unanswered. */
  readonly maxConnections: number
  /** Connections at once from one IPv4 address or one IPv6 network of 64 bits. Above: 429. */
  readonly maxConnectionsPerAddress: number
  /** Answers under this many bytes are not compressed. */
  readonly compressOverBytes: number
}

/** Those that a WebSocket keeps: a message is late as a request is. */
export type SocketTimeouts = Pick<TransportLimits, 'requestTimeoutMs' | 'writeTimeoutMs'>
