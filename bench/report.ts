/** Tables on the terminal; raw numbers in bench/results/; the current tables and a chart in bench/README.md. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, release, totalmem, type } from 'node:os'
import { join } from 'node:path'
import type { Findings, Scenario } from './scenario.ts'

const RESULTS = join(import.meta.dirname, 'results')

export function printFindings({ title }: Scenario, { columns, rows, verdicts, notes }: Findings): void {
  const lines = [`\n${title}`, ...aligned([columns, ...rows])]
  for (const { work, target, measured, isMet, note } of verdicts) {
    lines.push(`  ${work}: ${measured}, target ${target}${isMet === undefined ? '' : isMet ? ' - met' : ' - NOT MET'}${note === undefined ? '' : ` (${note})`}`)
  }
  for (const note of notes) lines.push(`  ${note}`)
  process.stdout.write(`${lines.join('\n')}\n`)
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)))
  return rows.map((row) => `  ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ')}`)
}

interface Result {
  readonly at: string
  readonly host: string
  readonly versions: Readonly<Record<string, string>>
  readonly scenarios: Record<string, { readonly at: string; readonly title: string } & Findings>
}

/** Adds what was found to the day's results of this kind of machine. */
export function writeResults(found: readonly { readonly scenario: Scenario; readonly findings: Findings }[]): void {
  const at = new Date().toISOString()
  const host = `${cpus().length}-core`
  const path = join(RESULTS, `${at.slice(0, 10)}-${host}.json`)
  const before = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Result) : undefined
  const scenarios = { ...before?.scenarios }
  for (const { scenario, findings } of found) scenarios[scenario.name] = { at, title: scenario.title, ...findings }
  mkdirSync(RESULTS, { recursive: true })
  writeFileSync(path, `${JSON.stringify({ at, host, versions: versions(), scenarios } satisfies Result, null, 1)}\n`)
}

function versions(): Record<string, string> {
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
