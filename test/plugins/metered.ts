/** A gateway before a scripted node, its clock held by the test. */
import { onTestFinished } from 'vitest'
import { basic, basicFiles, startTestGateway } from '../support/gateway.ts'
import { startScriptedNode } from '../support/scripted-node.ts'
import type { Config, TestGateway } from '../support/gateway.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'

export interface Metered {
  readonly gateway: TestGateway
  readonly node: ScriptedNode
  /** Epoch milliseconds. */
  readonly clock: { ms: number }
  /** Asks one call; an empty key sends none. */
  readonly ask: (method: string, key?: string) => Promise<Asked>
  /** Asks the calls as one batch. */
  readonly askAll: (methods: readonly string[], key?: string) => Promise<Asked>
}

interface Asked {
  readonly status: number
  readonly headers: Headers
  /** `ok`, or `error.data.reason`; of a batch one for each member. */
  readonly outcomes: readonly string[]
  /** The error object of the first call that was refused. */
  readonly error: { readonly code: number; readonly message: string; readonly data: Record<string, unknown> } | undefined
}

/** A moment at which windows of whole seconds and minutes begin. */
const NOON = Date.UTC(2026, 10, 5, 12)

export interface MeteredOptions {
  readonly plugins?: Readonly<Record<string, Config | undefined>>
  readonly top?: Config
  readonly route?: Config
  readonly at?: number
}

export async function startMetered({ plugins = {}, top = {}, route = {}, at = NOON }: MeteredOptions = {}): Promise<Metered> {
  const clock = { ms: at }
  const node = await startScriptedNode()
  onTestFinished(() => node.stop())
  const gateway = await startTestGateway(basic({ nodeUrl: node.url, plugins, top, route }), { files: basicFiles, now: () => clock.ms })
  onTestFinished(() => gateway.stop())
  const send = async (body: unknown, key: string): Promise<Asked> => {
    const { status, headers, json } = await gateway.post('/eth', JSON.stringify(body), key === '' ? {} : { apikey: key })
    const answers = [json].flat() as { error?: Asked['error'] }[]
    return {
      status,
      headers,
      outcomes: answers.map(({ error }) => (error === undefined ? 'ok' : String(error.data['reason']))),
      error: answers.find(({ error }) => error !== undefined)?.error,
    }
  }
  return {
    gateway,
    node,
    clock,
    ask: (method, key = 'free-key') => send(callOf(method, 1), key),
    askAll: (methods, key = 'free-key') => send(methods.map(callOf), key),
  }
}

function callOf(method: string, id: number): Config {
  return { jsonrpc: '2.0', id, method, params: [] }
}
