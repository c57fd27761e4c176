/** A worker's end of the channel to the primary. When the primary is gone node:cluster ends the worker at once. */
import cluster from 'node:cluster'
import { Pieces } from './pieces.ts'
import type { Worker } from 'node:cluster'
import type { MeterReply } from '../meter/remote.ts'
import type { Assignment, FromWorker, NumberedContent, Question, Questions, ToWorker } from './messages.ts'

/** What the primary may want of a worker. */
export interface WorkerDuties {
  readonly answers: { readonly [Q in Question]: (about: Questions[Q]['about']) => Questions[Q]['answer'] | Promise<Questions[Q]['answer']> }
  meterReply(reply: MeterReply): void
  reopenLog(): void
  drain(): void
}

export class PrimaryLink {
  readonly #channel: Worker
  readonly #pieces = new Pieces()
  /** What came before there was anybody to do it. */
  #early: ToWorker[] = []
  #duties: WorkerDuties | undefined
  #assigned: (assignment: Assignment) => void = () => undefined

  constructor() {
    this.#channel = cluster.worker!
    this.#channel.on('message', (message: ToWorker) => this.#receive(message))
  }

  /** Says hello, and resolves with what is to be served. */
  async hello(): Promise<Assignment> {
    const assigned = new Promise<Assignment>((resolve) => (this.#assigned = resolve))
    await this.send({ kind: 'hello' })
    return assigned
  }

  /** Does from now on what the primary asks for. */
  serve(duties: WorkerDuties): void {
    this.#duties = duties
    for (const message of this.#early.splice(0)) this.#receive(message)
  }

  /** Resolves once the message is on its way, or can no longer be sent. */
  send(message: FromWorker): Promise<void> {
    return new Promise((resolve) => {
      if (!this.#channel.isConnected()) return resolve()
      this.#channel.send(message, () => resolve())
    })
  }

  #receive(message: ToWorker): void {
    if (message.kind === 'piece') return this.#pieces.add(message)
    if (message.kind === 'serve') return this.#assigned(this.#whole(message))
    const duties = this.#duties
    if (message.kind === 'ask' && message.question === 'configure') message = { ...message, about: this.#whole(message.about) }
    if (duties === undefined) this.#early.push(message)
    else if (message.kind === 'ask') void this.#answer(message, duties)
    else if (message.kind === 'meter') duties.meterReply(message.reply)
    else if (message.kind === 'reopen-log') duties.reopenLog()
    else duties.drain()
  }

  #whole<T extends NumberedContent>(configuration: T): T {
    return { ...configuration, content: this.#pieces.putTogether(configuration.content) }
  }

  async #answer({ id, question, about }: Extract<ToWorker, { kind: 'ask' }>, { answers }: WorkerDuties): Promise<void> {
    await this.send({ kind: 'answer', id, answer: await answers[question](about as never) })
  }
}
