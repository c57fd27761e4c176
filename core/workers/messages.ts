/**
 * What the primary process and its workers tell each other, as structured clones over the channel that node:cluster opens.
 * A worker says hello, is told what to serve and where, and says when it serves. Afterwards each may be asked, and answers.
 */
import type { AddressInfo } from 'node:net'
import type { Content, MeterSettings, StoreSpec } from '../config/snapshot.ts'
import type { MeterReply, MeterRequest } from '../meter/remote.ts'
import type { Usage } from '../meter/usage-store.ts'
import type { MetricsDump } from '../observe/exposition.ts'
import type { Piece } from './pieces.ts'

/** A configuration under the number that all workers know it by. */
export interface NumberedContent {
  readonly generation: number
  /** What its files held when the primary found them good: a worker reads none of them. */
  readonly content: Content
}

/** What a worker is to serve. */
export interface Assignment extends NumberedContent {
  /** 1 for the first of `workers`; the one that takes a dead one's place has its number. */
  readonly worker: number
  readonly workers: number
  readonly configFile: string
  readonly listen: { readonly host: string; readonly port: number; readonly reusePort: boolean }
  readonly budgets: Budgets
}

/** Where a worker finds budgets: as the primary was started, whatever the configuration says by now. */
interface Budgets {
  readonly store: StoreSpec
  readonly meter: MeterSettings
  /** What is known of their usage, where they are not the primary's own. */
  readonly usage: readonly Usage[]
}

/** What a worker can be asked, with what it is told and what it answers. */
export interface Questions {
  /** Serve this from now on. Answers what is wrong with it; empty when it is in use. */
  configure: { readonly about: NumberedContent; readonly answer: readonly string[] }
  /** Why traffic should not come to you now; empty when it may. */
  notReady: { readonly about: undefined; readonly answer: readonly string[] }
  metrics: { readonly about: undefined; readonly answer: MetricsDump }
  /** What you know of the nodes. */
  upstreams: { readonly about: undefined; readonly answer: readonly object[] }
}

export type Question = keyof Questions

export type ToWorker =
  /** Ahead of the configuration that it is of. */
  | ({ readonly kind: 'piece' } & Piece)
  | ({ readonly kind: 'serve' } & Assignment)
  | { readonly [Q in Question]: { readonly kind: 'ask'; readonly id: number; readonly question: Q; readonly about: Questions[Q]['about'] } }[Question]
  | { readonly kind: 'meter'; readonly reply: MeterReply }
  | { readonly kind: 'reopen-log' }
  | { readonly kind: 'drain' }

export type FromWorker =
  | { readonly kind: 'hello' }
  | { readonly kind: 'serving'; readonly address: AddressInfo }
  /** It cannot serve, and ends. */
  | { readonly kind: 'failed'; readonly problem: string }
  | { readonly kind: 'answer'; readonly id: number; readonly answer: Questions[Question]['answer'] }
  | { readonly kind: 'meter'; readonly request: MeterRequest }
  /** The last message of a worker that ends in order: all that it counted. */
  | { readonly kind: 'farewell'; readonly metrics: MetricsDump }
