/**
 * cors: lets pages of other origins call (https://fetch.spec.whatwg.org/#http-cors-protocol). It answers a preflight
 * before any key is asked for, and marks every other answer, refusals included. It keeps nobody out: browsers do.
 */
import { Type, definePlugin, respond } from '#plugin'

/** Longest Origin that patterns are tried on, in characters; a host name has at most 253. */
const MAX_ORIGIN_LENGTH = 512

const ORIGIN = /^(\*|null|[a-z][a-z0-9+.-]*:\/\/[^/?#\s]+)$/
const HeaderName = Type.String({ pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$" })

/** What a gateway with all its plugins says in headers. */
const OUR_HEADERS = [
  'Retry-After',
  'X-Cache',
  'X-CU-Cost',
  'X-Monthly-Quota',
  'X-Monthly-Remaining',
  'X-Monthly-Used',
  'X-RateLimit-Limit',
  'X-RateLimit-Remaining',
  'X-RateLimit-Reset',
  'X-Request-Id',
]

export default definePlugin({
  name: 'cors',
  priority: 4000,
  summary: 'Lets web pages of other origins call, and answers their preflights.',
  config: {
    allow_origins: Type.Union([Type.String(), Type.Array(Type.String())], {
      default: '*',
      description: 'Origins that may call: `*`, or origins such as `https://app.example.org`, as a list or separated by commas.',
    }),
    allow_origins_by_regex: Type.Array(Type.String(), {
      default: [],
      description: 'Patterns of further origins. A pattern has to fit the whole origin.',
    }),
    allow_methods: Type.Array(Type.String({ pattern: '^(\\*|[A-Z]+)$' }), { default: ['POST'], description: 'HTTP methods that a page may use.' }),
    allow_headers: Type.Array(HeaderName, {
      default: ['Content-Type', 'Authorization', 'apikey', 'X-API-Key', 'X-Request-Id'],
      description: 'Headers that a page may send.',
    }),
    expose_headers: Type.Array(HeaderName, { default: OUR_HEADERS, description: 'Headers of an answer that a page may read.' }),
    max_age: Type.Integer({
      minimum: -1,
      maximum: 86_400,
      default: 600,
      description: 'Seconds for which a browser keeps the answer to a preflight; -1 is never.',
    }),
    allow_credential: Type.Boolean({ default: false, description: 'Whether a page may send cookies along. Nothing may be `*` then.' }),
  },
  examples: [
    {},
    { allow_origins: ['https://app.example.org'], allow_credential: true },
    { allow_origins: [], allow_origins_by_regex: ['https://[a-z0-9-]+\\.example\\.org'] },
  ],
  onFault: 'refuse',
  create(config, host) {
    const origins = [config.allow_origins].flat().flatMap((text) => text.split(',').map((origin) => origin.trim()))
    origins.forEach((origin, at) => {
      if (!ORIGIN.test(origin))
        host.report(
          'error',
          Array.isArray(config.allow_origins) ? ['allow_origins', at] : ['allow_origins'],
          'must be *, null or scheme://host, without a path',
        )
    })
    const patterns = config.allow_origins_by_regex.flatMap((source, at) => {
      try {
        return [new RegExp(`^(?:${source})$`)]
      } catch {
        host.report('error', ['allow_origins_by_regex', at], 'is not a regular expression')
        return []
      }
    })
    const lists = { allow_origins: origins, allow_methods: config.allow_methods, allow_headers: config.allow_headers, expose_headers: config.expose_headers }
    for (const [key, list] of Object.entries(lists)) {
      if (config.allow_credential && list.includes('*')) host.report('error', [key], 'may not be * with allow_credential', 'name what is allowed')
    }

    const isOpen = origins.includes('*')
    const listed = new Set(origins)
    const fits = (origin: string) => listed.has(origin) || (origin.length <= MAX_ORIGIN_LENGTH && patterns.some((pattern) => pattern.test(origin)))
    const vary: Record<string, string> = isOpen ? {} : { Vary: 'Origin' }
    const credential: Record<string, string> = config.allow_credential ? { 'Access-Control-Allow-Credentials': 'true' } : {}
    const exposed = config.expose_headers.join(', ')
    const preflight = {
      ...vary,
      ...credential,
      'Access-Control-Allow-Methods': config.allow_methods.join(', '),
      'Access-Control-Allow-Headers': config.allow_headers.join(', '),
      'Access-Control-Max-Age': String(config.max_age),
    }

    return {
      open(session) {
        if (!isOpen) session.setHeader('Vary', 'Origin')
        const origin = session.header('origin')
        if (origin === undefined) return undefined
        const allowed = isOpen ? '*' : fits(origin) ? origin : undefined
        if (session.httpMethod === 'OPTIONS' && session.header('access-control-request-method') !== undefined)
          return respond(204, allowed === undefined ? vary : { ...preflight, 'Access-Control-Allow-Origin': allowed })
        if (allowed === undefined) return undefined
        session.setHeader('Access-Control-Allow-Origin', allowed)
        session.setHeader('Access-Control-Expose-Headers', exposed)
        if (config.allow_credential) session.setHeader('Access-Control-Allow-Credentials', 'true')
        return undefined
      },
    }
  },
})
