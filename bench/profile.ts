/**
 * Where the gateway's CPU goes: `node bench/profile.ts NAME [--seconds N] [--top N] [--keep FILE]` runs a load under V8's
 * sampling profiler and prints the functions with the most time of their own. NAME is `chain` or one of `loads.ts`.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
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
/** The profiler's frames for time that is nobody's. */
const UNCOUNTED = new Set(['(idle)', '(root)'])
/** What compiles has compiled by then. */
const WARM_UP_SECONDS = 25
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

interface Spot {
  readonly name: string
  readonly area: string
  /** Not JavaScript: its time is its caller's area's. */
  readonly isNative: boolean
}

function printHotSpots({ nodes, samples, timeDeltas }: CpuProfile): void {
  const spots = new Map(nodes.map(({ id, callFrame }) => [id, spotOf(callFrame)]))
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)))
  const own = new Map<string, number>()
  const total = new Map<string, number>()
  const byArea = new Map<string, number>()
  let busyUs = 0
  for (const [i, leaf] of samples.entries()) {
    const { name, area } = spots.get(leaf)!
    if (UNCOUNTED.has(name) || area === 'node:inspector') continue
    const us = timeDeltas[i]!
    busyUs += us
    add(own, name, us)
    const stack: Spot[] = []
    for (let id: number | undefined = leaf; id !== undefined; id = parents.get(id)) stack.push(spots.get(id)!)
    add(byArea, (stack.find(({ isNative }) => !isNative) ?? stack[0]!).area, us)
    for (const name of new Set(stack.map(({ name }) => name))) add(total, name, us)
  }
  const share = (us: number): string => `${((100 * us) / busyUs).toFixed(1).padStart(5)} %`
  const sorted = (of: ReadonlyMap<string, number>): [string, number][] => [...of].toSorted(([, a], [, b]) => b - a).filter(([, us]) => us > busyUs / 1000)
  const section = (title: string, of: ReadonlyMap<string, number>, top = Infinity): string =>
    [
      title,
      ...sorted(of)
        .slice(0, top)
        .map(([spot, us]) => `${share(us)}  ${spot}`),
      '',
    ].join('\n')
  process.stdout.write(
    [
      section('by area, native code with who called it', byArea),
      section('by function, time of its own', own, Number(values.top)),
      section('by function, with all that it called', total, Number(values.top)),
    ].join('\n'),
  )
}

function spotOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): Spot {
  const place = placeOf(url)
  const name = `${functionName === '' ? '(anonymous)' : functionName}${place === '' ? '' : `  ${place}:${lineNumber + 1}`}`
  return { name, area: areaOf(place, functionName), isNative: place === '' && !functionName.startsWith('(') }
}

function add(to: Map<string, number>, key: string, us: number): void {
  to.set(key, (to.get(key) ?? 0) + us)
}

function placeOf(url: string): string {
  const packageAt = url.lastIndexOf('/node_modules/')
  if (packageAt !== -1) return url.slice(packageAt + 1)
  return url.startsWith(ROOT) ? url.slice(ROOT.length + 1) : url
}

/** `core/pipeline`, `plugins`, `undici`, `node:net`, or what V8 calls it. */
function areaOf(place: string, functionName: string): string {
  if (place === '') return functionName.startsWith('(') ? functionName : 'native'
  if (place.startsWith('node:')) return place.split('/').slice(0, 2).join('/')
  const parts = place.split('/')
  return parts[0] === 'node_modules' ? parts[1]! : parts.slice(0, parts[0] === 'core' ? 2 : 1).join('/')
}
