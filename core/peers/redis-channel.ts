/** Redis's publish and subscribe as the channel between gateways. It needs two connections: one that hears does nothing else. */
import { openClient } from '../meter/redis-client.ts'
import type { RedisSpec } from '../meter/redis-client.ts'
import type { Channel, ChannelEvents } from './peers.ts'

const NAME = 'tollgate:gateways'

/** Connects, and goes on doing so until it is closed. */
export function openRedisChannel(spec: RedisSpec, events: ChannelEvents): Channel {
  const [ear, mouth] = [openClient(spec), openClient(spec)]
  for (const client of [ear, mouth]) client.on('error', () => undefined) // the meter's own connection tells of a Redis that is away
  ear.on('ready', () => void ear.subscribe(NAME).then(events.open, () => undefined))
  ear.on('message', (_name: string, text: string) => events.heard(text))
  mouth.on('ready', events.open)
  return {
    publish: (text) => void mouth.publish(NAME, text).catch(() => undefined),
    close: () => {
      ear.disconnect()
      mouth.disconnect()
    },
  }
}
