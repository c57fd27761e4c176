/**
 * `npm run bench`: runs the scenarios and prints what they find; writes the raw numbers to bench/results/ and the tables to
 * bench/README.md.
 *
 *     npm run bench                      all that needs nothing but this repository
 *     npm run bench -- --peers           other programs beside it, where they are installed
 *     npm run bench -- --only NAME       one scenario; may be given several times
 *     npm run bench -- --seconds N       of each side in each round (default 2)
 *     npm run bench -- --rounds N        at least 5 make a result (default 5)
 *     npm run bench -- --million         a million keys instead of a hundred thousand
 *     npm run bench -- --dry             prints only
 */
import { parseArgs } from 'node:util'
import { printFindings, writeResults } from './report.ts'
import { scenarios } from './scenarios.ts'
import { startNode } from './server.ts'
import type { Findings, Scenario } from './scenario.ts'

const { values } = parseArgs({
  options: {
    peers: { type: 'boolean', default: false },
    million: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
    seconds: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '5' },
    dry: { type: 'boolean', default: false },
  },
})

/** Every process that runs beside this one is ended with it. */
const MAX_PROCESSES = 100

process.setMaxListeners(MAX_PROCESSES)
// What was started is ended when this process exits, and a signal alone is no exit.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))
const unknown = values.only?.filter((name) => !scenarios.some((scenario) => scenario.name === name)) ?? []
if (unknown.length > 0) throw new Error(`no such scenario: ${unknown.join(', ')}; there are ${scenarios.map(({ name }) => name).join(', ')}`)

const found: { scenario: Scenario; findings: Findings }[] = []
const node = await startNode()
try {
  for (const scenario of scenarios) {
    if (values.only !== undefined && !values.only.includes(scenario.name)) continue
    const pace = { rounds: Number(values.rounds), seconds: Number(values.seconds) }
    const findings = await scenario.run({ nodePort: node.port, pace, withPeers: values.peers, withMillion: values.million })
    found.push({ scenario, findings })
    printFindings(scenario, findings)
  }
} finally {
  await node.stop()
}
if (!values.dry) writeResults(found)
