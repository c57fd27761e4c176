/**
 * Whatever clients, node and network do in whatever order: in the end the node has one subscription for each thing that somebody
 * listens to, each listener gets each event once under its own id, after its answer, and nobody else gets anything.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { refusal, ScriptedSocketNode } from '../../support/scripted-socket-node.ts'
import { range, socketUpstream, until } from './fixture.ts'
import type { SocketCall } from '../../support/scripted-socket-node.ts'
import type { TestClient } from './fixture.ts'

const TOPICS = ['["newHeads"]', '["a"]', '["b",{"c":1}]'] as const

type Action =
  | { readonly do: 'subscribe'; readonly client: number; readonly topic: number }
  | { readonly do: 'unsubscribe'; readonly client: number; readonly which: number }
  | { readonly do: 'leave'; readonly client: number }
  | { readonly do: 'answer'; readonly how: 'grant' | 'refuse' }
  | { readonly do: 'cut' | 'mine' | 'wait' }

const client = fc.nat({ max: 3 })
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('subscribe' as const), client, topic: fc.nat({ max: TOPICS.length - 1 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('unsubscribe' as const), client, which: fc.nat({ max: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), client }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('answer' as const), how: fc.constantFrom('grant' as const, 'grant' as const, 'refuse' as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('cut' as const, 'mine' as const, 'wait' as const, 'wait' as const) }) },
)

/** One granted subscription. */
interface Listening {
  readonly client: TestClient
  readonly topic: number
  readonly id: string
}

class Play {
  readonly node = new ScriptedSocketNode()
  readonly made = socketUpstream([this.node])
  readonly clients: TestClient[] = []
  listening: Listening[] = []
  private readonly asked: Promise<unknown>[] = []
  private held: { readonly call: SocketCall; readonly say: (text: string) => void }[] = []
  private isHolding = true

  async begin(): Promise<void> {
    await this.node.start()
    for (let i = 0; i < 4; i++) this.clients.push(this.made.client())
    this.node.handlers.set('eth_subscribe', (call) => {
      if (!this.isHolding) return undefined
      return new Promise((say) => void this.held.push({ call, say }))
    })
  }

  async take(action: Action): Promise<void> {
    if (action.do === 'subscribe') this.subscribe(this.clients[action.client]!, action.topic)
    else if (action.do === 'unsubscribe') await this.unsubscribe(this.clients[action.client]!, action.which)
    else if (action.do === 'leave') this.leave(action.client)
    else if (action.do === 'answer') this.answer(action.how)
    else if (action.do === 'cut') this.node.cut()
    else if (action.do === 'mine') this.node.chain.mine()
    else await turn()
  }

  /** From now on the node answers at once; resolves when all has come to rest. */
  async settle(): Promise<void> {
    this.isHolding = false
    while (this.held.length > 0) this.answer('grant')
    await Promise.all(this.asked)
    const topics = new Set(this.listening.map(({ topic }) => topic))
    await until(() => this.node.subscriptions.size === topics.size && this.held.length === 0)
    await until(async () => (await this.made.metric('tollgate_upstream_subscriptions{upstream="test"}')) === topics.size)
  }

  private subscribe(client: TestClient, topic: number): void {
    const asked = client.ask('eth_subscribe', TOPICS[topic]).then((said) => {
      if (said.startsWith('result ') && client.closed === undefined) this.listening.push({ client, topic, id: said.slice('result '.length) })
    })
    this.asked.push(asked)
  }

  private async unsubscribe(client: TestClient, which: number): Promise<void> {
    const other = this.listening[which % Math.max(1, this.listening.length)]
    if (other === undefined) return
    const said = await client.ask('eth_unsubscribe', `[${other.id}]`)
    const isOwn = other.client === client && client.closed === undefined
    expect(said).toBe(`result ${isOwn}`)
    if (isOwn) this.listening = this.listening.filter((each) => each !== other)
  }

  private leave(at: number): void {
    const client = this.clients[at]!
    client.leave(1006)
    this.listening = this.listening.filter((each) => each.client !== client)
    this.clients[at] = this.made.client()
  }

  private answer(how: 'grant' | 'refuse'): void {
    const next = this.held.shift()
    if (next === undefined) return
    const isAlive = next.call.socket!.readyState === next.call.socket!.OPEN
    next.say((how === 'grant' && isAlive ? this.node.usual(next.call) : refusal('no')(next.call, this.node)) as string)
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, 2))
}

test('subscriptions, however they race', { timeout: 60_000 }, async () => {
  const plays = fc.asyncProperty(fc.array(action, { minLength: 4, maxLength: 30 }), async (actions) => {
    const play = new Play()
    await play.begin()
    try {
      for (const each of actions) await play.take(each)
      await play.settle()

      const { listening, node } = play
      expect(new Set(listening.map(({ id }) => id)).size).toBe(listening.length)
      expect(await play.made.metric('tollgate_client_subscriptions{upstream="test"}')).toBe(listening.length)
      const before = new Map(listening.map((each) => [each, each.client.events(each.id).length]))
      const total = play.clients.map((each) => each.notifications.length)
      node.chain.mine()
      for (const [id, { params }] of node.subscriptions) if (params[0] !== 'newHeads') node.notify(id, '{"number":"0x0"}')
      await until(() => listening.every((each) => each.client.events(each.id).length > before.get(each)!))
      await turn()
      for (const each of listening) {
        expect(each.client.events(each.id)).toHaveLength(before.get(each)! + 1)
        const { received } = each.client
        const answeredAt = received.indexOf(`answer result ${each.id}`)
        expect(answeredAt).toBeGreaterThanOrEqual(0)
        expect(received.findIndex((text) => text.includes(`"subscription":${each.id}`))).toBeGreaterThan(answeredAt)
        const heads = each.client.heads(each.id)
        if (each.topic === 0) expect(heads).toEqual(range(heads[0]!, node.chain.head))
      }
      for (const [at, each] of play.clients.entries()) {
        const own = listening.filter((other) => other.client === each).length
        expect(each.notifications.length).toBe(total[at]! + own)
      }
      for (const each of play.clients) each.leave()
      await node.until(() => node.subscriptions.size === 0)
    } finally {
      await play.node.stop()
      await play.made.upstream.close()
    }
  })
  await fc.assert(plays, { numRuns: 60 })
})
