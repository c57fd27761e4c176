/**
 * One request to one node: from the bytes that are sent to an answer or a failure for every call in it. It always
 * ends: with the answer, with the node's failure, or when time is up. Being undici's handler itself, it
 * makes no stream, and one timer.
 */
import { AnswerBody } from './answer-body.ts'
import { CONNECT_TIMEOUT } from './connector.ts'
import { failures } from './failures.ts'
import { pairAnswers } from './pair-answers.ts'
import type { Dispatcher } from 'undici'
import type { Room } from '../pipeline/ports.ts'
import type { PluginLog } from '../plugin/define.ts'
import type { CounterHandle, HistogramHandle } from '../plugin/metrics.ts'
import type { UpstreamRequest } from '../plugin/session.ts'
import type { BodyReader } from './answer-body.ts'
import type { Answer, Why } from './failures.ts'
import type { HttpNode } from './http-node.ts'
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
  readonly body: Buffer
}

/** With which undici is told to let go of a request; one for all, a stack trace would cost more than the request. */
const DROPPED = new Error('dropped')

export class HttpAttempt implements Dispatcher.DispatchHandler, BodyReader {
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
  private controller: Dispatcher.DispatchController | undefined
  private answerBody: AnswerBody | undefined
  private timer: NodeJS.Timeout | undefined

  constructor(owner: AttemptOwner, node: HttpNode, carried: Carried, terms: AttemptTerms, deadlineAt: number) {
    this.owner = owner
    this.node = node
    this.carried = carried
    this.terms = terms
    this.deadlineAt = deadlineAt
    this.startedAt = this.progressAt = terms.monotonicMs()
  }

  send(rewrite: UpstreamRequest): void {
    this.terms.counts.attempts.value++
    this.terms.counts.inFlight.value++
    this.watch(this.startedAt)
    this.node.dispatch(this.carried.body, rewrite, this)
  }

  /** Lets go of the request and its connection; the owner hears nothing more. */
  drop(): void {
    if (this.isOver) return
    this.settle()
    this.letGo()
  }

  // The connection is there, and the request is about to be written.
  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.isOver) throw DROPPED // undici then keeps the connection for another request
    this.controller = controller
    this.isSent = true
    this.progressAt = this.terms.monotonicMs()
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: Readonly<Record<string, string | string[] | undefined>>): void {
    if (this.isOver || status < 200) return
    this.progressAt = this.terms.monotonicMs()
    this.status = status
    if (status === 429 || status === 503) this.retryAfterMs = retryAfter(headers['retry-after'], headers['date'])
    const encoding = headers['content-encoding']
    const isGzip = encoding === 'gzip' || encoding === 'x-gzip'
    if (!isGzip && encoding !== undefined && encoding !== 'identity') return this.bodyFailed('bad-encoding')
    const { maxAnswerBytes } = this.terms.spec
    if (Number(headers['content-length']) > maxAnswerBytes) return this.bodyFailed('too-large')
    this.answerBody = new AnswerBody(this, isGzip, maxAnswerBytes, this.terms.room)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.isOver) return
    this.progressAt = this.terms.monotonicMs()
    if (this.answerBody?.push(chunk) === false) controller.pause()
  }

  onResponseEnd(): void {
    if (!this.isOver) this.answerBody?.end()
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: NodeJS.ErrnoException): void {
    if (!this.isOver) this.fail(this.isSent ? whySent(error) : whyUnsent(error), error.code)
  }

  bodyRead(bytes: Buffer): void {
    if (this.isOver) return
    const answers = pairAnswers(bytes, this.status, this.carried.firstId, this.carried.count)
    this.settle()
    this.owner.attempted(answers)
  }

  bodyFailed(why: Why): void {
    if (!this.isOver) this.fail(why, undefined)
  }

  bodyDrained(): void {
    this.controller?.resume()
  }

  /** `code` is what the log may know beside the word: a system's error code. */
  private fail(why: Why, code: string | undefined): void {
    this.settle()
    this.letGo()
    const { log, spec } = this.terms
    if (log.isEnabled('debug')) log.debug({ upstream: spec.id, node: this.node.position, why, code }, 'a request to a node failed')
    this.owner.attempted(Array.from({ length: this.carried.count }, () => failures[why]))
  }

  private settle(): void {
    this.isOver = true
    clearTimeout(this.timer)
    const { counts, monotonicMs } = this.terms
    counts.inFlight.value--
    counts.duration.observe((monotonicMs() - this.startedAt) / 1000)
    this.node.release()
  }

  private letGo(): void {
    this.answerBody?.drop()
    this.controller?.abort(DROPPED)
  }

  /** The timer is not moved with every chunk: when it fires it looks whether time is really up, and waits on if not. */
  private watch(now: number): void {
    const { readTimeoutMs } = this.terms.spec
    const dueMs = Math.min(this.progressAt + readTimeoutMs, this.deadlineAt) - now
    this.timer = setTimeout(checkTime, Math.max(1, Math.ceil(dueMs)), this)
  }

  checkTime(): void {
    const now = this.terms.monotonicMs()
    if (now >= this.deadlineAt) this.fail('total-timeout', undefined)
    else if (now >= this.progressAt + this.terms.spec.readTimeoutMs) this.fail(this.isSent ? 'read-timeout' : 'no-connection', undefined)
    else this.watch(now)
  }
}

function checkTime(attempt: HttpAttempt): void {
  attempt.checkTime()
}

/** Seconds, or a date that is compared with the node's own clock. Undefined for anything else. */
function retryAfter(value: string | string[] | undefined, date: string | string[] | undefined): number | undefined {
  if (typeof value !== 'string') return undefined
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.parse(String(date))
  return ms >= 0 ? ms : undefined
}

function whyUnsent({ code }: NodeJS.ErrnoException): Why {
  if (code === CONNECT_TIMEOUT || code === 'ETIMEDOUT') return 'connect-timeout'
  return code === 'UND_ERR_INVALID_ARG' || code === 'UND_ERR_NOT_SUPPORTED' ? 'bad-rewrite' : 'connect-failed'
}

function whySent({ name, code }: NodeJS.ErrnoException): Why {
  return name === 'HTTPParserError' || code === 'UND_ERR_HEADERS_OVERFLOW' ? 'not-http' : 'connection-lost'
}
