/**
 * What the gateway adds to an answer's time at half of the load that it can take: requests are due at a constant rate and are
 * timed from when they were due.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { spread } from '../cost.ts'
import { startGateway } from '../gateway.ts'
import { Loader } from '../load/loader.ts'
import { loads } from '../loads.ts'
import { peers } from '../peers.ts'
import { HOST } from '../server.ts'
import { YARDSTICK } from '../compare.ts'
import type { Report } from '../load/generator.ts'
import type { Scenario, Verdict } from '../scenario.ts'
import type { Server } from '../server.ts'

/** What shows how much of it is Node's: a proxy without any policy. */
const FLOOR = 'node-dispatch'
const P50_MS = 0.3
const P99_MS = 2
/** Until everything is compiled, for full load and for half of it. */
const WARM_UP_SECONDS = 20
const HALF_WARM_UP_SECONDS = 5
/** How long the capacity is measured. */
const FULL_SECONDS = 2
/** Between two runs. */
const SETTLE_MS = 100

export const latency: Scenario = {
  name: 'latency',
  title: 'Added latency at half load',
  run: async ({ nodePort, pace, withPeers }) => {
    const ports = new Map([['direct', nodePort]])
    const servers: Server[] = []
    const add = (name: string, server: Server): void => {
      servers.push(server)
      ports.set(name, server.port)
    }
    const loader = new Loader()
    const run = async (port: number, seconds: number, perSecond?: number): Promise<Report> => {
      await loader.open({ ...loads.singles, host: HOST, port })
      await delay(SETTLE_MS)
      const report = await loader.run(seconds, perSecond)
      await loader.close()
      return report
    }
    try {
      add('gateway', await startGateway({ nodePort }))
      add(FLOOR, await peers[FLOOR].start(nodePort))
      if (withPeers && peers[YARDSTICK].missing === undefined) add(YARDSTICK, await peers[YARDSTICK].start(nodePort))
      for (const name of [FLOOR, 'gateway']) await run(ports.get(name)!, WARM_UP_SECONDS)
      const full = await run(ports.get('gateway')!, FULL_SECONDS)
      const perSecond = Math.round(full.calls / full.seconds / 2)
      for (const name of [FLOOR, 'gateway']) await run(ports.get(name)!, HALF_WARM_UP_SECONDS, perSecond)
      const reports = new Map([...ports.keys()].map((name) => [name, [] as Report[]]))
      for (let round = 0; round < pace.rounds; round++) {
        for (const [name, port] of ports) reports.get(name)!.push(await run(port, pace.seconds, perSecond))
      }
      return findings(reports, perSecond)
    } finally {
      await loader.stop()
      for (const server of servers) await server.stop()
    }
  },
}

function findings(reports: ReadonlyMap<string, readonly Report[]>, perSecond: number) {
  const median = (name: string, of: (report: Report) => number): number => spread(reports.get(name)!.map(of)).median / 1000
  const added = (of: (report: Report) => number): number => median('gateway', of) - median('direct', of)
  const p50 = (report: Report): number => report.p50Us
  const p99 = (report: Report): number => report.p99Us
  return {
    columns: ['', 'p50 ms', 'p99 ms', 'failed'],
    rows: [...reports].map(([name, of]) => [
      name,
      median(name, p50).toFixed(2),
      median(name, p99).toFixed(2),
      of.reduce((sum, { failed }) => sum + failed, 0).toString(),
    ]),
    verdicts: [judge('p50', added(p50), P50_MS), judge('p99', added(p99), P99_MS)],
    bars: [],
    notes: [`${perSecond} calls/s, half of what the gateway served at most`],
    raw: { perSecond, reports: Object.fromEntries(reports) },
  }
}

function judge(name: string, addedMs: number, atMostMs: number): Verdict {
  return {
    work: `added latency at half load, ${name}`,
    target: `≤ ${atMostMs} ms over direct`,
    measured: `${addedMs.toFixed(2)} ms`,
    isMet: addedMs <= atMostMs,
  }
}
