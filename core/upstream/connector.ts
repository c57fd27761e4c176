/**
 * Connections to a node, given up when they take too long. HTTP/1.1 only: a JSON-RPC node gains nothing by HTTP/2, and its
 * framing costs CPU.
 */
import { connect as connectTcp, isIP } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { OnReadOpts, Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import type { TlsSpec } from './spec.ts'

/** The `code` of the error with which a connection that took too long fails. */
export const CONNECT_TIMEOUT = 'TOLLGATE_CONNECT_TIMEOUT'

/** An idle connection is looked after by the system from then on: a node may be gone without a word. */
const KEEP_ALIVE_MS = 60_000

/** Bytes that are read at a time, 64 KiB by default: large answers cost an eighth less. */
const READ_BYTES = 262_144
/** What all connections are read into, one read after the other: a buffer for each costs as much as the read. */
const ARRIVED = Buffer.allocUnsafeSlow(READ_BYTES)

type Told = (...result: [error: undefined, socket: Socket] | [error: NodeJS.ErrnoException, socket: undefined]) => void

/**
 * Makes a connection, and tells once: a socket that is ready, or what kept it from being so. The socket has no data of its own
 * to read: `heard` is given what arrives, in a buffer that the next read overwrites.
 */
export type Connect = (told: Told, heard: (bytes: Buffer) => void) => void

/** Connects to the host of a URL. */
export function connector(url: URL, timeoutMs: number, tls: TlsSpec | undefined): Connect {
  const isTls = url.protocol === 'https:'
  const open = isTls ? tlsOpener(url, tls) : (onread: OnReadOpts) => connectTcp({ ...addressOf(url, 80), onread })
  return (told, heard) => {
    const onread = {
      buffer: ARRIVED,
      callback: (bytes: number) => {
        heard(ARRIVED.subarray(0, bytes))
        return true
      },
    }
    const socket = open(onread).setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS)
    let isTold = false
    const tell: Told = (...result) => {
      if (isTold) return
      isTold = true
      clearTimeout(timer)
      told(...result)
    }
    const timer = setTimeout(() => {
      socket.destroy(Object.assign(new Error('connecting took too long'), { code: CONNECT_TIMEOUT }))
    }, timeoutMs)
    socket.once(isTls ? 'secureConnect' : 'connect', () => tell(undefined, socket))
    socket.on('error', (error) => tell(error, undefined))
  }
}

/** The last session is resumed: that spares the node and us the costly half of a handshake. */
function tlsOpener(url: URL, tls: TlsSpec | undefined): (onread: OnReadOpts) => Socket {
  const address = addressOf(url, 443)
  const servername = tls?.servername ?? (isIP(address.host) === 0 ? address.host : undefined)
  const options = {
    ...address,
    ...(servername !== undefined && { servername }),
    ...(tls?.ca !== undefined && { ca: tls.ca }),
    rejectUnauthorized: tls?.verify ?? true,
    ALPNProtocols: ['http/1.1'],
  }
  let session: Buffer | undefined
  return (onread) => connectTls({ ...options, onread, ...(session && { session }) } as ConnectionOptions).on('session', (latest) => (session = latest))
}

/** Without the brackets of an IPv6 address. */
function addressOf({ hostname, port }: URL, otherwise: number): { readonly host: string; readonly port: number } {
  return { host: hostname.replaceAll(/[[\]]/g, ''), port: port === '' ? otherwise : Number(port) }
}
