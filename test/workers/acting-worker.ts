/**
 * A worker process that only plays its part. What it is to do stands in the file that it is told to be the configuration
 * file, anew for each process: `serve`, `fail`, `exit`, `serve and exit`, `serve and hang`, `serve and mumble`, `serve and object`.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { createMetrics } from '../../core/observe/metrics.ts'
import { PrimaryLink } from '../../core/workers/primary-link.ts'

const link = new PrimaryLink()
const { configFile, worker, listen } = await link.hello()
const part = readFileSync(configFile, 'utf8')
const metrics = createMetrics()
const things = metrics.counter('tollgate_things_total', 'Things.', [])()

if (part === 'fail') {
  await link.send({ kind: 'failed', problem: `worker ${worker} has no mind to` })
  process.exit(1)
}
if (part === 'exit') process.exit(3)

let hasAnswered = false
link.serve({
  answers: {
    configure: ({ generation }) => (part === 'serve and object' ? [`generation ${generation} is not mine`] : []),
    notReady: () => [],
    upstreams: () => [],
    metrics: async () => {
      if (part === 'serve and mumble' && hasAnswered) await delay(60_000)
      hasAnswered = true
      things.value++
      return metrics.dump()
    },
  },
  meterReply: () => undefined,
  reopenLog: () => undefined,
  drain: () => process.exit(0),
})
await link.send({ kind: 'serving', address: { address: listen.host, family: 'IPv4', port: listen.port } })
if (part === 'serve and exit') process.exit(4)
// Not its event loop's end, and no message gets in.
if (part === 'serve and hang') for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000)
