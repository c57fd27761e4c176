/** What the calls of a frame are answered with, held in memory until the client's side holds it. */
import { refuse } from '../plugin/outcome.ts'
import type { Payload } from '../jsonrpc/encode.ts'
import type { Room } from '../plugin/room.ts'
import type { LiveCall } from './live-call.ts'

export const NO_ROOM = refuse('overloaded', 'no-room', { message: 'The gateway holds as much in memory as it may; try again', retryAfterMs: 1000 })

/** Holds the answers, as far as there is room; a call whose answer there is none for is refused, and costs nothing. What is returned has to be let go of. */
export function holdAnswers(calls: readonly LiveCall[], room: Room): readonly Payload[] {
  const held: Payload[] = []
  let bytes = 0
  for (const call of calls) {
    const outcome = call.outcome!
    if (outcome.kind === 'refusal') continue
    const { payload } = outcome
    if (room.admits(payload, bytes)) {
      bytes += payload.length
      held.push(payload)
    } else call.decide(NO_ROOM, undefined)
  }
  return held
}
