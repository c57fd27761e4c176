/** What is said to whoever brings no token, or none that is good. */
import { errors } from 'jose'
import { refuse } from '#plugin'
import { KeysUnavailable } from './key-set.ts'
import type { Refusal } from '#plugin'

/** Longest token, in characters. A longer one is refused unread. */
export const MAX_TOKEN_LENGTH = 8192

const CHALLENGE = 'Bearer realm="tollgate"'
const unacceptable = (why: string, message: string): Refusal =>
  refuse('unauthorized', why, { message, headers: { 'WWW-Authenticate': `${CHALLENGE}, error="invalid_token"` } })

export const MISSING = refuse('unauthorized', 'missing-token', { message: 'Missing JWT found in request', headers: { 'WWW-Authenticate': CHALLENGE } })
export const TOO_LONG = unacceptable('token-too-long', `JWT is longer than ${MAX_TOKEN_LENGTH} characters`)
const INVALID = unacceptable('invalid-token', 'Invalid JWT in request: sign it with a key and an algorithm that are registered here')
const EXPIRED = unacceptable('expired-token', 'JWT has expired: ask its issuer for a new one')
const EARLY = unacceptable('early-token', 'JWT is not valid yet: its nbf lies ahead')
const ENDLESS = unacceptable('endless-token', 'JWT has no exp: issue tokens that expire')
const FOREIGN = unacceptable('foreign-token', 'JWT is from another issuer or for another audience: see its iss and aud')
export const UNKNOWN = unacceptable('unknown-consumer', 'JWT names nobody who is known here')
const NO_KEYS = refuse('internal', 'keys-unavailable', {
  status: 503,
  message: 'The keys of the issuer cannot be had right now: try again',
  retryAfterMs: 1000,
})

/** Which refusal an error of jose stands for. Which of key, algorithm and signature was wrong is nobody's business. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof KeysUnavailable) return NO_KEYS
  if (error instanceof errors.JWTExpired) return EXPIRED
  if (!(error instanceof errors.JWTClaimValidationFailed)) return INVALID
  if (error.claim === 'nbf') return EARLY
  if (error.claim === 'exp' && error.reason === 'missing') return ENDLESS
  return error.claim === 'iss' || error.claim === 'aud' ? FOREIGN : INVALID
}
