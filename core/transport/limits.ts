/** What the transports take at most. Every limit has a name, a default and a code; operators set them under `limits:`. */

export interface TransportLimits {
  /** Bytes of a request body or of a WebSocket message from a client. Above: 413, or close 1009. */
  readonly maxBodyBytes: number
  /** Milliseconds for all headers of a request to arrive. Above: 408. */
  readonly headersTimeoutMs: number
  /** Milliseconds for a whole request to arrive. Above: 408. */
  readonly requestTimeoutMs: number
  /** Milliseconds that an idle kept-alive connection is held. */
  readonly keepAliveTimeoutMs: number
  /** Bytes of all headers of a request. Above: 431. */
  readonly maxHeaderBytes: number
  /** Answers under this many bytes are not compressed. */
  readonly compressOverBytes: number
}
