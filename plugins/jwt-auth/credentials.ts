/** What a consumer has under jwt-auth, and the keys made of it: imported once per configuration, never per token. */
import { subtle } from 'node:crypto'
import { Type } from '#plugin'
import type { CryptoKey } from 'jose'
import type { ConfigOf, CredentialIndexer } from '#plugin'

/** RFC 7518 section 3.2: an HS256 key has at least the size of the hash. */
const MIN_SECRET_BYTES = 32
/** RFC 7518 section 3.3. */
const MIN_RSA_BITS = 2048

export const Credential = {
  key: Type.String({ minLength: 1, description: 'What a token says to name this credential, in the claim `key_claim_name`.' }),
  algorithm: Type.Enum(['HS256', 'RS256', 'ES256', 'EdDSA'], {
    default: 'HS256',
    description: 'The one algorithm that tokens of this credential are signed with.',
  }),
  secret: Type.Optional(Type.String({ description: `For HS256: the shared secret, at least ${MIN_SECRET_BYTES} bytes.` })),
  base64_secret: Type.Boolean({ default: false, description: 'Whether `secret` is written in base64.' }),
  public_key: Type.Optional(Type.String({ description: 'For RS256, ES256 and EdDSA: the public key in PEM (SubjectPublicKeyInfo).' })),
}

/** The key of one credential, and the one algorithm that it verifies. */
export interface RegisteredKey {
  /** Its number. */
  readonly consumer: number
  readonly algorithm: string
  readonly key: CryptoKey
}

type Config = ConfigOf<typeof Credential>

/** Keys by what tokens name them. */
export function indexCredentials(): CredentialIndexer<Config, ReadonlyMap<string, RegisteredKey>> {
  const index = new Map<string, RegisteredKey>()
  return {
    async add({ consumer, config }, report) {
      const key = await importKey(config)
      if (typeof key === 'string') report(key)
      else if (index.has(config.key)) report('another credential has the same key', 'the key names one credential; give each its own')
      else index.set(config.key, { consumer, algorithm: config.algorithm, key })
    },
    done: () => index,
  }
}

/** The key, or what is wrong with it. */
async function importKey({ algorithm, secret, base64_secret: isBase64, public_key: pem }: Config): Promise<CryptoKey | string> {
  if (algorithm === 'HS256') {
    if (secret === undefined || pem !== undefined) return 'HS256 takes a secret and no public_key'
    const bytes = Buffer.from(secret, isBase64 ? 'base64' : 'utf8')
    if (bytes.length < MIN_SECRET_BYTES) return `secret has ${bytes.length} bytes; HS256 needs at least ${MIN_SECRET_BYTES}`
    return subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify'])
  }
  if (pem === undefined || secret !== undefined) return `${algorithm} takes a public_key and no secret`
  try {
    const { importSPKI } = await import('jose')
    const key = await importSPKI(pem.trim(), algorithm)
    const isShort = 'modulusLength' in key.algorithm && Number(key.algorithm.modulusLength) < MIN_RSA_BITS
    return isShort ? `public_key is shorter than ${MIN_RSA_BITS} bits` : key
  } catch {
    return `public_key is no PEM public key for ${algorithm}`
  }
}
