/**
 * One request to one node: from the bytes that are sent to an answer or a failure for every call in it. It always
 * ends: with the answer, with the node's failure, or when time is up.
 */
import { TURN_BYTES } from '../jsonrpc/reply.ts'
import { AnswerBody } from './answer-body.ts'
import { failures } from './failures.ts'
import { pairAnswers } from './pair-answers.ts'
import type { ReplyReader } from '../jsonrpc/reply.ts'
import type { PluginLog } from '../plugin/define.ts'
import type { CounterHandle, HistogramHandle } from '../plugin/metrics.ts'
import type { Room } from '../plugin/room.ts'
import type { UpstreamRequest } from '../plugin/session.ts'
import type { BodyReader } from './answer-body.ts'
import type { Dated, Deadlines } from './deadlines.ts'
import type { Answer, Why } from './failures.ts'
import type { HttpNode } from './http-node.ts'
import type { Connection, NoResponse } from './http1/connection.ts'
import type { Applicant, NoConnection } from './http1/origin.ts'
import type { ResponseHead } from './http1/response-head.ts'
import type { UpstreamSpec } from './spec.ts'

/** Where attempts are counted. */
export interface AttemptCounts {
  readonly attempts: CounterHandle
  readonly inFlight: CounterHandle
  readonly duration: HistogramHandle
  failed(why: string): void
}

/** What all attempts of one upstream share. */
export interface AttemptTerms {
  readonly spec: UpstreamSpec
  readonly counts: AttemptCounts
  readonly log: PluginLog
  readonly room: Room
  readonly monotonicMs: () => number
  readonly deadlines: Deadlines
}

/** Who asked. */
export interface AttemptOwner {
  /** An answer or a failure for every call, in order. Called once, or never when the attempt was dropped. */
  attempted(answers: readonly Answer[]): void
}

/** The calls that an attempt carries: their ids are consecutive. */
export interface Carried {
  readonly firstId: number
  readonly count: number
  /** One character per byte. */
  readonly body: string
  /** Whether all of them only read. */
  readonly isRead: boolean
}

export class HttpAttempt implements Applicant, BodyReader, Dated {
  private readonly owner: AttemptOwner
  private readonly node: HttpNode
  private readonly carried: Carried
  private readonly terms: AttemptTerms
  private readonly deadlineAt: number
  private readonly startedAt: number
  /** When the node last gave a sign of life. */
  private progressAt: number
  private isSent = false
  private isOver = false
  /** HTTP status of the answer; 0 until there is one. */
  status = 0
  /** What the node's Retry-After asks for (RFC 9110 section 10.2.3). */
  retryAfterMs: number | undefined
  /** While a response may come on it. */
  private connection: Connection | undefined
  private text = ''
  private answerBody: AnswerBody | undefined
  private turnBytes = 0
  place = -1

  constructor(owner: AttemptOwner, node: HttpNode, carried: Carried, terms: AttemptTerms, deadlineAt: number) {
    this.owner = owner
    this.node = node
    this.carried = carried
    this.terms = terms
    this.deadlineAt = deadlineAt
    this.startedAt = this.progressAt = terms.monotonicMs()
  }

  get mayRepeat(): boolean {
    return this.carried.isRead
  }

  send(rewrite: UpstreamRequest): void {
    this.terms.counts.attempts.value++
    this.terms.counts.inFlight.value++
    this.terms.deadlines.add(this)
    this.node.enter()
    const text = this.node.requestText(this.carried.body, rewrite)
    this.text = text ?? ''
    if (text === undefined) this.fail('bad-rewrite', undefined)
    else this.node.apply(this, this.startedAt)
  }

  /** Lets go of the request and its connection; the owner hears nothing more. */
  drop(): void {
    if (this.isOver) return
    this.settle(this.terms.monotonicMs())
    this.letGo()
  }

  connected(connection: Connection, nowMs: number): boolean {
    if (this.isOver) return false
    this.connection = connection
    this.isSent = true
    this.progressAt = nowMs
    connection.send(this.text, this)
    return true
  }

  unconnected(why: NoConnection, code: string | undefined): void {
    if (!this.isOver) this.fail(why, code)
  }

  head({ status, framing, encoding, retryAfter, date }: ResponseHead): void {
    this.progressAt = this.connection!.readAtMs
    this.status = status
    if (status === 429 || status === 503) this.retryAfterMs = retryAfterMs(retryAfter, date)
    const isGzip = encoding === 'gzip' || encoding === 'x-gzip'
    if (!isGzip && encoding !== undefined && encoding !== 'identity') return this.bodyFailed('bad-encoding')
    const { maxAnswerBytes } = this.terms.spec
    const announcedBytes = typeof framing === 'number' ? framing : 0
    if (announcedBytes > maxAnswerBytes) return this.bodyFailed('too-large')
    this.answerBody = new AnswerBody(this, isGzip, announcedBytes, maxAnswerBytes, this.terms.room)
  }

  data(bytes: Buffer): void {
    this.progressAt = this.connection!.readAtMs
    this.turnBytes += bytes.length
    if (this.answerBody?.push(bytes) === false) this.connection?.pause()
    else if (this.turnBytes >= TURN_BYTES) this.letOthers()
  }

  private letOthers(): void {
    this.turnBytes = 0
    this.connection?.pause()
    setImmediate(() => this.connection?.resume())
  }

  ended(): void {
    this.connection = undefined
    if (!this.isOver) this.answerBody?.end()
  }

  failed(why: NoResponse, code: string | undefined): void {
    this.connection = undefined
    if (!this.isOver) this.fail(why, code)
  }

  bodyRead(whole: Buffer, read: ReplyReader | undefined): void {
    if (this.isOver) return
    const answers = pairAnswers(whole, this.status, this.carried.firstId, this.carried.count, read)
    this.settle(this.progressAt)
    this.owner.attempted(answers)
  }

  bodyFailed(why: Why): void {
    if (!this.isOver) this.fail(why, undefined)
  }

  bodyDrained(): void {
    this.connection?.resume()
  }

  /** `code` is what the log may know beside the word: a system's error code. */
  private fail(why: Why, code: string | undefined): void {
    this.settle(this.terms.monotonicMs())
    this.letGo()
    const { log, spec } = this.terms
    if (log.isEnabled('debug')) log.debug({ upstream: spec.id, node: this.node.position, why, code }, 'a request to a node failed')
    this.owner.attempted(Array.from({ length: this.carried.count }, () => failures[why]))
  }

  private settle(endedAt: number): void {
    this.isOver = true
    const { counts, deadlines } = this.terms
    deadlines.remove(this)
    counts.inFlight.value--
    counts.duration.observe((endedAt - this.startedAt) / 1000)
    this.node.leave()
  }

  private letGo(): void {
    this.answerBody?.drop()
    this.connection?.cut()
    this.connection = undefined
  }

  checkTime(nowMs: number): void {
    if (nowMs >= this.deadlineAt) this.fail('total-timeout', undefined)
    else if (nowMs >= this.progressAt + this.terms.spec.readTimeoutMs) this.fail(this.isSent ? 'read-timeout' : 'no-connection', undefined)
  }
}

/** Seconds, or a date that is compared with the node's own clock. Undefined for anything else. */
function retryAfterMs(value: string | undefined, date: string | undefined): number | undefined {
  if (value === undefined) return undefined
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.parse(String(date))
  return ms >= 0 ? ms : undefined
}
