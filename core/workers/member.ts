/**
 * One place in the workforce: the process that holds it, and the next one when that has died. The next one is started
 * after a pause that doubles while processes die young. A process that no longer answers is killed: on a port that several
 * listen on, connections that the system gives to it would wait for ever.
 */
import cluster from 'node:cluster'
import { takeApart } from './pieces.ts'
import type { Worker } from 'node:cluster'
import type { AddressInfo } from 'node:net'
import type { Content } from '../config/snapshot.ts'
import type { PluginLog } from '../plugin/define.ts'
import type { CounterHandle } from '../plugin/metrics.ts'
import type { MetricsDump } from '../observe/exposition.ts'
import type { Assignment, FromWorker, NumberedContent, Question, Questions, ToWorker } from './messages.ts'
import type { MeterReply, MeterRequest } from '../meter/remote.ts'

/** The first pause before a dead process is replaced, and the longest. */
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 10_000
/** A process that has served for so long did not die of how it was started. */
const STEADY_MS = 10_000
/** How often a process is asked whether it is ready. */
const ASK_EVERY_MS = 1000
/** A process that has not begun to serve by then never will. With a million consumers, and as many workers as CPUs, it takes a minute. */
const STARTS_WITHIN_MS = 300_000

/** What a member needs of the workforce. */
export interface MemberDeps {
  /** What is to be served, whenever a process says hello. */
  assignment(member: number): Assignment
  /** Does what a worker asks of budgets; answers undefined where nothing is to be said. */
  meter(request: MeterRequest, worker: number): MeterReply | undefined
  /** A process serves. */
  serves(): void
  /** A process has ended: what it counted, as far as that is known. */
  ended(metrics: MetricsDump | undefined, hasServed: boolean, worker: number): void
  readonly log: PluginLog
  readonly restarts: CounterHandle
  /** How long a process that serves may say nothing before it is taken to hang, in milliseconds. */
  readonly hangsAfterMs: number
}

type State = 'starting' | 'serving' | 'ended'

export class Member {
  readonly number: number
  /** What it counted when it was last asked. */
  metrics: MetricsDump | undefined
  readonly #deps: MemberDeps
  readonly #asked = new Map<number, (answer: Questions[Question]['answer'] | undefined) => void>()
  #process: Worker | undefined
  /** Resolves once the process was told of all configurations that it is to be told of. */
  #told = Promise.resolve()
  #state: State = 'ended'
  #isKnown = false
  #problem: string | undefined
  #reasons: readonly string[] = []
  #nextId = 0
  #youngDeaths = 0
  #servingSince = 0
  #heardAt = 0
  #timer: NodeJS.Timeout | undefined
  #isStopping = false
  #whenServing: ((address: AddressInfo) => void) | undefined
  #whenEnded: ((problem: string) => void)[] = []

  constructor(number: number, deps: MemberDeps) {
    this.number = number
    this.#deps = deps
  }

  /** Starts the first process. Rejects with what kept it from serving, and does not start another then. */
  start(): Promise<AddressInfo> {
    return new Promise((resolve, reject) => {
      this.#whenServing = resolve
      this.#whenEnded.push((problem) => reject(new Error(problem)))
      this.#fork()
    })
  }

  get isServing(): boolean {
    return this.#state === 'serving'
  }

  /** Why traffic should not come to it, as it said when it was last asked. */
  get notReady(): readonly string[] {
    return this.isServing ? this.#reasons : [`worker ${this.number} does not serve`]
  }

  /** Asks the process. Resolves with undefined where there is none, and when it ends without an answer. */
  ask<Q extends Exclude<Question, 'configure'>>(question: Q, about: Questions[Q]['about']): Promise<Questions[Q]['answer'] | undefined> {
    return this.#answer<Q>((id) => this.tell({ kind: 'ask', id, question, about }))
  }

  /** Has the process serve this. Resolves like `ask`. */
  configure({ generation, content }: NumberedContent): Promise<Questions['configure']['answer'] | undefined> {
    return this.#answer<'configure'>((id) =>
      this.#tellOf(content, (rest) => ({ kind: 'ask', id, question: 'configure', about: { generation, content: rest } })),
    )
  }

  #answer<Q extends Question>(ask: (id: number) => void): Promise<Questions[Q]['answer'] | undefined> {
    if (!this.#isKnown) return Promise.resolve(undefined)
    const id = this.#nextId++
    return new Promise((resolve) => {
      this.#asked.set(id, resolve)
      ask(id)
    })
  }

  /** Tells the process, if there is one. */
  tell(message: ToWorker): void {
    void this.#send(message)
  }

  /** Resolves once the message is on its way, or can no longer be sent. */
  #send(message: ToWorker): Promise<void> {
    return new Promise((resolve) => {
      if (this.#process?.isConnected()) this.#process.send(message, () => resolve())
      else resolve()
    })
  }

  /** Tells the process of a configuration: what is large of it first, piece by piece, and of one configuration after the other. */
  #tellOf(content: Content, message: (rest: Content) => ToWorker): void {
    const { pieces, rest } = takeApart(content)
    const addressee = this.#process
    this.#told = this.#told.then(async () => {
      for (const piece of pieces) if (this.#process === addressee) await this.#send({ kind: 'piece', ...piece })
      if (this.#process === addressee) await this.#send(message(rest))
    })
  }

  /** Lets the process answer what it has begun, and starts no other. Resolves once it has ended; one that takes longer than `graceMs` is killed. */
  stop(graceMs: number): Promise<void> {
    this.#isStopping = true
    clearTimeout(this.#timer)
    if (this.#process === undefined) return Promise.resolve()
    if (this.isServing) this.tell({ kind: 'drain' })
    else this.kill()
    const cut = setTimeout(() => this.kill(), graceMs)
    return new Promise((resolve) => {
      this.#whenEnded.push(() => {
        clearTimeout(cut)
        resolve()
      })
    })
  }

  kill(): void {
    this.#process?.kill('SIGKILL')
  }

  #fork(): void {
    this.#state = 'starting'
    this.#problem = undefined
    this.#heardAt = performance.now()
    let forked: Worker
    try {
      forked = cluster.fork()
    } catch (error) {
      return this.#ended(String(error)) // the system has no room for another process
    }
    this.#process = forked
    this.#told = Promise.resolve()
    forked.on('message', (message: FromWorker) => this.#receive(message))
    forked.on('error', () => undefined) // told while it was ending
    const exited = new Promise<string>((resolve) => forked.once('exit', (code: number | null, signal: string | null) => resolve(signal ?? `code ${code}`)))
    const silent = new Promise<void>((resolve) => forked.once('disconnect', resolve)) // its last words may come after its exit
    void Promise.all([exited, silent]).then(([how]) => this.#ended(how))
    this.#timer = setInterval(() => this.#look(), ASK_EVERY_MS)
  }

  #receive(message: FromWorker): void {
    this.#heardAt = performance.now()
    if (message.kind === 'hello') this.#assign()
    else if (message.kind === 'serving') this.#serves(message.address)
    else if (message.kind === 'failed') this.#problem = message.problem
    else if (message.kind === 'farewell') this.metrics = message.metrics
    else if (message.kind === 'answer') this.#answered(message.id, message.answer)
    else {
      const reply = this.#deps.meter(message.request, this.number)
      if (reply !== undefined) this.tell({ kind: 'meter', reply })
    }
  }

  #assign(): void {
    this.#isKnown = true
    const { content, ...assignment } = this.#deps.assignment(this.number)
    this.#tellOf(content, (rest) => ({ kind: 'serve', ...assignment, content: rest }))
  }

  #serves(address: AddressInfo): void {
    this.#state = 'serving'
    this.#servingSince = performance.now()
    this.#reasons = []
    this.#deps.serves()
    this.#deps.log.info({ worker: this.number, pid: this.#process?.process.pid }, 'a worker serves')
    this.#whenServing?.(address)
    this.#whenServing = undefined
    this.#whenEnded = []
  }

  #answered(id: number, answer: Questions[Question]['answer'] | undefined): void {
    this.#asked.get(id)?.(answer)
    this.#asked.delete(id)
  }

  /** Asks whether it is ready, and kills a process that has not said anything for too long. */
  #look(): void {
    if (performance.now() - this.#heardAt > (this.isServing ? this.#deps.hangsAfterMs : STARTS_WITHIN_MS)) {
      this.#deps.log.error({ worker: this.number }, 'a worker hangs and is killed')
      this.kill()
    } else if (this.#asked.size === 0) void this.ask('notReady', undefined).then((reasons) => (this.#reasons = reasons ?? []))
  }

  #ended(how: string): void {
    clearInterval(this.#timer)
    const hasServed = this.isServing
    const isSteady = hasServed && performance.now() - this.#servingSince > STEADY_MS
    const problem = this.#problem ?? `worker ${this.number} ended (${how}) before it served`
    const isFirst = this.#whenServing !== undefined
    this.#process = undefined
    this.#state = 'ended'
    this.#isKnown = false
    for (const id of this.#asked.keys()) this.#answered(id, undefined)
    this.#deps.ended(this.metrics, hasServed, this.number)
    this.metrics = undefined
    for (const told of this.#whenEnded.splice(0)) told(problem)
    if (!this.#isStopping && !isFirst) this.#replace(how, isSteady)
  }

  #replace(how: string, isSteady: boolean): void {
    this.#youngDeaths = isSteady ? 1 : this.#youngDeaths + 1
    const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.#youngDeaths - 1))
    this.#deps.log.error({ worker: this.number, ended: how, problem: this.#problem, pause_ms: pauseMs }, 'a worker has ended and is replaced')
    this.#deps.restarts.value++
    this.#timer = setTimeout(() => this.#fork(), pauseMs)
  }
}
