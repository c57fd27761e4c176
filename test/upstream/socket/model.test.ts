/**
 * Whatever clients, node and network do in whatever order: in the end the node has one subscription for each thing that somebody
 * listens to, each listener gets each event once under its own id, after its answer, and nobody else gets anything.
 */
import { array, assert, asyncProperty, constant, constantFrom, nat, oneof, record } from 'fast-check'
import { expect, test } from 'vitest'
import { refusal, ScriptedSocketNode } from '../../support/scripted-socket-node.ts'
import { range, socketUpstream, until } from './fixture.ts'
import type { Arbitrary } from 'fast-check'
import type { SocketCall } from '../../support/scripted-socket-node.ts'
import type { TestClient } from './fixture.ts'

const TOPICS = ['["newHeads"]', '["a"]', '["b",{"c":1}]'] as const

type Action =
  | { readonly do: 'subscribe'; readonly client: number; readonly topic: number }
  | { readonly do: 'unsubscribe'; readonly client: number; readonly which: number }
  | { readonly do: 'leave'; readonly client: number }
  | { readonly do: 'answer'; readonly how: 'grant' | 'refuse' }
  | { readonly do: 'cut' | 'mine' | 'wait' }

const client = nat({ max: 3 })
const action: Arbitrary<Action> = oneof(
  { weight: 4, arbitrary: record({ do: constant('subscribe' as const), client, topic: nat({ max: TOPICS.length - 1 }) }) },
  { weight: 3, arbitrary: record({ do: constant('unsubscribe' as const), client, which: nat({ max: 4 }) }) },
  { weight: 1, arbitrary: record({ do: constant('leave' as const), client }) },
  { weight: 3, arbitrary: record({ do: constant('answer' as const), how: constantFrom('grant' as const, 'grant' as const, 'refuse' as const) }) },
  { weight: 4, arbitrary: record({ do: constantFrom('cut' as const, 'mine' as const, 'wait' as const, 'wait' as const) }) },
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
  /** What should not have been, in words. */
  readonly wrong: string[] = []
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

  /** One more event for each subscription: who gets it, and what was got before. */
  async judge(): Promise<void> {
    const { clients, listening, node } = this
    this.claim(new Set(listening.map(({ id }) => id)).size === listening.length, 'two listeners have the same id')
    this.claim((await this.made.metric('tollgate_client_subscriptions{upstream="test"}')) === listening.length, 'the gauge is wrong')
    const before = new Map(listening.map((each) => [each, each.client.events(each.id).length]))
    const totals = clients.map((each) => each.notifications.length)
    node.chain.mine()
    for (const [id, { params }] of node.subscriptions) if (params[0] !== 'newHeads') node.notify(id, '{"number":"0x0"}')
    await until(() => listening.every((each) => each.client.events(each.id).length > before.get(each)!))
    await turn()
    for (const each of listening) this.judgeListening(each, before.get(each)!)
    for (const [at, client] of clients.entries()) {
      const own = listening.filter((each) => each.client === client).length
      this.claim(client.notifications.length === totals[at]! + own, 'a client got what it does not listen to')
    }
  }

  private judgeListening({ client, id, topic }: Listening, before: number): void {
    this.claim(client.events(id).length === before + 1, 'an event came twice')
    const answeredAt = client.received.indexOf(`answer result ${id}`)
    const firstAt = client.received.findIndex((text) => text.includes(`"subscription":${id}`))
    this.claim(answeredAt >= 0 && firstAt > answeredAt, 'a notification came before the answer')
    const heads = client.heads(id)
    const isWhole = topic !== 0 || heads.join() === range(heads[0]!, this.node.chain.head).join()
    this.claim(isWhole, `heads came as ${heads.join()}`)
  }

  private claim(isSo: boolean, otherwise: string): void {
    if (!isSo) this.wrong.push(otherwise)
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
    this.claim(said === `result ${isOwn}`, `unsubscribing answered ${said}`)
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
  const plays = asyncProperty(array(action, { minLength: 4, maxLength: 30 }), async (actions) => {
    const play = new Play()
    await play.begin()
    try {
      for (const each of actions) await play.take(each)
      await play.settle()
      await play.judge()
      expect(play.wrong).toEqual([])
      for (const each of play.clients) each.leave()
      await play.node.until(() => play.node.subscriptions.size === 0)
    } finally {
      await play.node.stop()
      await play.made.upstream.close()
    }
  })
  await assert(plays, { numRuns: 60 })
})
