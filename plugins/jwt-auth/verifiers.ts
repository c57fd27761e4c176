/** The two ways to find out whether a token is genuine and whose it is: consumers' own keys, or a provider's key set. */
import { decodeJwt, errors, jwtVerify } from 'jose'
import { durationMs } from '#plugin'
import { keySet } from './key-set.ts'
import type { JWTPayload, JWTVerifyGetKey, JWTVerifyOptions } from 'jose'
import type { Consumer, Host } from '#plugin'
import type { RegisteredKey } from './credentials.ts'

/** What a token says that was found to be genuine. */
interface Verified {
  readonly payload: JWTPayload
  readonly owner: Consumer | undefined
}

/** Rejects when the token is not genuine, or not good now. */
type Verify = (token: string, checks: JWTVerifyOptions) => Promise<Verified>

/** Tokens that consumers sign: the claim names the credential, and the credential pins key and algorithm. */
export function verifierByCredential(
  config: { readonly key_claim_name: string },
  host: Pick<Host<unknown, ReadonlyMap<string, RegisteredKey>>, 'consumer' | 'credentials'>,
): Verify {
  return async (token, checks) => {
    const name = decodeJwt(token)[config.key_claim_name]
    const credential = typeof name === 'string' ? host.credentials.get(name) : undefined
    if (credential === undefined) throw new errors.JWTInvalid()
    const { payload } = await jwtVerify(token, credential.key, { ...checks, algorithms: [credential.algorithm] })
    return { payload, owner: host.consumer(credential.consumer) }
  }
}

interface KeySetConfig {
  readonly issuer: string | undefined
  readonly audience: string | undefined
  readonly algorithms: string[]
  readonly consumer_claim: string
  readonly jwks_timeout: string
  readonly jwks_cooldown: string
  readonly jwks_max_age: string
}

/** Tokens that an identity provider signs: its key set holds the key, a claim holds the consumer's name. */
export function verifierByKeySet(config: KeySetConfig, url: string, host: Pick<Host, 'now' | 'log' | 'consumer' | 'report'>): Verify {
  const problem = urlProblem(url)
  if (problem !== undefined) host.report('error', ['jwks_url'], problem)
  if (config.issuer === undefined) host.report('error', ['issuer'], 'is needed with jwks_url', 'the iss that the provider writes into its tokens')
  if (config.audience === undefined) host.report('warning', ['audience'], "is not set, so tokens that the provider made for others' services are accepted")
  const surroundings = {
    log: host.log,
    now: () => host.now(),
    timeoutMs: durationMs(config.jwks_timeout),
    cooldownMs: durationMs(config.jwks_cooldown),
    maxAgeMs: durationMs(config.jwks_max_age),
  }
  return async (token, checks) => {
    const find: JWTVerifyGetKey = (header, jws) => keySet(url).find(header, jws, surroundings)
    const { payload } = await jwtVerify(token, find, { ...checks, algorithms: config.algorithms })
    const username = payload[config.consumer_claim]
    return { payload, owner: typeof username === 'string' ? host.consumer(username) : undefined }
  }
}

/** What is wrong with the address of a key set: who can change what it answers can sign for anybody. */
function urlProblem(text: string): string | undefined {
  const url = URL.parse(text)
  if (url === null) return 'is not a URL'
  if (url.username !== '' || url.password !== '') return 'must not hold a user name or a password'
  const isLoopback = url.protocol === 'http:' && /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname)
  return url.protocol === 'https:' || isLoopback ? undefined : 'must be https, or http on this machine'
}
