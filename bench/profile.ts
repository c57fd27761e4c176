/**
 * Where the gateway's CPU goes: `node bench/profile.ts NAME [--seconds N] [--top N] [--keep FILE]` runs a load under V8's
 * sampling profiler and prints the functions with the most time of their own. NAME is `chain` or one of `loads.ts`.
 */
import { writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { prepareChain } from './chain.ts'
import { PROBED, ask, startGateway } from './gateway.ts'
import { Loader } from './load/loader.ts'
import { loads } from './loads.ts'
import { HOST, startNode } from './server.ts'
import { answer as record } from './probe.ts'
import type { Side } from './cost.ts'
import type { CpuProfile } from './probe.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '6' },
    top: { type: 'string', default: '30' },
    keep: { type: 'string' },
  },
})
const name = positionals[0] ?? ''
const load: Side['load'] | undefined = Object.hasOwn(loads, name) ? loads[name as keyof typeof loads] : undefined
if (name !== 'chain' && load === undefined)
  throw new Error(`usage: profile.ts ${['chain', ...Object.keys(loads)].join('|')} [--seconds N] [--top N] [--keep FILE]`)

const ROOT = pathToFileURL(join(import.meta.dirname, '..')).href
/** What compiles has compiled by then. */
const WARM_UP_SECONDS = 8
const CHAIN_CALLS = 300_000

const profile = load === undefined ? await recordChain() : await recordGateway(load)
if (values.keep !== undefined) writeFileSync(values.keep, JSON.stringify(profile))
printHotSpots(profile)

async function recordChain(): Promise<CpuProfile> {
  const chain = await prepareChain(0)
  await chain.run(CHAIN_CALLS, 'http')
  await record('profile')
  await chain.run(CHAIN_CALLS, 'http')
  const recorded = await record('profiled')
  await chain.stop()
  return recorded
}

async function recordGateway(load: Side['load']): Promise<CpuProfile> {
  const node = await startNode()
  const gateway = await startGateway({ nodePort: node.port, nodeArguments: PROBED })
  const loader = new Loader()
  try {
    await loader.open({ ...load, host: HOST, port: gateway.port })
    await loader.run(WARM_UP_SECONDS)
    await ask(gateway, 'profile')
    const { calls, seconds } = await loader.run(Number(values.seconds))
    process.stdout.write(`${calls} calls in ${seconds.toFixed(1)} s\n`)
    return await ask(gateway, 'profiled')
  } finally {
    await loader.stop()
    await gateway.stop()
    await node.stop()
  }
}

function printHotSpots({ nodes, samples, timeDeltas }: CpuProfile): void {
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]))
  const byFunction = new Map<string, number>()
  const byArea = new Map<string, number>()
  let busyUs = 0
  for (const [i, id] of samples.entries()) {
    const { functionName, url, lineNumber } = frames.get(id)!
    if (functionName === '(idle)' || functionName === '(root)') continue
    const us = timeDeltas[i]!
    busyUs += us
    const place = placeOf(url)
    add(byFunction, `${functionName === '' ? '(anonymous)' : functionName}${place === '' ? '' : `  ${place}:${lineNumber + 1}`}`, us)
    add(byArea, areaOf(place, functionName), us)
  }
  const share = (us: number): string => `${((100 * us) / busyUs).toFixed(1).padStart(5)} %`
  const sorted = (of: ReadonlyMap<string, number>): [string, number][] => [...of].toSorted(([, a], [, b]) => b - a)
  const lines = ['by area', ...sorted(byArea).map(([area, us]) => `${share(us)}  ${area}`), '', 'by function, time of its own']
  for (const [spot, us] of sorted(byFunction).slice(0, Number(values.top))) lines.push(`${share(us)}  ${spot}`)
  process.stdout.write(`${lines.join('\n')}\n`)
}

function add(to: Map<string, number>, key: string, us: number): void {
  to.set(key, (to.get(key) ?? 0) + us)
}

function placeOf(url: string): string {
  return url.startsWith(ROOT) ? relative(ROOT, url) : url
}

/** `core/pipeline`, `plugins`, `undici`, `node:net`, or what V8 calls it. */
function areaOf(place: string, functionName: string): string {
  if (place === '') return functionName.startsWith('(') ? functionName : 'native'
  if (place.startsWith('node:')) return place.split('/').slice(0, 2).join('/')
  const parts = place.split('/')
  return parts[0] === 'node_modules' ? parts[1]! : parts.slice(0, parts[0] === 'core' ? 2 : 1).join('/')
}
