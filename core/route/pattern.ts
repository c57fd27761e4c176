/** Patterns of hosts and uris: static parts, `{name}` for one part, a final or leading `*` for any number. */

/** One part of a pattern between separators. */
export type Part = { readonly kind: 'static'; readonly text: string } | { readonly kind: 'variable'; readonly name: string } | { readonly kind: 'rest' }

const VARIABLE = /^\{([a-z][a-z0-9_]*)\}$/

/** What is wrong with a host pattern such as `{network}.rpc.example.com` or `*.example.com`; undefined when nothing is. */
export function hostProblem(host: string): string | undefined {
  if (host === '' || host !== host.toLowerCase() || /[/:\s]/.test(host)) return 'must be a lower-case host name without a port'
  return partsProblem(host.split('.'), 0)
}

/** What is wrong with a uri pattern such as `/{network}/v1/{apikey}` or `/rpc/*`; undefined when nothing is. */
export function uriProblem(uri: string): string | undefined {
  if (!uri.startsWith('/') || /[?#\s]/.test(uri)) return 'must begin with / and have no query'
  const parts = segments(uri)
  return partsProblem(parts, parts.length - 1)
}

function partsProblem(parts: readonly string[], restAt: number): string | undefined {
  const names = new Set<string>()
  for (const [at, part] of parts.entries()) {
    const name = VARIABLE.exec(part)?.[1]
    if (part === '*') {
      if (at !== restAt) return restAt === 0 ? '* may only be the first label' : '* may only be the last segment'
    } else if (name !== undefined) {
      if (names.has(name)) return `{${name}} stands twice`
      names.add(name)
    } else if (/[{}*]/.test(part)) return `"${part}" mixes text and a pattern; a variable fills a whole part, as in {network}`
  }
  return undefined
}

/** The parts of a host, the last label first: that is the order in which hosts grow more specific. */
export function hostParts(host: string): Part[] {
  return host.split('.').reverse().map(toPart)
}

/** The parts of a uri. */
export function uriParts(uri: string): Part[] {
  return segments(uri).map(toPart)
}

/** The names that a pattern binds. */
export function variables(parts: readonly Part[]): string[] {
  return parts.flatMap((part) => (part.kind === 'variable' ? [part.name] : []))
}

/** The segments of a path; one slash at the end changes nothing. */
export function segments(path: string): string[] {
  const from = path.startsWith('/') ? 1 : 0
  const to = path.length > 1 && path.endsWith('/') ? path.length - 1 : path.length
  return to <= from ? [] : path.slice(from, to).split('/')
}

function toPart(text: string): Part {
  if (text === '*') return { kind: 'rest' }
  const name = VARIABLE.exec(text)?.[1]
  return name === undefined ? { kind: 'static', text } : { kind: 'variable', name }
}
