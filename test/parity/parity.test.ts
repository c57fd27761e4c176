/** Runs the table of cases over a transport. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { decodeReplies } from '../../core/jsonrpc/reply.ts'
import { fromWire } from '../../core/jsonrpc/wire.ts'
import { basic, basicFiles, startTestGateway } from '../support/gateway.ts'
import { startScriptedNode } from '../support/scripted-node.ts'
import { overHttp } from './over-http.ts'
import { overWebSocket } from './over-ws.ts'
import { cases, worlds } from './cases.ts'
import type { Config, TestGateway } from '../support/gateway.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'
import type { Transport } from './over-http.ts'
import type { Case, Expected, World } from './cases.ts'

const transports: readonly (readonly [string, Transport])[] = [
  ['HTTP', overHttp],
  ['WebSocket', overWebSocket],
]

/** A clock that stands still: windows do not move while a case runs. */
const NOON = Date.UTC(2026, 0, 15, 12)

const keyOf = (of: Case): string | undefined => (of.caller === 'nobody' ? undefined : of.caller === 'stranger' ? 'no-such-key' : secretOf(cases.indexOf(of)))

const secretOf = (at: number): string => `secret-${at}-of-caller`

/** A plan and a consumer for each case, so that no case draws from another's budget. */
function payers(): Config {
  const paying = cases.flatMap((of, at) => (typeof of.caller === 'string' ? [] : [{ at, caller: of.caller ?? {} }]))
  return {
    plans: paying.map(({ at, caller }) => ({
      id: `plan-${at}`,
      tier: caller.tier ?? 'free',
      seconds_quota: caller.seconds ?? -1,
      monthly_quota: caller.month ?? -1,
    })),
    consumers: paying.map(({ at }) => ({ username: `caller-${at}`, plan: `plan-${at}`, plugins: { 'key-auth': { key: secretOf(at) } } })),
  }
}

async function startWorld(name: keyof typeof worlds): Promise<{ node: ScriptedNode; gateway: TestGateway }> {
  const node = await startScriptedNode({ hasNoBlocks: true })
  const { files = {}, ...world }: World = worlds[name]
  const upstreams = [{ id: 'eth', nodes: [{ url: node.url }], timeout: { connect: '1s', read: '300ms' }, retries: 0 }]
  const config = basic({ nodeUrl: node.url, ...world, top: { upstreams, ...payers() } })
  return { node, gateway: await startTestGateway(config, { files: { ...basicFiles, ...files }, now: () => NOON }) }
}

const listed = (answer: Case['answer']): readonly Expected[] =>
  answer === undefined ? [] : Array.isArray(answer) ? (answer as readonly Expected[]) : [answer as Expected]

/** What came back, in the words of the table; each member as wide as what is expected in its place. */
function told(document: Buffer | undefined, expected: Case['answer']): unknown {
  if (document === undefined) return undefined
  const { isBatch, members } = decodeReplies(document)!
  const answers = members.map((reply, at) => {
    const id = fromWire(reply!.id!)
    if (reply!.result !== undefined) return { id, result: fromWire(String(reply!.result)) }
    const error = fromWire(String(reply!.error))
    if ('error' in (listed(expected)[at] ?? {})) return { id, error }
    const { code, message, data } = JSON.parse(error) as { code: number; message: string; data: { reason: string } }
    return { id, code, reason: data.reason, message, data }
  })
  return isBatch ? answers : answers[0]
}

/** What is expected, with matchers where the table leaves something open. Where a handshake is refused, no frame has told its id. */
function wanted(expected: Case['answer'], isHandshake: boolean): unknown {
  const answers = listed(expected).map((member) => {
    if (!('code' in member)) return member
    const { id, code, reason, message = /./, data = {} } = member
    return { id: isHandshake ? 'null' : id, code, reason, message: expect.stringMatching(message) as unknown, data: expect.objectContaining(data) as unknown }
  })
  return Array.isArray(expected) ? answers : answers[0]
}

/** The headers that a case speaks of, as they came and as they should be. */
function headersOf(of: Case, headers: Headers | undefined): readonly [came: unknown, wanted: unknown] {
  const spokenOf = headers === undefined ? [] : Object.entries(of.headers ?? {})
  const came = spokenOf.map(([name]) => [name, headers!.get(name)])
  return [came, spokenOf.map(([name, value]) => [name, value ?? null])]
}

describe.each(transports)('over %s', (_transport, send) => {
  describe.each(Object.keys(worlds) as (keyof typeof worlds)[])('in the world "%s"', (name) => {
    let node: ScriptedNode
    let gateway: TestGateway
    beforeAll(async () => {
      ;({ node, gateway } = await startWorld(name))
    })
    afterAll(async () => {
      await gateway.stop()
      await node.stop()
    })

    test.each(cases.filter(({ world = 'usual' }) => world === name))('$name', async (of) => {
      const path = `/${of.network ?? 'eth'}`
      const key = keyOf(of)
      for (const frame of of.after ?? []) await send(gateway, path, frame, key)
      const framesBefore = await gateway.metric('tollgate_frames_total')
      const chargedBefore = await gateway.metric('tollgate_cu_charged_total')
      const reachedBefore = node.calls.length
      if (of.node !== undefined) node.next(of.node)

      const answered = await send(gateway, path, of.send, key)

      expect(told(answered.document, of.answer)).toEqual(wanted(of.answer, answered.isHandshake))
      const status = of.status ?? (of.answer === undefined ? 204 : 200)
      expect(answered.status ?? status).toBe(status)
      const [came, due] = headersOf(of, answered.headers)
      expect(came).toEqual(due)
      const reached = node.calls.slice(reachedBefore).map(({ method, params }) => (params === undefined ? method : `${method} ${fromWire(params)}`))
      expect(reached).toEqual(of.reached ?? [])
      // What is counted is counted after the answer is on its way.
      await expect.poll(() => gateway.metric('tollgate_frames_total')).toBe(framesBefore + (answered.isHandshake ? 0 : 1))
      expect((await gateway.metric('tollgate_cu_charged_total')) - chargedBefore).toBe(of.charged ?? 0)
    })
  })
})

test('every world has a case', () => {
  expect(Object.keys(worlds).filter((name) => !cases.some(({ world = 'usual' }) => world === name))).toEqual([])
})

test('the table knows each case by its name', () => {
  expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length)
})
