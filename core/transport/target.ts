/** What a request line and a Host header ask for, read once and strictly (RFC 9112 section 3.2). */
import type { IncomingMessage } from 'node:http'

export interface Target {
  /** Lower case, without a port. */
  readonly host: string
  /** Decoded once; has no dot segments and no NUL. */
  readonly path: string
  /** Raw, without the question mark. */
  readonly query: string
}

/** Reads the target; undefined when it is ambiguous or malformed, which is answered with 400. A fragment is never sent (RFC 9112 section 3.2). */
export function readTarget(request: IncomingMessage): Target | undefined {
  let target = request.url ?? '/'
  let host = request.headers.host ?? ''
  if (!target.startsWith('/')) {
    const absolute = /^https?:\/\/([^/?#]*)(.*)$/i.exec(target)
    if (absolute === null || absolute[1]!.toLowerCase() !== host.toLowerCase()) return undefined
    host = absolute[1]!
    target = absolute[2]!.startsWith('/') ? absolute[2]! : `/${absolute[2]!}`
  }
  if (target.includes('#')) return undefined
  const mark = target.indexOf('?')
  const path = decodePath(mark === -1 ? target : target.slice(0, mark))
  const name = hostName(host)
  if (path === undefined || name === undefined) return undefined
  return { host: name, path, query: mark === -1 ? '' : target.slice(mark + 1) }
}

const PLAIN_HOST = /^([a-z0-9._-]*)(?::\d*)?$/i
const IPV6_HOST = /^(\[[0-9a-f:.]+\])(?::\d*)?$/i

function hostName(host: string): string | undefined {
  const name = (PLAIN_HOST.exec(host) ?? IPV6_HOST.exec(host))?.[1]?.toLowerCase()
  return name?.endsWith('.') ? name.slice(0, -1) : name
}

/** Decodes each segment once. A segment that decodes to a slash, a NUL, `.` or `..` would mean two things to two readers. */
function decodePath(path: string): string | undefined {
  if (!/[%\\]|\/\./.test(path)) return path
  const segments: string[] = []
  for (const raw of path.split('/')) {
    let segment: string
    try {
      segment = decodeURIComponent(raw)
    } catch {
      return undefined
    }
    // oxlint-disable-next-line no-control-regex -- NUL and its kin are what this is about
    if (segment === '.' || segment === '..' || /[/\\\x00-\x1f\x7f]/.test(segment)) return undefined
    segments.push(segment)
  }
  return segments.join('/')
}

/** The address of a socket's other end; an IPv4 address that arrived over IPv6 is written as IPv4. */
export function peerOf(request: IncomingMessage): string {
  const address = request.socket.remoteAddress ?? ''
  return address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address
}
