/** The scenarios, in the order in which they run and are printed. */
import { bigAnswer } from './scenarios/big-answer.ts'
import { chain } from './scenarios/chain.ts'
import { batch, cached, mix, multiplexed, webSocket, workers } from './scenarios/frames.ts'
import { autocannon, httpSingle } from './scenarios/http-single.ts'
import { keys, networks, routes } from './scenarios/growth.ts'
import { idleSockets } from './scenarios/idle-sockets.ts'
import { latency } from './scenarios/latency.ts'
import { start } from './scenarios/start.ts'
import { redis } from './scenarios/stores.ts'
import type { Scenario } from './scenario.ts'

export const scenarios: readonly Scenario[] = [
  httpSingle,
  autocannon,
  redis,
  multiplexed,
  cached,
  webSocket,
  batch,
  mix,
  chain,
  latency,
  bigAnswer,
  workers,
  routes,
  keys,
  networks,
  idleSockets,
  start,
]
