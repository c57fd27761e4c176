/**
 * Gateways that share a store tell each other which consumers they have disabled, and what configuration they serve. So a
 * revocation takes effect everywhere at once, also on a machine that gets its files later; and it can be seen that
 * machines differ. The files stay the truth: what was heard of a gateway holds for as long as that is there and says so.
 *
 * Each tells all it has to say, now and then and whenever it changes: a message that is lost is made up for by the next.
 */
import type { CounterHandle } from '../plugin/metrics.ts'
import type { PluginLog } from '../plugin/define.ts'

/** How often a gateway tells what it told before. */
const BEAT_MS = 5000
/** A gateway from which nothing came while so many own beats went round is gone. Where nothing goes round, nobody is gone. */
const MISSED_BEATS = 4
/** What is remembered of others at most, and what is told of oneself: usernames have 128 characters at most. */
const MAX_GATEWAYS = 1000
export const MAX_REVOKED = 10_000

/** What carries messages to all gateways on a store, this one included. What it loses is lost. */
export interface Channel {
  publish(text: string): void
  close(): void
}

export interface ChannelEvents {
  /** Messages go through, after a time when they may not have. */
  open(this: void): void
  heard(this: void, text: string): void
}

export interface PeersOptions {
  readonly open: (events: ChannelEvents) => Channel
  /** Names this gateway among those on the store. */
  readonly gateway: string
  readonly log: Pick<PluginLog, 'info' | 'warn'>
  readonly shown: {
    /** Gateways on the store, this one included. */
    readonly gateways: CounterHandle
    /** Those that serve another configuration. */
    readonly differing: CounterHandle
  }
  /** Others have revoked somebody, or take it back: look at `revoked`. */
  readonly onRevoked: () => void
  readonly beatMs?: number
}

interface Told {
  readonly gateway: string
  readonly configuration: string
  readonly revoked: readonly string[]
  readonly isBeat: boolean
  /** Wants to be told what others have to say. */
  readonly asks: boolean
}

interface Peer {
  readonly told: Told
  missed: number
}

export class Peers {
  /** Whom others have revoked, in the order of their names. */
  revoked: readonly string[] = []
  readonly #options: PeersOptions
  readonly #channel: Channel
  readonly #peers = new Map<string, Peer>()
  readonly #timer: NodeJS.Timeout
  #own: Pick<Told, 'configuration' | 'revoked'> | undefined

  constructor(options: PeersOptions) {
    this.#options = options
    this.#channel = options.open({ open: () => this.#publish({ asks: true }), heard: (text) => this.#hear(text) })
    this.#timer = setInterval(() => this.#publish({ isBeat: true }), options.beatMs ?? BEAT_MS).unref()
    options.shown.gateways.value = 1
  }

  /** Tells the others what is served, by a digest of it, and which consumers it disables. */
  tell(configuration: string, disabled: readonly string[]): void {
    if (disabled.length > MAX_REVOKED) {
      this.#options.log.warn({ disabled: disabled.length, told: MAX_REVOKED }, 'more consumers are disabled than other gateways are told of')
    }
    this.#own = { configuration, revoked: disabled.slice(0, MAX_REVOKED) }
    this.#publish({})
    this.#show()
  }

  close(): void {
    clearInterval(this.#timer)
    this.#channel.close()
  }

  #publish({ isBeat = false, asks = false }): void {
    if (this.#own !== undefined) this.#channel.publish(JSON.stringify({ gateway: this.#options.gateway, ...this.#own, isBeat, asks }))
  }

  #hear(text: string): void {
    const told = read(text)
    if (told === undefined) return
    if (told.gateway === this.#options.gateway) {
      if (told.isBeat) this.#miss()
      return
    }
    if (told.asks) this.#publish({})
    if (!this.#peers.has(told.gateway) && this.#peers.size >= MAX_GATEWAYS) return
    this.#peers.set(told.gateway, { told, missed: 0 })
    this.#show()
  }

  /** A beat went round: whoever has not been heard since the one before has missed one. */
  #miss(): void {
    for (const [gateway, peer] of this.#peers) if (++peer.missed > MISSED_BEATS) this.#peers.delete(gateway)
    this.#show()
  }

  #show(): void {
    const { shown, log, onRevoked } = this.#options
    const told = Array.from(this.#peers.values(), (peer) => peer.told)
    shown.gateways.value = told.length + 1
    shown.differing.value = told.filter(({ configuration }) => configuration !== this.#own?.configuration).length
    const revoked = [...new Set(told.flatMap((peer) => peer.revoked))].toSorted()
    if (revoked.join('\n') === this.revoked.join('\n')) return
    log.info({ before: this.revoked.length, now: revoked.length }, 'other gateways have revoked consumers')
    this.revoked = revoked
    onRevoked()
  }
}

/** What a message says; undefined where it is none of ours. */
function read(text: string): Told | undefined {
  try {
    const { gateway, configuration, revoked, isBeat, asks } = JSON.parse(text) as Record<string, unknown>
    if (typeof gateway !== 'string' || typeof configuration !== 'string' || !Array.isArray(revoked) || revoked.length > MAX_REVOKED) return undefined
    if (!revoked.every((name): name is string => typeof name === 'string' && name.length <= 128)) return undefined
    return { gateway, configuration, revoked, isBeat: isBeat === true, asks: asks === true }
  } catch {
    return undefined
  }
}
