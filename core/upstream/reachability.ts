/** Whether an upstream can be reached: asked before a WebSocket handshake is answered, and good for a moment. */
import type { WebSocketSettings } from '../plugin/define.ts'
import type { PoolNode } from './pool-node.ts'
import type { UpstreamSockets } from './socket/sockets.ts'

type Mode = WebSocketSettings['mode']

export class Reachability {
  private readonly nodes: readonly PoolNode[]
  private readonly sockets: UpstreamSockets
  private readonly keptMs: number
  private readonly monotonicMs: () => number
  private readonly known = new Map<Mode, { readonly untilMs: number; readonly answer: Promise<boolean> }>()

  constructor(nodes: readonly PoolNode[], sockets: UpstreamSockets, keptMs: number, monotonicMs: () => number) {
    this.nodes = nodes
    this.sockets = sockets
    this.keptMs = keptMs
    this.monotonicMs = monotonicMs
  }

  of(mode: Mode): Promise<boolean> {
    const now = this.monotonicMs()
    let known = this.known.get(mode)
    if (known === undefined || now >= known.untilMs) this.known.set(mode, (known = { untilMs: now + this.keptMs, answer: this.look(mode) }))
    return known.answer
  }

  /** A session with a socket of its own needs one; all others are served over HTTP where there is none. */
  private async look(mode: Mode): Promise<boolean> {
    if (mode !== 'http' && (await this.sockets.reach())) return true
    if (mode === 'dedicated' && !this.sockets.isEmpty) return false
    for (const node of this.nodes) if (await node.http.reach()) return true
    return false
  }
}
