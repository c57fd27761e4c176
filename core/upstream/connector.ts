/** Connections to nodes, given up when they take too long. */
import { buildConnector } from 'undici'
import type { Socket } from 'node:net'
import type { buildConnector as Connector } from 'undici'
import type { TlsSpec } from './spec.ts'

/** The `code` of the error with which a connection that took too long fails. */
export const CONNECT_TIMEOUT = 'TOLLGATE_CONNECT_TIMEOUT'

/**
 * A connector for one pool. undici's own timeout fires up to a second late; this one is exact.
 * HTTP/1.1 only: a JSON-RPC node gains nothing by HTTP/2 and its framing costs CPU.
 */
export function connector(timeoutMs: number, tls: TlsSpec | undefined): Connector.connector {
  const connect = buildConnector({
    timeout: 0,
    allowH2: false,
    rejectUnauthorized: tls?.verify ?? true,
    ...(tls?.ca !== undefined && { ca: tls.ca }),
  }) as (options: Connector.Options, callback: Connector.Callback) => Socket
  return (options, callback) => {
    const socket = connect(options, (...result) => {
      clearTimeout(timer)
      callback(...result)
    })
    const timer = setTimeout(() => {
      socket.destroy(Object.assign(new Error('connecting took too long'), { code: CONNECT_TIMEOUT }))
    }, timeoutMs)
  }
}
