/**
 * jwt-auth: tells who calls by a signed token (RFC 7519, heeding RFC 8725). Which key and which algorithm verify a
 * token is for the configuration to say, never for the token. A WebSocket ends when the token that opened it does.
 */
import { Duration, Type, argumentPlace, consumer, definePlugin, durationMs, headerPlace, subprotocolPlace } from '#plugin'
import { Credential, indexCredentials } from './jwt-auth/credentials.ts'
import type { JWTVerifyOptions } from 'jose'
import type { Refusal, Session } from '#plugin'

/** Three parts of base64url; what does not look like this may be another plugin's credential. */
const TOKEN = /^[\w-]+\.[\w-]*\.[\w-]*$/

export default definePlugin({
  name: 'jwt-auth',
  priority: 2510,
  summary: 'Tells who calls by a signed token: one that a consumer signed, or one of an identity provider.',
  config: {
    header: Type.String({ minLength: 1, default: 'Authorization', description: 'The header that carries the token, with or without `Bearer` before it.' }),
    query: Type.String({ default: 'jwt', description: 'The query argument that carries the token; empty to read none.' }),
    required: Type.Boolean({
      default: true,
      description: 'Whether a request without a token is refused. With false a later plugin may tell who calls; a bad token is refused in any case.',
    }),
    key_claim_name: Type.String({ minLength: 1, default: 'key', description: "The claim that names the consumer's credential." }),
    require_exp: Type.Boolean({ default: true, description: 'Whether a token has to have an end.' }),
    clock_tolerance: Duration({ default: '0s', description: "By how much an issuer's clock may differ from ours." }),
    issuer: Type.Optional(Type.String({ minLength: 1, description: 'What `iss` has to be. Needed with `jwks_url`.' })),
    audience: Type.Optional(Type.String({ minLength: 1, description: 'What `aud` has to be or to hold.' })),
    jwks_url: Type.Optional(Type.String({ description: "Where an identity provider publishes its keys. With it consumers' own credentials do not count." })),
    algorithms: Type.Array(Type.Enum(['RS256', 'PS256', 'ES256', 'EdDSA']), {
      minItems: 1,
      default: ['RS256', 'ES256', 'EdDSA'],
      description: 'With `jwks_url`: the algorithms that are accepted.',
    }),
    consumer_claim: Type.String({ minLength: 1, default: 'sub', description: "With `jwks_url`: the claim that holds the consumer's `username`." }),
    jwks_timeout: Duration({ default: '3s', description: 'With `jwks_url`: how long its answer may take.' }),
    jwks_cooldown: Duration({ default: '30s', description: 'With `jwks_url`: the least time between two questions, whatever keys tokens name.' }),
    jwks_max_age: Duration({ default: '10m', description: 'With `jwks_url`: how old keys grow before they are asked for anew.' }),
  },
  examples: [
    {},
    { key_claim_name: 'iss', audience: 'rpc', required: false },
    { jwks_url: 'https://id.example.org/jwks.json', issuer: 'https://id.example.org/', audience: 'rpc', consumer_claim: 'sub' },
  ],
  onFault: 'refuse',
  fills: [consumer],
  credential: { schema: Credential, secrets: ['secret'], index: indexCredentials },
  async create(config, host) {
    // Loaded where it is used, and before calls come: jose takes 40 ms.
    const { verifierByCredential, verifierByKeySet } = await import('./jwt-auth/verifiers.ts')
    const { MAX_TOKEN_LENGTH, MISSING, TOO_LONG, UNKNOWN, refusalOf } = await import('./jwt-auth/refusals.ts')
    const toleranceMs = durationMs(config.clock_tolerance)
    const checks: JWTVerifyOptions = { clockTolerance: toleranceMs / 1000, requiredClaims: config.require_exp ? ['exp'] : [] }
    if (config.issuer !== undefined) checks.issuer = config.issuer
    if (config.audience !== undefined) checks.audience = config.audience
    const verify = config.jwks_url === undefined ? verifierByCredential(config, host) : verifierByKeySet(config, config.jwks_url, host)
    const places = [headerPlace(config.header, (value) => value.replace(/^bearer +/i, '')), subprotocolPlace]
    if (config.query !== '') places.splice(1, 0, argumentPlace(config.query))

    async function judge(session: Session, token: string): Promise<Refusal | undefined> {
      try {
        const { payload, owner } = await verify(token, { ...checks, currentDate: new Date(host.now()) })
        if (owner === undefined) return UNKNOWN
        session.set(consumer, owner)
        if (payload.exp !== undefined) session.expireAt(payload.exp * 1000 + toleranceMs)
        return undefined
      } catch (error) {
        return refusalOf(error)
      }
    }

    return {
      open(session) {
        if (session.get(consumer) !== undefined) return undefined
        for (const place of places) {
          const token = place.read(session)
          if (token === undefined || !TOKEN.test(token)) continue
          place.hide(session)
          return token.length > MAX_TOKEN_LENGTH ? TOO_LONG : judge(session, token)
        }
        return config.required ? MISSING : undefined
      },
    }
  },
})
