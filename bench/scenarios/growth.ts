/** What routes, keys and networks cost that are there beside those that are asked: CPU per call, memory, and a reload's pause. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { compare, unmeasured } from '../compare.ts'
import { keyOf, networkOf, routePath } from '../configuration.ts'
import { PROBED, ask, startGateway } from '../gateway.ts'
import { spreadOver } from '../loads.ts'
import type { Side } from '../cost.ts'
import type { Gateway, GatewayOptions } from '../gateway.ts'
import type { SideLoad } from '../loads.ts'
import type { Context, Findings, Scenario, Verdict } from '../scenario.ts'

const FEW = 10
const ROUTES = 10_000
const KEYS = 100_000
const MANY_KEYS = 1_000_000
const USUAL_NETWORKS = 70
const NETWORKS = 7_000
/** The load is spread over so many of them; over fewer networks, because each has connections of its own. */
const ASKED = 1_000
const ASKED_NETWORKS = 32

const MORE_CPU = 1.05
const BYTES_PER_KEY = 400
const PAUSE_MS = 50
const RELOADED_WITHIN_MS = 120_000

/** So many of a larger number, evenly spread. */
function some(of: number, atMost: number): number[] {
  const count = Math.min(of, atMost)
  return Array.from({ length: count }, (_, i) => Math.floor((i * of) / count))
}

function grown(context: Context, work: string, few: GatewayOptions, fewLoad: SideLoad, many: GatewayOptions, manyLoad: SideLoad): Promise<Findings> {
  const side = (name: string, options: GatewayOptions, load: SideLoad): Side => ({ name, start: () => startGateway(options), load })
  return compare(
    {
      sides: [side('gateway-few', few, fewLoad), side('gateway-many', many, manyLoad)],
      yardstick: 'gateway-few',
      bounds: [{ work, side: 'gateway-many', to: 'gateway-few', atMost: MORE_CPU }],
    },
    context,
  )
}

export const routes: Scenario = {
  name: 'routes',
  title: `${ROUTES} routes instead of ${FEW}`,
  run: (context) => {
    const { nodePort } = context
    const load = (count: number): SideLoad =>
      spreadOver(
        some(count, ASKED).map((n) => routePath(n)),
        [keyOf(0)],
      )
    return grown(context, '10 → 10 000 routes, CPU', { nodePort, routes: FEW }, load(FEW), { nodePort, routes: ROUTES }, load(ROUTES))
  },
}

export const networks: Scenario = {
  name: 'networks',
  title: `${NETWORKS} networks instead of ${USUAL_NETWORKS}`,
  run: (context) => {
    const { nodePort } = context
    const load = (count: number): SideLoad =>
      spreadOver(
        some(count, ASKED_NETWORKS).map((n) => routePath(0, networkOf(n))),
        [keyOf(0)],
      )
    return grown(
      context,
      '70 → 7 000 networks, CPU',
      { nodePort, networks: USUAL_NETWORKS },
      load(USUAL_NETWORKS),
      { nodePort, networks: NETWORKS },
      load(NETWORKS),
    )
  },
}

export const keys: Scenario = {
  name: 'keys',
  title: 'Many keys instead of ten',
  run: async (context) => {
    const { nodePort, withMillion } = context
    const count = withMillion ? MANY_KEYS : KEYS
    const load = (of: number): SideLoad =>
      spreadOver(
        [routePath(0)],
        some(of, ASKED).map((n) => keyOf(n)),
      )
    const cost = await grown(context, `10 → ${count} keys, CPU`, { nodePort, keys: FEW }, load(FEW), { nodePort, keys: count }, load(count))
    const memory = await memoryOfKeys(nodePort, count)
    return {
      ...cost,
      verdicts: [...cost.verdicts, ...memory.verdicts],
      notes: [...cost.notes, `${count} keys: ready after ${Math.round(memory.readyMs)} ms`, ...(withMillion ? [] : ['--million measures 1 000 000 keys'])],
      raw: { cost: cost.raw, memory },
    }
  },
}

async function memoryOfKeys(nodePort: number, count: number) {
  const few = await startGateway({ nodePort, keys: FEW, nodeArguments: PROBED })
  const heapOfFew = await ask(few, 'heap')
  await few.stop()
  const many = await startGateway({ nodePort, keys: count, nodeArguments: PROBED })
  try {
    const heap = await ask(many, 'heap')
    const perKey = (heap - heapOfFew) / (count - FEW)
    const pauseMs = await reloadPause(many)
    const verdicts: Verdict[] = [
      { work: `memory per key, ${count} keys`, target: `≤ ${BYTES_PER_KEY} bytes`, measured: `${Math.round(perKey)} bytes`, isMet: perKey <= BYTES_PER_KEY },
      pauseMs === undefined
        ? unmeasured(`reload of ${count} keys, longest pause`, `≤ ${PAUSE_MS} ms`, 'it was not reloaded in time')
        : { work: `reload of ${count} keys, longest pause`, target: `≤ ${PAUSE_MS} ms`, measured: `${Math.round(pauseMs)} ms`, isMet: pauseMs <= PAUSE_MS },
    ]
    return { heapOfFew, heap, perKey, pauseMs, readyMs: many.readyMs, verdicts }
  } finally {
    await many.stop()
  }
}

/** Gives one more consumer a key, and answers for how long the event loop stood still at most while that was taken over. */
async function reloadPause(gateway: Gateway): Promise<number | undefined> {
  const file = join(gateway.dir, 'gateway.yaml')
  const configuration = JSON.parse(readFileSync(file, 'utf8')) as { consumers: object[] }
  configuration.consumers.push({ username: 'one-more', plan: 'pro', plugins: { 'key-auth': { key: 'one-more-key' } } })
  const text = JSON.stringify(configuration)
  await ask(gateway, 'watch-delay')
  writeFileSync(file, text)
  for (let waitedMs = 0; waitedMs < RELOADED_WITHIN_MS; waitedMs += 100) {
    await delay(100)
    const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text()
    if (/^tollgate_config_generation 2$/m.test(metrics)) return ask(gateway, 'delay')
  }
  return undefined
}
