/**
 * Where a request may carry a credential. A plugin that authenticates reads the places in its order, takes the first
 * that holds one and hides it, so that no later plugin, template or log sees the secret.
 */
import type { Session } from './session.ts'

/** One place. */
export interface CredentialPlace {
  /** The credential that stands there; undefined where there is none or where it is empty. */
  read(session: Session): string | undefined
  /** Hides the whole header, argument or path variable. */
  hide(session: Session): void
}

/** `Authorization: Bearer <credential>` (RFC 6750 section 2.1); the scheme in any case, as RFC 9110 section 11.1 says. */
const BEARER = /^bearer +([^\s,]+) *$/i

/** `bearer.<credential>` among the offers: all that a browser's WebSocket can send of its own. */
const SUBPROTOCOL = /(?:^|[\s,])bearer\.([^\s,]+)/

export const bearerPlace: CredentialPlace = headerPlace('authorization', (value) => BEARER.exec(value)?.[1])

export const subprotocolPlace: CredentialPlace = headerPlace('sec-websocket-protocol', (value) => SUBPROTOCOL.exec(value)?.[1])

/** A header, or what `extract` finds in it. The name in any case. */
export function headerPlace(name: string, extract?: (value: string) => string | undefined): CredentialPlace {
  const lower = name.toLowerCase()
  return {
    read: (session) => {
      const value = session.header(lower)
      return value === undefined || value === '' || extract === undefined ? value || undefined : extract(value)
    },
    hide: (session) => session.hide('header', lower),
  }
}

/** A query argument. */
export function argumentPlace(name: string): CredentialPlace {
  return { read: (session) => session.argument(name) || undefined, hide: (session) => session.hide('argument', name) }
}

/** A variable of the path, such as `{apikey}`. */
export function pathVariablePlace(name: string): CredentialPlace {
  return { read: (session) => session.pathVariable(name) || undefined, hide: (session) => session.hide('pathVariable', name) }
}
