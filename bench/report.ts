/** Tables on the terminal; raw numbers in bench/results/; the current tables and a chart in bench/README.md. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, release, totalmem, type } from 'node:os'
import { join } from 'node:path'
import { drawChart } from './chart.ts'
import { peers } from './peers.ts'
import { scenarios } from './scenarios.ts'
import type { Findings, Scenario, Verdict } from './scenario.ts'

const RESULTS = join(import.meta.dirname, 'results')

export function printFindings({ title }: Scenario, { columns, rows, verdicts, notes }: Findings): void {
  const lines = [`\n${title}`, ...aligned([columns, ...rows])]
  for (const verdict of verdicts) lines.push(`  ${verdict.work}: ${verdict.measured}, target ${verdict.target}${said(verdict)}`)
  for (const note of notes) lines.push(`  ${note}`)
  process.stdout.write(`${lines.join('\n')}\n`)
}

function said({ isMet, note }: Verdict): string {
  return `${isMet === undefined ? '' : isMet ? ': met' : ': NOT MET'}${note === undefined ? '' : ` (${note})`}`
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)))
  return rows.map((row) => `  ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ')}`)
}

/** A file of bench/results/: the newest run of each scenario on one day, on one kind of machine. */
interface Result {
  readonly host: string
  readonly scenarios: Readonly<Record<string, Recorded>>
}

interface Recorded extends Findings {
  readonly at: string
  readonly versions: Readonly<Record<string, string>>
}

/** Adds what was found to the day's results, and writes bench/README.md anew from those. */
export function writeResults(found: readonly { readonly scenario: Scenario; readonly findings: Findings }[]): void {
  const at = new Date().toISOString()
  const host = `${cpus().length}-core`
  const name = `${at.slice(0, 10)}-${host}.json`
  const path = join(RESULTS, name)
  const before = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Result) : undefined
  const versions = versionsNow()
  const recorded = Object.fromEntries(found.map(({ scenario, findings }) => [scenario.name, { at, versions, ...findings }]))
  const result: Result = { host, scenarios: { ...before?.scenarios, ...recorded } }
  mkdirSync(RESULTS, { recursive: true })
  writeFileSync(path, `${JSON.stringify(result, null, 1)}\n`)
  writeFileSync(join(import.meta.dirname, 'README.md'), readme(name, result))
  writeFileSync(join(import.meta.dirname, 'cpu-per-call.svg'), chart(result))
}

function versionsNow(): Record<string, string> {
  const undici = JSON.parse(readFileSync(join(import.meta.dirname, '../node_modules/undici/package.json'), 'utf8')) as { version: string }
  return {
    commit: output('git', 'rev-parse', '--short', 'HEAD'),
    node: process.version,
    undici: undici.version,
    os: `${type()} ${release()}`,
    cpu: `${cpus().length} × ${cpus()[0]!.model.trim()}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    nginx: output('nginx', '-v').replace(/^.*nginx\//s, ''),
    haproxy: output('haproxy', '-v').replace(/^\S+ version (\S+).*$/s, '$1'),
    redis: output('redis-server', '--version').replace(/^.* v=(\S+).*$/s, '$1'),
  }
}

/** What a command prints, on either of its outputs; empty where it is not there. */
function output(command: string, ...args: readonly string[]): string {
  try {
    return execFileSync('sh', ['-c', '"$@" 2>&1', 'sh', command, ...args], { encoding: 'utf8', cwd: import.meta.dirname }).trim()
  } catch {
    return ''
  }
}

/** Scenarios that have been recorded, in their order. */
function recordedOf({ scenarios: recorded }: Result): { readonly scenario: Scenario; readonly found: Recorded }[] {
  return scenarios.flatMap((scenario) => {
    const found = recorded[scenario.name]
    return found === undefined ? [] : [{ scenario, found }]
  })
}

/** The bars of the first comparison, and of the others what is ours, as long as they have the same yardstick. */
function chart(result: Result): string {
  const compared = recordedOf(result).filter(({ scenario, found }) => scenario.isCharted === true && found.yardstick !== undefined)
  const yardstick = compared[0]?.found.yardstick
  const alike = compared.filter(({ found }) => found.yardstick === yardstick)
  const bars = alike.flatMap(({ found }, i) => (i === 0 ? found.bars : found.bars.filter(({ isOurs }) => isOurs)))
  return drawChart(`CPU per call, ${yardstick ?? ''} = 1`, bars)
}

function readme(name: string, result: Result): string {
  const found = recordedOf(result)
  const verdicts = found.flatMap(({ found: { verdicts } }) => verdicts)
  const details = found.map(({ scenario, found: { at, versions, columns, rows, notes } }) =>
    [
      `### ${scenario.title}`,
      '',
      `\`${scenario.name}\`, ${at.slice(0, 16).replace('T', ' ')} UTC, commit ${versions['commit']}`,
      '',
      table([columns, ...rows]),
      ...notes.map((note) => `\n${firstLine(note)}`),
      '',
    ].join('\n'),
  )
  const versions = found.at(-1)?.found.versions ?? {}
  return `${INTRODUCTION}
## Targets

Measured in ${Object.entries(versions)
    .filter(([, version]) => version !== '')
    .map(([what, version]) => `${what} ${version}`)
    .join(', ')}; raw in [results/${name}](results/${name}).

${table([['work', 'target', 'measured', ''], ...verdicts.map(({ work, target, measured, isMet, note }) => [work, target, measured, isMet === undefined ? firstLine(note ?? '') : isMet ? 'met' : '**not met**'])])}

![CPU per call in terms of nginx + Lua](cpu-per-call.svg)

## Scenarios

${details.join('\n')}`
}

function firstLine(text: string): string {
  return text.split('\n')[0]!
}

function table([head, ...rows]: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head!), line(head!.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n')
}

const INTRODUCTION = `<!-- Written by \`npm run bench\`: edit bench/report.ts instead. -->
# What a call costs

    npm run bench                      everything that needs nothing but this repository
    npm run bench -- --peers           nginx, nginx + Lua and HAProxy too, where they are installed
    npm run bench -- --only NAME       one scenario
    npm run bench -- --seconds N       seconds of each side in each round
    node bench/profile.ts NAME         where the CPU goes
    node bench/idle-sockets.ts         memory of 10 000 idle WebSockets

[PROFILE.md](PROFILE.md) says where the time of a call goes, what varies, and what to try next.

The measure is CPU microseconds (user and system, from the kernel) of all processes of the server, divided by the calls that were
answered as expected. Everything runs on one machine: the stub node, the server under test and the load. The sides of a
comparison take turns of half a second, five rounds and more; a ratio is taken within a round, and printed as the median with the least
and the most. Calls per second on a shared machine say little, and stand beside it.

The load is our own (\`bench/load/\`, some 10 µs a call; autocannon costs 40 and would be the limit on two cores); the scenario \`autocannon\`
shows the same ratio under the other. Answers are judged by their JSON-RPC results, never by the HTTP status.

The gateway runs its whole chain: request-id, key-auth, jsonrpc-var, guard, whitelist, calculate-cu, limit-monthly-cu, limit-cu, prometheus, access-log to a
file (every hundredth frame), ws-jsonrpc-proxy. Beside it, all in front of the same stub node (\`peers/\`):

${Object.entries(peers)
  .map(([name, { title }]) => `- \`${name}\`: ${title}`)
  .join('\n')}

On a machine that others use, a call costs more than on a quiet one, and JavaScript, which needs more of the caches, suffers more than C: each
comparison says how much of the machine other programs used.
`
