/**
 * The file behind the whitelist, and what it means: for every network, and for its twins, which methods are
 * offered to whom. Networks that list the same share what was compiled for them.
 */
import { patternProblem, refuse, Type } from '#plugin'
import { admission } from './admission.ts'
import { administrationOpenedBy } from './administration.ts'
import type { Refusal, Static } from '#plugin'
import type { Admits } from './admission.ts'

const Entries = Type.Array(Type.String(), {
  description: 'Methods, prefixes (`trace_*`), `*`, denials (`!eth_sign*`) and sets (`+evm`).',
})

export const WhitelistFile = Type.Object(
  {
    sets: Type.Optional(Type.Record(Type.String(), Entries, { description: 'Entries that networks share, by name. A set may use the sets above it.' })),
    twin_prefixes: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        description: 'Every network is also served under its name with one of these in front, with the same methods, unless it has an entry of its own.',
      }),
    ),
    networks: Type.Record(Type.String(), Type.Object({ free: Type.Optional(Entries), paid: Type.Optional(Entries) }, { additionalProperties: false }), {
      description: 'What each network offers to everyone (`free`), and to paid plans besides (`paid`).',
    }),
  },
  { additionalProperties: false },
)

type Path = readonly (string | number)[]

/** One entry that offers something, wherever it stands. */
interface Line {
  readonly pattern: string
  readonly path: Path
  readonly networks: Set<string>
}

interface Problem {
  readonly severity: 'error' | 'warning'
  readonly path: Path
  readonly message: string
  readonly hint: string
}

/** A network as calls meet it. */
interface Offer {
  readonly free: Admits
  readonly paid: Admits
  readonly notOffered: Refusal
  readonly paidOnly: Refusal
}

interface Offers {
  readonly offers: ReadonlyMap<string, Offer>
  readonly lines: readonly Line[]
  readonly problems: readonly Problem[]
}

const compiled = new WeakMap<object, Offers>()

/** Compiles a document; the same document is compiled once, however many routes use it. */
export function compileOffers(document: Static<typeof WhitelistFile>): Offers {
  const known = compiled.get(document)
  if (known !== undefined) return known
  const { sets = {}, twin_prefixes: prefixes = [], networks } = document
  const problems: Problem[] = []
  const linesOfSet = new Map<string, readonly Line[]>()
  for (const [name, entries] of Object.entries(sets)) linesOfSet.set(name, readLines(entries, ['sets', name], linesOfSet, problems))

  const offers = new Map<string, Offer>()
  const lines = new Set<Line>()
  const admissions = new Map<string, Admits>()
  for (const [name, { free = [], paid = [] }] of Object.entries(networks)) {
    const freeLines = readLines(free, ['networks', name, 'free'], linesOfSet, problems)
    const allLines = [...freeLines, ...readLines(paid, ['networks', name, 'paid'], linesOfSet, problems)]
    const admitsFree = admission(patternsOf(freeLines), admissions)
    const admitsPaid = admission(patternsOf(allLines), admissions)
    const twins = prefixes.map((prefix) => prefix + name).filter((twin) => !Object.hasOwn(networks, twin))
    for (const served of [name, ...twins]) offers.set(served, offer(served, admitsFree, admitsPaid))
    const admits: Admits = (method) => admitsFree(method) || admitsPaid(method)
    for (const line of allLines) {
      if (line.pattern.startsWith('!') || !(line.pattern.endsWith('*') || admits(line.pattern))) continue
      for (const served of [name, ...twins]) line.networks.add(served)
      if (!lines.has(line)) warnOfAdministration(line, name, admits, problems)
      lines.add(line)
    }
  }
  const result = { offers, lines: [...lines], problems }
  compiled.set(document, result)
  return result
}

function patternsOf(lines: readonly Line[]): string[] {
  return lines.map(({ pattern }) => pattern)
}

/** The lines of a list, those of its sets in their place. */
function readLines(entries: readonly string[], path: Path, sets: ReadonlyMap<string, readonly Line[]>, problems: Problem[]): readonly Line[] {
  return entries.flatMap((pattern, at) => {
    const here = [...path, at]
    if (pattern.startsWith('+')) {
      const set = sets.get(pattern.slice(1))
      if (set === undefined)
        problems.push({
          severity: 'error',
          path: here,
          message: `there is no set ${pattern.slice(1)} above`,
          hint: `known: ${[...sets.keys()].join(', ') || 'none'}`,
        })
      return set ?? []
    }
    const message = patternProblem(pattern.startsWith('!') ? pattern.slice(1) : pattern)
    if (message !== undefined) {
      problems.push({ severity: 'error', path: here, message, hint: '+ in front names a set, ! denies' })
      return []
    }
    return [{ pattern, path: here, networks: new Set<string>() }]
  })
}

function warnOfAdministration(line: Line, networkName: string, admits: Admits, problems: Problem[]): void {
  const opened = administrationOpenedBy(line.pattern, admits)
  if (opened === undefined) return
  problems.push({
    severity: 'warning',
    path: line.path,
    message: `${line.pattern} opens ${opened} on ${networkName}`,
    hint: `it administers the node or uses its keys; deny it with "!${opened}" or name the methods one by one`,
  })
}

function offer(name: string, free: Admits, paid: Admits): Offer {
  return {
    free,
    paid,
    notOffered: refuse('methodNotAllowed', 'not-offered', { message: `The method is not offered on ${name}` }),
    paidOnly: refuse('methodNotAllowed', 'paid-only', { message: `The method is offered on ${name} to paid plans only` }),
  }
}
