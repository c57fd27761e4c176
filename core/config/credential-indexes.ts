/** What plugins find callers by, while it is built: each is handed the credentials that are its own. */
import { within } from './plugin-work.ts'
import type { AnyPlugin, Credential, CredentialIndexer } from '../plugin/define.ts'
import type { Document } from './document.ts'
import type { Problems } from './problem.ts'

/** What indexes are built with. */
export interface IndexContext {
  readonly catalogue: ReadonlyMap<string, AnyPlugin>
  readonly document: Document
  readonly problems: Problems
  readonly pluginTimeoutMs: number
}

export class CredentialIndexes {
  readonly #context: IndexContext
  /** By plugin; of those that have not failed. */
  readonly #indexers = new Map<string, CredentialIndexer<unknown, unknown>>()

  constructor(context: IndexContext) {
    this.#context = context
    for (const { name, credential } of context.catalogue.values()) {
      try {
        if (credential !== undefined) this.#indexers.set(name, credential.index() as CredentialIndexer<unknown, unknown>)
      } catch (error) {
        this.#fail(name, error as Error)
      }
    }
  }

  /** Hands over the credential of the consumer at this position. Answers what has to be waited for before the next. */
  add(plugin: string, credential: Credential<unknown>, at: number): Promise<void> | undefined {
    const { document, problems, pluginTimeoutMs } = this.#context
    try {
      const work = this.#indexers
        .get(plugin)
        ?.add(credential, (message, hint) => problems.add('error', document, ['consumers', at, 'plugins', plugin], message, hint))
      return work === undefined ? undefined : within(pluginTimeoutMs, work).catch((error: Error) => this.#fail(plugin, error))
    } catch (error) {
      return this.#fail(plugin, error as Error)
    }
  }

  /** All indexes, by plugin. */
  async done(): Promise<Map<string, unknown>> {
    const indexes = new Map<string, unknown>()
    for (const [plugin, indexer] of this.#indexers) {
      try {
        indexes.set(plugin, await within(this.#context.pluginTimeoutMs, indexer.done()))
      } catch (error) {
        this.#fail(plugin, error as Error)
      }
    }
    return indexes
  }

  #fail(plugin: string, error: Error): undefined {
    this.#indexers.delete(plugin)
    this.#context.problems.add('error', this.#context.document, ['consumers'], `${plugin} cannot index the credentials: ${error.message}`)
  }
}
