/**
 * The table of errors: every way in which Tollgate itself refuses a call. One row per name; codes are never
 * reused. The README's copy is proved equal by a test. Codes: JSON-RPC 2.0 section 5.1 and EIP-1474.
 */

/** One row of the table. */
export interface ErrorRow {
  /** JSON-RPC error code. */
  readonly code: number
  /** HTTP status when every call of the frame was refused alike. */
  readonly status: number
  /** The message when the refusal brings none of its own. */
  readonly message: string
  /** Whose fault it is. */
  readonly from: 'client' | 'gateway' | 'upstream'
  /** Whether asking again can help: never, only while no byte reached a node, or always. */
  readonly retry: 'never' | 'if-unsent' | 'always'
}

export const errors = {
  parseError: { code: -32700, status: 200, message: 'Parse error', from: 'client', retry: 'never' },
  invalidRequest: { code: -32600, status: 200, message: 'Invalid Request', from: 'client', retry: 'never' },
  methodNotAllowed: { code: -32601, status: 405, message: 'Method not found', from: 'client', retry: 'never' },
  invalidParams: { code: -32602, status: 200, message: 'Invalid params', from: 'client', retry: 'never' },
  internal: { code: -32603, status: 500, message: 'Internal error', from: 'gateway', retry: 'always' },
  unauthorized: { code: -32002, status: 401, message: 'Unauthorized', from: 'client', retry: 'never' },
  blocked: { code: -32003, status: 403, message: 'Blocked', from: 'client', retry: 'never' },
  limited: { code: -32005, status: 429, message: 'Limit exceeded', from: 'client', retry: 'always' },
  upstreamUnavailable: { code: -32010, status: 502, message: 'Upstream unavailable', from: 'upstream', retry: 'if-unsent' },
  upstreamTimeout: { code: -32011, status: 504, message: 'Upstream timeout', from: 'upstream', retry: 'if-unsent' },
  overloaded: { code: -32012, status: 503, message: 'Overloaded', from: 'gateway', retry: 'always' },
} as const satisfies Record<string, ErrorRow>

/** The name of a row in the table of errors. */
export type ErrorName = keyof typeof errors
