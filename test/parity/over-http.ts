/** HTTP as a transport for the table of cases: one request per frame. */
import type { TestGateway } from '../support/gateway.ts'

/** What came back for one frame. */
export interface Answered {
  /** undefined for silence. */
  readonly document: Buffer | undefined
  /** HTTP status and headers, where the frame, or the handshake before it, had them. */
  readonly status: number | undefined
  readonly headers: Headers | undefined
  /** Whether a handshake was refused, and the frame never sent. */
  readonly isHandshake: boolean
}

/** Carries one frame to a path of the gateway, with a key, and brings back what is answered. */
export type Transport = (gateway: TestGateway, path: string, frame: string | Uint8Array, key: string | undefined) => Promise<Answered>

export const overHttp: Transport = async (gateway, path, frame, key) => {
  const headers: Record<string, string> = { 'content-type': 'application/json', ...(key !== undefined && { apikey: key }) }
  const response = await fetch(gateway.url + path, { method: 'POST', headers, body: frame as string })
  const document = Buffer.from(await response.arrayBuffer())
  return { document: document.length === 0 ? undefined : document, status: response.status, headers: response.headers, isHandshake: false }
}
