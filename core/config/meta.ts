/** `_meta`, which every plugin's configuration may hold: whether, where in the order and for which calls it runs. */
import { methodList, patternProblem } from '../plugin/method-patterns.ts'
import { Type } from '../plugin/schema.ts'
import { consumer, network } from '../plugin/slots.ts'
import type { Static } from 'typebox'
import type { Call } from '../plugin/session.ts'

const Filter = Type.Object(
  {
    networks: Type.Optional(Type.Array(Type.String(), { minItems: 1, description: 'Names of networks.' })),
    methods: Type.Optional(Type.Array(Type.String(), { minItems: 1, description: 'Methods, prefixes such as `trace_*`, or `*`; `!` before one excludes it.' })),
    consumers: Type.Optional(Type.Array(Type.String(), { minItems: 1, description: 'Usernames; a caller without a name is none of them.' })),
  },
  { minProperties: 1, description: 'The calls that the plugin judges: those that are in every list given here. It concerns access, charge and reply.' },
)

export const Meta = Type.Object(
  {
    disable: Type.Boolean({ default: false, description: 'True leaves the plugin out, also where a bundle brings it.' }),
    priority: Type.Optional(Type.Integer({ description: "Stands in the place of the plugin's own priority." })),
    filter: Type.Optional(Filter),
  },
  { description: 'Whether, where in the order and for which calls the plugin runs.' },
)

export type MetaYaml = Static<typeof Meta>

/** What is wrong with a filter beyond its schema: [position in methods, clause]. */
export function filterProblems({ methods = [] }: Static<typeof Filter>): [number, string][] {
  return methods.flatMap((pattern, at): [number, string][] => {
    const problem = patternProblem(pattern.replace(/^!/, ''))
    return problem === undefined ? [] : [[at, problem]]
  })
}

/** Compiles a filter without problems. */
export function compileFilter(filter: Static<typeof Filter>): (call: Call) => boolean {
  const networks = filter.networks && new Set(filter.networks)
  const consumers = filter.consumers && new Set(filter.consumers)
  const methods = filter.methods && methodList(filter.methods)
  return ({ session, method }) =>
    (networks === undefined || networks.has(session.get(network) ?? '')) &&
    (consumers === undefined || consumers.has(session.get(consumer)?.username ?? '')) &&
    (methods === undefined || methods(method) === true)
}
