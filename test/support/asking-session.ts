/** A session as a transport would begin it, for hooks that read the opening request. */
import { LiveSession } from '../../core/pipeline/session.ts'
import type { Destination, Origin } from '../../core/pipeline/session.ts'

/** The session of a request with these parts; what is left out is that of a plain POST to `/eth`. */
export function askingSession({ variables = {}, ...parts }: Partial<Origin> & { readonly variables?: Readonly<Record<string, string>> } = {}): LiveSession {
  const origin: Origin = { scheme: 'http', httpMethod: 'POST', peer: '192.0.2.1', host: 'localhost', path: '/eth', query: '', headers: {}, ...parts }
  const destination = { routeId: 'rpc', variables: { network: 'eth', ...variables }, network: 'eth' } as unknown as Destination
  return new LiveSession(origin, destination, 'request', 0)
}

/** The headers that a session's answer has so far, by name. */
export function headersOf({ responseHeaders: { flat } }: LiveSession): Record<string, string | number> {
  return Object.fromEntries(flat.flatMap((name, at) => (at % 2 === 0 ? [[name, flat[at + 1]!]] : [])))
}
