/** The commands that look at a configuration and start nothing: check and plan. */
import { formatProblem } from './config/problem.ts'
import { buildSnapshot } from './config/snapshot.ts'
import { createMetrics } from './observe/metrics.ts'
import { PHASES, inOrder } from './pipeline/chain.ts'
import type { SnapshotResult } from './config/snapshot.ts'
import type { ChainMember, Phase } from './pipeline/chain.ts'
import type { AnyPlugin, PluginLog } from './plugin/define.ts'

/** What a command is given. */
export interface CommandContext {
  readonly catalogue: readonly AnyPlugin[]
  readonly env: Readonly<Record<string, string | undefined>>
  /** The wall clock in epoch milliseconds. */
  readonly now: () => number
  print(line: string): void
}

/** Validates a configuration; prints every problem and warning. Answers the exit code: 1 when there is a problem. */
export async function check(configFile: string, context: CommandContext): Promise<number> {
  const { snapshot, problems, warnings } = await load(configFile, context)
  for (const problem of problems) context.print(formatProblem(problem))
  for (const warning of warnings) context.print(`warning: ${formatProblem(warning)}`)
  if (snapshot === undefined) return 1
  const counts = [count(snapshot.routes.length, 'route'), count(snapshot.upstreams.length, 'upstream'), count(snapshot.consumers.size, 'consumer')]
  context.print(`${configFile}: ok (${counts.join(', ')}${warnings.length === 0 ? '' : `, ${count(warnings.length, 'warning')}`})`)
  return 0
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`
}

/** Prints a route's chain in the order in which it runs, and where each plugin's configuration came from. */
export async function plan(routeId: string, configFile: string, context: CommandContext): Promise<number> {
  const { snapshot, problems } = await load(configFile, context)
  if (snapshot === undefined) {
    for (const problem of problems) context.print(formatProblem(problem))
    return 1
  }
  const route = snapshot.routes.find((candidate) => candidate.id === routeId)
  if (route === undefined) {
    context.print(`no route "${routeId}" (routes: ${snapshot.routes.map((candidate) => candidate.id).join(', ')})`)
    return 1
  }
  const rows = [['PHASE', 'PRIORITY', 'PLUGIN', 'FROM']]
  for (const phase of PHASES) for (const member of inPhase(route.members, phase)) rows.push([phase, String(member.priority), member.plugin.name, member.source])
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]!.length)))
  for (const row of rows) context.print(row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  '))
  return 0
}

function inPhase(members: readonly ChainMember[], phase: Phase): ChainMember[] {
  const having = inOrder(members).filter((member) => member.instance[phase] !== undefined)
  return phase === 'reply' || phase === 'close' ? having.reverse() : having
}

const SILENT: PluginLog = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined, isEnabled: () => false }

function load(configFile: string, context: CommandContext): Promise<SnapshotResult> {
  return buildSnapshot(configFile, { ...context, generation: 1, log: () => SILENT, metrics: createMetrics(), stop: new AbortController().signal })
}
