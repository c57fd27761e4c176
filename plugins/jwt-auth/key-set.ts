/**
 * A remote JWKS (RFC 7517 section 5): the public keys of an issuer, asked for when they are first needed and again as
 * they age. One question at a time, none more often than the cooldown, however many tokens name keys that nobody knows;
 * while the server is away the keys that it gave last stay in use.
 */
import { createLocalJWKSet, errors } from 'jose'
import { LRUCache } from 'lru-cache'
import type { CryptoKey, FlattenedJWSInput, JSONWebKeySet, JWSHeaderParameters } from 'jose'
import type { PluginLog } from '#plugin'

/** Milliseconds between questions while there is no key at all. */
const FIRST_RETRY_MS = 1000
/** Keys that could not be confirmed for this long are no longer believed: a day. */
const MAX_STALE_MS = 86_400_000
/** Largest document that is read, in bytes; a key has 1 or 2 KiB. */
const MAX_BYTES = 262_144
/** Key sets that are kept, by URL. */
const MAX_SETS = 256

/** Made now, because Node loads what `fetch` needs, 40 ms of it, with the first of these. */
const ACCEPTED = new Headers({ accept: 'application/jwk-set+json, application/json' })

/** What a lookup needs of its surroundings, and its limits. */
export interface Surroundings {
  readonly log: PluginLog
  now(): number
  /** How long an answer may take. */
  readonly timeoutMs: number
  /** Least time between two questions. */
  readonly cooldownMs: number
  /** Keys older than this are asked for anew, while they stay in use. */
  readonly maxAgeMs: number
}

/** There are no keys to verify a token with. */
export class KeysUnavailable extends Error {}

/** By URL, for the whole process: a new configuration neither asks again nor loses keys while their server is away. */
const sets = new LRUCache<string, KeySet>({ max: MAX_SETS })

/** The key set at a URL. */
export function keySet(url: string): KeySet {
  let set = sets.get(url)
  if (set === undefined) sets.set(url, (set = new KeySet(new URL(url))))
  return set
}

export class KeySet {
  private readonly url: URL
  private keys: ReturnType<typeof createLocalJWKSet> | undefined
  private loadedAt = 0
  private askedAt = -Infinity
  private asking: Promise<void> | undefined

  constructor(url: URL) {
    this.url = url
  }

  /** The key that a token's header names. Rejects with KeysUnavailable, or with jose's error where the set has no such key. */
  async find(header: JWSHeaderParameters, token: FlattenedJWSInput, surroundings: Surroundings): Promise<CryptoKey> {
    const age = Math.abs(surroundings.now() - this.loadedAt)
    if (age > MAX_STALE_MS) this.keys = undefined
    const known = this.keys
    if (known === undefined) {
      await this.ask(surroundings)
      if (this.keys === undefined) throw new KeysUnavailable()
      return this.keys(header, token)
    }
    if (age > surroundings.maxAgeMs) void this.ask(surroundings)
    try {
      return await known(header, token)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error
      await this.ask(surroundings)
      if (this.keys === known || this.keys === undefined) throw error
      return this.keys(header, token)
    }
  }

  /** Asks the server, unless it was asked just now. Never rejects: what is known stays. */
  private ask(surroundings: Surroundings): Promise<void> {
    if (this.asking !== undefined) return this.asking
    const { log, cooldownMs, timeoutMs } = surroundings
    const now = surroundings.now()
    const wait = this.keys === undefined ? FIRST_RETRY_MS : cooldownMs
    if (Math.abs(now - this.askedAt) < wait) return Promise.resolve()
    this.askedAt = now
    this.asking = load(this.url, timeoutMs)
      .then((document) => {
        this.keys = createLocalJWKSet(document)
        this.loadedAt = now
      })
      .catch((error: unknown) => log.warn({ jwks: this.url.origin + this.url.pathname, problem: String(error) }, 'cannot load the keys of a token issuer'))
      .finally(() => (this.asking = undefined))
    return this.asking
  }
}

async function load(url: URL, timeoutMs: number): Promise<JSONWebKeySet> {
  const response = await fetch(url, {
    redirect: 'error',
    headers: ACCEPTED,
    signal: AbortSignal.timeout(timeoutMs),
  })
  if (response.status !== 200 || response.body === null) throw new Error(`answered with HTTP ${response.status}`)
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body) {
    bytes += chunk.length
    if (bytes > MAX_BYTES) throw new Error(`answered with more than ${MAX_BYTES} bytes`)
    chunks.push(chunk)
  }
  return JSON.parse(Buffer.concat(chunks).toString('utf8')) as JSONWebKeySet
}
