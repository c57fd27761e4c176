/** Other ways to carry calls than one per HTTP request to a node over HTTP. */
import { besidePeers, compare } from '../compare.ts'
import { startGateway } from '../gateway.ts'
import { loads } from '../loads.ts'
import type { Context, Scenario } from '../scenario.ts'
import type { Side } from '../cost.ts'
import type { SideLoad } from '../loads.ts'

function gatewaySide(name: string, load: SideLoad, { nodePort }: Context, plugins: Readonly<Record<string, unknown>> = {}): Side {
  return { name, start: () => startGateway({ nodePort, plugins }), load }
}

export const multiplexed: Scenario = {
  name: 'multiplexed',
  isCharted: true,
  title: 'Single call over HTTP, node over a multiplexed socket',
  run: (context) =>
    besidePeers(context, {
      sides: [{ name: 'gateway-multiplexed', start: () => startGateway({ nodePort: context.nodePort, upstream: { multiplex: true } }), load: loads.singles }],
      peers: [],
      references: ['node-dispatch', 'node-local'],
      load: loads.singles,
      bounds: [{ work: 'single call over HTTP, node over a multiplexed socket', side: 'gateway-multiplexed', atMost: 1.15 }],
    }),
}

export const cached: Scenario = {
  name: 'cached',
  isCharted: true,
  title: 'Single call over HTTP that the cache answers',
  run: (context) =>
    besidePeers(context, {
      sides: [gatewaySide('gateway-cached', loads.cacheable, context, { 'response-cache': {} })],
      peers: [],
      references: ['node-dispatch', 'node-local'],
      load: loads.singles,
      bounds: [{ work: 'cached or coalesced call over HTTP', side: 'gateway-cached', atMost: 0.85 }],
    }),
}

export const webSocket: Scenario = {
  name: 'websocket',
  isCharted: true,
  title: 'Calls over WebSocket, shared upstream sockets (peers over HTTP)',
  run: (context) =>
    besidePeers(context, {
      sides: [gatewaySide('gateway-ws-one', loads['ws-one'], context), gatewaySide('gateway-ws-eight', loads['ws-eight'], context)],
      peers: [],
      references: ['node-dispatch'],
      load: loads.singles,
      bounds: [
        { work: 'call over WebSocket, one in flight per socket', side: 'gateway-ws-one', atMost: 1.15 },
        { work: 'call over WebSocket, eight in flight per socket', side: 'gateway-ws-eight', atMost: 0.75 },
      ],
    }),
}

export const batch: Scenario = {
  name: 'batch',
  title: 'Batches of 100 small calls, per call',
  run: (context) =>
    compare(
      {
        sides: [gatewaySide('gateway', loads.singles, context), gatewaySide('gateway-batch', loads.batches, context)],
        yardstick: 'gateway',
        bounds: [{ work: 'batch of 100, per call', side: 'gateway-batch', to: 'gateway', atMost: 0.2 }],
      },
      context,
    ),
}

export const mix: Scenario = {
  name: 'mix',
  isCharted: true,
  title: 'What a public endpoint is asked, per call (3.7 calls per frame; node-dispatch gets nothing that would be refused)',
  run: (context) =>
    besidePeers(context, {
      sides: [gatewaySide('gateway', loads.mix, context), gatewaySide('gateway-allowed', loads['mix-allowed'], context)],
      peers: [],
      references: ['node-dispatch'],
      load: loads['mix-allowed'],
      bounds: [],
    }),
}

export const workers: Scenario = {
  name: 'workers',
  title: 'Two workers instead of one',
  run: (context) =>
    compare(
      {
        sides: [
          gatewaySide('gateway', loads.singles, context),
          { name: 'gateway-two', start: () => startGateway({ nodePort: context.nodePort, top: { workers: 2 } }), load: loads.singles },
        ],
        yardstick: 'gateway',
        bounds: [{ work: 'two workers: CPU per call', side: 'gateway-two', to: 'gateway', atMost: 1.05 }],
      },
      context,
    ),
}
