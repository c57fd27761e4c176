/** One small call per request over HTTP, the node over HTTP, budgets counted in memory. */
import { besidePeers } from '../compare.ts'
import { startGateway } from '../gateway.ts'
import { loads } from '../loads.ts'
import type { Scenario } from '../scenario.ts'

export const httpSingle: Scenario = {
  name: 'http-single',
  isCharted: true,
  title: 'Single call over HTTP, node over HTTP, local counters',
  run: (context) =>
    besidePeers(context, {
      sides: [{ name: 'gateway', start: () => startGateway({ nodePort: context.nodePort }), load: loads.singles }],
      peers: ['nginx', 'haproxy'],
      references: ['node-dispatch', 'node-request', 'node-raw'],
      load: loads.singles,
      bounds: [{ work: 'single call over HTTP, node over HTTP, local counters', side: 'gateway', atMost: 1.5 }],
    }),
}

/** The same, to see that the load is not what is measured. */
export const autocannon: Scenario = {
  name: 'autocannon',
  title: 'The same under the load of autocannon',
  run: (context) =>
    besidePeers(context, {
      sides: [{ name: 'gateway', start: () => startGateway({ nodePort: context.nodePort }), load: loads.autocannon }],
      peers: [],
      references: ['node-dispatch'],
      load: loads.autocannon,
      bounds: [],
    }),
}
