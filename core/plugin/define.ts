/**
 * The contract between a plugin and the core. A plugin is one file: its schema, its place in the order, and
 * the hooks of the phases in which it has an opinion.
 */
import type { Static, TOptional, TSchema } from 'typebox'
import type { Frame } from '../jsonrpc/frame.ts'
import type { Draw } from './budget.ts'
import type { Places } from './places.ts'
import type { Metrics } from './metrics.ts'
import type { HttpAnswer, Outcome, Refusal } from './outcome.ts'
import type { Call, FrameView, Session } from './session.ts'
import type { Consumer, Slot } from './slots.ts'

/** A schema for each key of a plugin's configuration; the core closes the object. */
export type ConfigSchema = Readonly<Record<string, TSchema>>

/** The configuration as `create` receives it: validated, defaults filled in, undefined where an optional key is missing. */
export type ConfigOf<S extends ConfigSchema> = { readonly [K in keyof S]: S[K] extends TOptional ? Static<S[K]> | undefined : Static<S[K]> }

type Maybe<T> = T | undefined | void
type Soon<T> = T | Promise<T>

/**
 * The hooks of one configured plugin, in the order of a call's life. A hook with no opinion returns undefined.
 * Be synchronous unless something has to be waited for.
 */
export interface Hooks {
  /** Once per session, before a body is read and before a 101 is sent. */
  open?(session: Session): Soon<Maybe<Refusal | HttpAnswer>>
  /** Bytes to frame. Exactly one plugin of a chain has it. Must not throw. */
  decode?(bytes: Uint8Array): Frame
  /** Per call: refuse it, or answer it in the node's place. An answered call is judged by the plugins that follow, and charged, like any other. */
  access?(call: Call): Soon<Maybe<Outcome>>
  /** Per call: name the budgets that it draws on. All of a frame's draws are taken in one atomic step. */
  charge?(call: Call): Maybe<Draw | Refusal>
  /** Per call, in reverse order, once it has an outcome: settle, store, or replace the outcome. */
  reply?(call: Call, outcome: Outcome): Soon<Maybe<Outcome>>
  /** Per subscription notification (WebSocket only): name what it draws on, or return 'drop'. */
  push?(push: Push): Maybe<Draw | 'drop'>
  /** Per frame, after the answer is on its way. */
  log?(frame: FrameView): void
  /** Once per session whose `open` this plugin was asked in, in reverse order; also after a refusal or a throw. */
  close?(session: Session): void
}

/** One subscription notification on its way to a client. */
export interface Push {
  readonly session: Session
  /** The method that subscribed, such as `eth_subscribe`. */
  readonly method: string
  /** The first param of the subscription, such as `newHeads`; '' where there is none. */
  readonly topic: string
  /** Size of the notification in bytes. */
  readonly bytes: number
  /** Its price in CU, 0 until a plugin prices it. */
  cost: number
}

/** How WebSocket sessions are served on the routes that have the plugin which returns this. Checked by its schema. */
export interface WebSocketSettings {
  readonly mode: 'shared' | 'dedicated' | 'http'
  readonly maxInFlight: number
  readonly maxSubscriptions: number
  readonly maxMessageBytes: number
  readonly maxAnswerBytes: number
  readonly maxBufferedBytes: number
  readonly slowConsumer: 'close' | 'drop-oldest'
  readonly maxErrors: number
  readonly pingIntervalMs: number
  readonly maxLifetimeMs: number | undefined
  readonly compression: boolean
  readonly origins: readonly string[] | undefined
}

/** What `create` returns: hooks, and for the one plugin of a chain that opens it to WebSocket, how. */
export interface PluginInstance extends Hooks {
  readonly webSocket?: WebSocketSettings
}

/** A file that a plugin's configuration names: loaded, validated, watched and hot-reloaded by the core. */
export interface PluginFile<T = unknown> {
  /** The document, validated against the file's schema. */
  readonly value: T
  /** Reports a problem at a path inside the file. An 'error' keeps the whole snapshot from being used. */
  report(severity: 'error' | 'warning', path: readonly (string | number)[], message: string, hint?: string): void
}

/** A consumer's entry under a plugin that authenticates. */
export interface Credential<C> {
  /** The consumer's number: `host.consumer` knows who that is. */
  readonly consumer: number
  readonly config: C
}

/** Builds what a plugin finds callers by. There may be a million credentials: keep no more of one than it takes to find it. */
export interface CredentialIndexer<C, Index> {
  /** Takes one credential after the other. */
  add(credential: Credential<C>, report: CredentialReport): Soon<void>
  /** The index, once all have been added. */
  done(): Soon<Index>
}

/** Something that one plugin of a chain tells the others when the chain is built. */
export interface Fact<T> {
  readonly name: string
  /** Carries the type only. */
  readonly of?: T
}

/** A block at the head of a chain. */
export interface ChainHead {
  readonly number: number
  readonly hash: string
  readonly parentHash: string
}

/** What is known of the chain that a network's nodes follow. Nothing in it waits. Listeners end with the snapshot that they were added in. */
export interface ChainView {
  /** The newest block; undefined while none is known. */
  head(): ChainHead | undefined
  /** The number of the newest block that cannot be replaced any more; undefined where that is not known. */
  finalized(): number | undefined
  /** Runs with each new head. */
  onHead(run: (head: ChainHead) => void): void
  /** Runs when the chain has turned: blocks from this number on may be others now. Before `head` answers with one of the new ones. */
  onReorg(run: (fromNumber: number) => void): void
}

/** What a plugin is given when it is created, once per configuration snapshot. */
export interface Host<Files = Record<never, never>, Index = undefined> {
  /** The wall clock in epoch milliseconds. */
  now(): number
  /** Waits; ended early when the gateway stops. */
  delay(ms: number): Promise<void>
  readonly log: PluginLog
  readonly metrics: Metrics
  /** The files that the configuration names, by the key that names them. */
  readonly files: Files
  /** What the plugin's `credential.index` built from all consumers' credentials. */
  readonly credentials: Index
  /** CIDRs of the proxies whose X-Forwarded-For counts, as the top of the configuration lists them. */
  readonly trustedProxies: readonly string[]
  /** The consumer of this username, or of this number, in this snapshot. */
  consumer(which: string | number): Consumer | undefined
  /** The chain behind a network, followed from the first look on. To be asked while the plugin serves: before, and for a network without an upstream, there is none. */
  chain(network: string): ChainView | undefined
  /** Places that all processes share which share budgets: one set of them for the plugin at this place of the configuration. */
  places(): Places
  /** Reports a problem at a path inside the plugin's configuration. */
  report(severity: 'error' | 'warning', path: readonly (string | number)[], message: string, hint?: string): void
  /** Tells the other plugins of the chain something. */
  tell<T>(fact: Fact<T>, value: T): void
  /** Runs `use` with what another plugin told, once the chain is complete; not at all when nobody told it. */
  hear<T>(fact: Fact<T>, use: (value: T) => void): void
}

/** A plugin's log. Fields are structured; never put a secret or a client's text into `message`. */
export interface PluginLog {
  /** Whether lines of this level are written: ask before building a line's fields on a hot path. */
  isEnabled(level: 'debug' | 'info' | 'warn' | 'error'): boolean
  debug(fields: Readonly<Record<string, unknown>>, message: string): void
  info(fields: Readonly<Record<string, unknown>>, message: string): void
  warn(fields: Readonly<Record<string, unknown>>, message: string): void
  error(fields: Readonly<Record<string, unknown>>, message: string): void
}

type FileKeys = Readonly<Record<string, TSchema>>
type FilesOf<F extends FileKeys> = { readonly [K in keyof F]: PluginFile<Static<F[K]>> }

/** A plugin as its file declares it. */
export interface PluginDefinition<
  S extends ConfigSchema = ConfigSchema,
  F extends FileKeys = FileKeys,
  C extends ConfigSchema = ConfigSchema,
  Index = unknown,
> {
  /** The kebab-case word that is its name everywhere: file, configuration key, metric label, documentation. */
  readonly name: string
  /** Within a phase the higher number runs first. */
  readonly priority: number
  /** One sentence for the table of plugins. */
  readonly summary: string
  /** JSON Schema of each configuration key, with description and default. */
  readonly config: S
  /** Configurations that work, printed in the documentation and validated by a test. */
  readonly examples: readonly Readonly<Record<string, unknown>>[]
  /** What a throw in a hook means: 'refuse' for whatever guards or bills, 'pass' only for what observes. */
  readonly onFault: 'refuse' | 'pass'
  /** Slots that it wants filled by an earlier plugin or by the core. Checked when the chain is built. */
  readonly reads?: readonly Slot<never>[]
  /** Slots that it fills. */
  readonly fills?: readonly Slot<never>[]
  /** Configuration keys that name files, with the schema of each file. */
  readonly files?: F
  /** What stands under `consumers[].plugins.<name>` when that is a credential, and the index made of all of them. */
  readonly credential?: {
    readonly schema: C
    /** Secret keys: never printed, never logged. */
    readonly secrets: readonly (keyof C & string)[]
    /** Begins the index, once per snapshot, for all routes. */
    index(): CredentialIndexer<ConfigOf<C>, Index>
  }
  create(config: ConfigOf<S>, host: Host<FilesOf<F>, Index>): Soon<PluginInstance>
}

/** Reports a problem with a credential. */
export type CredentialReport = (message: string, hint?: string) => void

/** A plugin of any shape, as the catalogue holds it. */
// oxlint-disable-next-line typescript/no-explicit-any -- the catalogue mixes configurations; each is checked by its own schema
export type AnyPlugin = PluginDefinition<any, any, any, any>

/** Declares a plugin. It only gives the parts their types. */
export function definePlugin<
  const S extends ConfigSchema,
  const F extends FileKeys = Record<never, never>,
  const C extends ConfigSchema = Record<never, never>,
  Index = undefined,
>(definition: PluginDefinition<S, F, C, Index>): PluginDefinition<S, F, C, Index> {
  return definition
}

/** Declares a fact. */
export function fact<T>(name: string): Fact<T> {
  return { name }
}
