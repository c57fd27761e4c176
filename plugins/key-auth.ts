/**
 * key-auth: tells who calls by a key. Of a consumer's key only its SHA-256 is kept, and a key that was sent is hidden from
 * everything that runs later. A wrong key is refused even where none is required.
 */
import { hash } from 'node:crypto'
import {
  CompactMap,
  RecentMap,
  Type,
  argumentPlace,
  bearerPlace,
  consumer,
  definePlugin,
  headerPlace,
  pathVariablePlace,
  refuse,
  subprotocolPlace,
} from '#plugin'
import type { Consumer, Session } from '#plugin'

/** Longest key, in characters; what is longer is not even hashed. */
const MAX_KEY_LENGTH = 256
/** Keys that were sent lately are remembered as they came, so that whoever comes again is not looked for: some 1 MiB. */
const MAX_REMEMBERED = 4096
/** One that was not sent for twice as long is forgotten with the next one that is. */
const REMEMBERED_MS = 30_000

const HASHED = /^sha256:([0-9a-f]{64})$/i

const CHALLENGE = 'Bearer realm="tollgate"'
const MISSING = refuse('unauthorized', 'missing-key', { message: 'Missing API key found in request', headers: { 'WWW-Authenticate': CHALLENGE } })
const INVALID = refuse('unauthorized', 'invalid-key', {
  message: 'Invalid API key in request',
  headers: { 'WWW-Authenticate': `${CHALLENGE}, error="invalid_token"` },
})

/** A key that a header can carry: printable ASCII without spaces. */
const Key = Type.String({ pattern: `^[\\x21-\\x7e]{1,${MAX_KEY_LENGTH}}$` })

export default definePlugin({
  name: 'key-auth',
  priority: 2500,
  summary: 'Tells who calls by a key, and refuses whoever has none.',
  config: {
    header: Type.Union([Type.String(), Type.Array(Type.String())], {
      default: ['apikey', 'x-api-key'],
      description: 'The header or headers that carry a key. They are read before every other place; `Authorization: Bearer` is always read.',
    }),
    query: Type.String({ default: 'apikey', description: 'The query argument that carries a key; empty to read none.' }),
    path_variable: Type.String({ default: 'apikey', description: "The variable of the route's `uris` that carries a key; empty to read none." }),
    hide_credentials: Type.Boolean({
      default: true,
      description: 'Whether the key is kept from the node. With false it is sent on in the first of the headers, under which it is known here.',
    }),
    required: Type.Boolean({ default: true, description: 'Whether a request without a key is refused. A wrong key is refused in any case.' }),
    anonymous_consumer: Type.Optional(Type.String({ description: 'The consumer that a request without a key is served as.' })),
  },
  examples: [{}, { header: 'X-Token', query: '', path_variable: '' }, { required: false }],
  onFault: 'refuse',
  fills: [consumer],
  credential: {
    schema: {
      key: Type.Union([Key, Type.Array(Key, { minItems: 1 })], {
        description: 'The key, or several while one is replaced by another; `sha256:` and 64 hexadecimal digits stand for a key without holding it.',
      }),
    },
    secrets: ['key'],
    index() {
      const owners = new CompactMap()
      return {
        add({ consumer, config }, report) {
          for (const key of [config.key].flat()) {
            const digest = digestOf(key)
            if (digest === undefined) report('key starts with sha256: but no 64 hexadecimal digits follow')
            else if (owners.numberAt(owners.add(digest, consumer)) !== consumer)
              report('the key is also the key of another consumer', 'give every consumer a key of its own')
          }
        },
        done: () => owners,
      }
    },
  },
  create(config, host) {
    const headers = [config.header].flat()
    const places = headers.map((name) => headerPlace(name))
    if (config.query !== '') places.push(argumentPlace(config.query))
    if (config.path_variable !== '') places.push(pathVariablePlace(config.path_variable))
    places.push(bearerPlace, subprotocolPlace)
    const forwardAs = config.hide_credentials ? undefined : (headers[0] ?? 'apikey').toLowerCase()
    const anonymous = config.anonymous_consumer === undefined ? undefined : host.consumer(config.anonymous_consumer)
    if (config.anonymous_consumer !== undefined && anonymous === undefined) host.report('error', ['anonymous_consumer'], 'no such consumer')

    const recent = new RecentMap<Consumer>(REMEMBERED_MS, MAX_REMEMBERED)
    function ownerOf(key: string, nowMs: number): Consumer | undefined {
      const known = recent.get(key, nowMs)
      if (known !== undefined) return known
      const place = host.credentials.find(hash('sha256', key, 'latin1'))
      const owner = place === undefined ? undefined : host.consumer(host.credentials.numberAt(place))
      if (owner !== undefined) recent.set(key, owner, nowMs)
      return owner
    }

    function withoutKey(session: Session) {
      if (anonymous !== undefined) session.set(consumer, anonymous)
      return anonymous === undefined && config.required ? MISSING : undefined
    }

    return {
      open(session) {
        if (session.get(consumer) !== undefined) return undefined
        for (const place of places) {
          const key = place.read(session)
          if (key === undefined) continue
          place.hide(session)
          const owner = key.length > MAX_KEY_LENGTH ? undefined : ownerOf(key, session.openedAt)
          if (owner === undefined) return INVALID
          session.set(consumer, owner)
          if (forwardAs !== undefined) session.upstreamRequest.headers = { ...session.upstreamRequest.headers, [forwardAs]: key }
          return undefined
        }
        return withoutKey(session)
      },
    }
  },
})

function digestOf(key: string): string | undefined {
  if (!key.startsWith('sha256:')) return hash('sha256', key, 'latin1')
  const hex = HASHED.exec(key)?.[1]
  return hex === undefined ? undefined : Buffer.from(hex, 'hex').toString('latin1')
}
