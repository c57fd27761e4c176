/** The call behind the plugins' view of it: one entry of a frame, from decoding to its answer. */
import { RpcFault, RpcRequest } from '../jsonrpc/frame.ts'
import { jsonWire } from '../jsonrpc/wire.ts'
import { freeze } from '../plugin/freeze.ts'
import { refuse } from '../plugin/outcome.ts'
import { cost } from '../plugin/slots.ts'
import { ParamsReader } from './params.ts'
import type { Draw } from '../plugin/budget.ts'
import type { Outcome } from '../plugin/outcome.ts'
import type { Call, FrameView, Session } from '../plugin/session.ts'
import type { Slot } from '../plugin/slots.ts'

const NO_DRAWS: readonly Draw[] = []

export class LiveCall implements Call {
  readonly session: Session
  readonly frame: FrameView
  /** What goes upstream; undefined where the entry was no request. */
  request: RpcRequest | undefined
  /** What goes upstream in place of `request`, where the call is asked in parts. */
  parts: readonly RpcRequest[] | undefined
  readonly method: string
  readonly isNotification: boolean
  /** Source text of the id that the answer carries. */
  readonly id: string
  outcome: Outcome | undefined
  decidedBy: string | undefined
  draws: readonly Draw[] = NO_DRAWS
  /** What the call turned out to cost, where a plugin said so. */
  settled: number | undefined

  private readonly values: unknown[] = []
  private readonly reader: ParamsReader
  private parsed: { readonly value: unknown } | undefined

  constructor(session: Session, frame: FrameView, entry: RpcRequest | RpcFault, reader: ParamsReader = new ParamsReader()) {
    this.reader = reader
    this.session = session
    this.frame = frame
    if (entry instanceof RpcFault) {
      this.request = undefined
      this.method = ''
      this.isNotification = false
      this.id = entry.id
      this.outcome = refuse(entry.name, entry.why, entry.status === undefined ? { message: entry.message } : { message: entry.message, status: entry.status })
    } else {
      this.request = entry
      this.method = entry.method
      this.isNotification = entry.id === undefined
      this.id = entry.id ?? 'null'
    }
  }

  get params(): unknown {
    if (this.request === undefined) return undefined
    this.parsed ??= { value: this.reader.read(this.request) }
    return this.parsed.value
  }

  get paramsText(): string | undefined {
    return this.request?.paramsText
  }

  replaceParams(value: unknown): void {
    if (this.request === undefined) return
    this.request = withParams(this.request, value)
    this.parsed = { value: freeze(value) }
  }

  askInParts(paramsOfParts: readonly unknown[]): void {
    const { request } = this
    if (request !== undefined) this.parts = paramsOfParts.map((params) => withParams(request, params))
  }

  get charged(): number {
    if (this.outcome === undefined || this.outcome.kind === 'refusal') return 0
    return this.settled ?? this.get(cost) ?? 0
  }

  get<T>(slot: Slot<T, 'call'>): T | undefined {
    return this.values[slot.index] as T | undefined
  }

  set<T>(slot: Slot<T, 'call'>, value: T): void {
    this.values[slot.index] = value
  }

  settle(cost: number): void {
    if (!(cost >= 0 && cost < Infinity)) throw new RangeError(`a call cannot cost ${cost}`)
    this.settled = cost
  }

  decide(outcome: Outcome, by: string | undefined): void {
    this.outcome = outcome
    this.decidedBy = by
  }
}

function withParams({ id, method, methodText }: RpcRequest, params: unknown): RpcRequest {
  return new RpcRequest(id, method, methodText, jsonWire(params))
}
