/**
 * proxy-rewrite: shapes the HTTP request that goes to a node: its path, Host and headers. The method is always POST
 * and the body ours. No variable's value can end a header, leave its path segment or begin a query.
 */
import { Type, definePlugin, refuse, sessionTemplate, unknownVariable } from '#plugin'
import type { Session, Template } from '#plugin'

const VARIABLE = /(\$[a-z][a-z0-9_]*)/
const CAPTURE = /\$([1-9])/
const HEADER_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]*$/
/** What a header may carry (RFC 9110 section 5.5), one character per byte. */
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/
const HOST = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/
const DOT_SEGMENT = /\/\.{1,2}(?:[/?]|$)/

/** Headers that belong to the connection, the body or the handshake: the gateway writes them itself. */
const OWN_HEADER =
  /^(?:host|connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|expect|content-(?:length|type|encoding)|accept-encoding|sec-websocket-.*)$/

const BAD_PATH = refuse('internal', 'bad-path', { message: 'The route rewrites its path to one that a node cannot be asked for' })

const headersTo = (description: string) => Type.Optional(Type.Record(Type.String(), Type.String({ description: 'Its value.' }), { description }))

type Report = (path: readonly (string | number)[], message: string, hint?: string) => void

export default definePlugin({
  name: 'proxy-rewrite',
  priority: 1008,
  summary: 'Rewrites the path, the Host and the headers of the request that goes to a node.',
  config: {
    uri: Type.Optional(
      Type.String({
        pattern: '^/',
        description: "The path to ask a node for, in place of that of its URL; may hold variables. A client's query is never passed on.",
      }),
    ),
    regex_uri: Type.Optional(
      Type.Array(Type.String(), {
        minItems: 2,
        description:
          "Pairs: a pattern for the client's path (in which a hidden key is `***`), and what to put in place of what it fits, with `$1` to `$9`. The first that fits counts; `uri` goes before all.",
      }),
    ),
    host: Type.Optional(Type.String({ minLength: 1, description: "The Host header; may hold variables. Where the outcome is no host, the node's own stays." })),
    headers: Type.Object(
      {
        add: headersTo('Sent beside what an earlier plugin set.'),
        set: headersTo('Sent in place of what an earlier plugin set.'),
        remove: Type.Optional(Type.Array(Type.String(), { description: 'Not sent, though an earlier plugin set them.' })),
      },
      {
        additionalProperties: false,
        default: {},
        description:
          'Headers of the request, in the order add, set, remove. Values may hold variables; a header without a value, or with one that cannot be sent, is left out.',
      },
    ),
  },
  examples: [
    { uri: '/rpc/$network' },
    { regex_uri: ['^/v1/(.*)$', '/$1'], host: 'node.internal' },
    { headers: { set: { 'X-Consumer': '$consumer_name', 'X-Forwarded-For': '$remote_addr' }, remove: ['apikey'] } },
  ],
  onFault: 'refuse',
  create({ uri, regex_uri: pairs, host, headers }, plugin) {
    const report: Report = (path, message, hint) => plugin.report('error', path, message, hint)
    const pathOf = uri !== undefined ? templatePath(uri, report) : pairs !== undefined ? matchedPath(pairs, report) : undefined
    const hostOf = host === undefined ? undefined : template(host, ['host'], report)
    const add = headerTemplates('add', headers.add, report)
    const set = headerTemplates('set', headers.set, report)
    const remove = (headers.remove ?? []).map((name) => name.toLowerCase())

    return {
      open(session) {
        const request = session.upstreamRequest
        if (pathOf !== undefined) {
          const path = pathOf(session)
          if (path === '' || (path !== undefined && DOT_SEGMENT.test(path))) return BAD_PATH
          request.path = path
        }
        const named = hostOf?.(session)
        if (named !== undefined && HOST.test(named)) request.host = named
        if (add.length + set.length + remove.length === 0) return undefined
        const sent: Record<string, string> = { ...request.headers }
        for (const [name, valueOf] of add) {
          const value = valueOf(session)
          if (value !== undefined && FIELD_VALUE.test(value)) sent[name] = sent[name] === undefined ? value : `${sent[name]}, ${value}`
        }
        for (const [name, valueOf] of set) {
          const value = valueOf(session)
          if (value !== undefined && FIELD_VALUE.test(value)) sent[name] = value
        }
        for (const name of remove) delete sent[name]
        request.headers = sent
        return undefined
      },
    }
  },
})

function template(text: string, path: readonly (string | number)[], report: Report): Template<Session> {
  const unknown = unknownVariable(text, 'session')
  if (unknown === undefined) return sessionTemplate(text)
  report(path, `unknown variable $${unknown}`)
  return () => undefined
}

function headerTemplates(
  key: 'add' | 'set',
  headers: Readonly<Record<string, string>> | undefined,
  report: Report,
): [name: string, value: Template<Session>][] {
  return Object.entries(headers ?? {}).map(([name, text]) => {
    const path = ['headers', key, name]
    if (!HEADER_NAME.test(name)) report(path, 'is not the name of a header')
    if (OWN_HEADER.test(name.toLowerCase()))
      report(path, 'is a header that the gateway writes itself', name.toLowerCase() === 'host' ? 'use the key host' : undefined)
    if (!FIELD_VALUE.test(text)) report(path, 'has characters that a header cannot carry')
    return [name.toLowerCase(), template(text, path, report)]
  })
}

/** A path from a template; '' where a variable has no value. */
function templatePath(uri: string, report: Report): (session: Session) => string {
  // Split by a pattern with a group: every other part is a variable.
  const parts = uri.split(VARIABLE).map((part, at) => (at % 2 === 0 ? part : template(part, ['uri'], report)))
  return (session) => {
    let path = ''
    for (const part of parts) {
      const value = typeof part === 'string' ? part : part(session)
      if (value === undefined) return ''
      path += typeof part === 'string' ? value : encodeURIComponent(value.toWellFormed())
    }
    return path
  }
}

/** The client's path with what the first fitting pattern fits replaced; undefined where none fits. */
function matchedPath(pairs: readonly string[], report: Report): (session: Session) => string | undefined {
  if (pairs.length % 2 !== 0) report(['regex_uri'], 'must be pairs of a pattern and a replacement')
  const rules: { pattern: RegExp; parts: string[] }[] = []
  for (let at = 0; at + 1 < pairs.length; at += 2) {
    try {
      rules.push({ pattern: new RegExp(pairs[at]!), parts: pairs[at + 1]!.split(CAPTURE) })
    } catch {
      report(['regex_uri', at], 'is not a regular expression')
    }
  }
  return ({ visiblePath: path }) => {
    for (const { pattern, parts } of rules) {
      const match = pattern.exec(path)
      if (match === null) continue
      const put = parts.map((part, at) => (at % 2 === 0 ? part : encodePath(match[Number(part)] ?? ''))).join('')
      const whole = encodePath(path.slice(0, match.index)) + put + encodePath(path.slice(match.index + match[0].length))
      return whole.replace(/^\/*/, '/')
    }
    return undefined
  }
}

/** A decoded path's text as it may stand in a request line: slashes stay, nothing else that means something does. */
function encodePath(text: string): string {
  return encodeURI(text.toWellFormed()).replace(/[?#]/g, encodeURIComponent)
}
