/** A node's messages in their order. A large one is read in turns of the loop, so that it holds nobody up; what comes after it waits. */
import { ReplyReader, TURN_BYTES, decodeReplies } from '../../jsonrpc/reply.ts'
import type { Replies } from '../../jsonrpc/reply.ts'
import type { Room } from '../../plugin/room.ts'

/** Whose messages they are. */
export interface InboxOwner {
  /** What a message holds; undefined where it is not JSON-RPC. */
  taken(replies: Replies | undefined): void
  /** Whether messages had better stay where they are. */
  busy(isBusy: boolean): void
}

export class Inbox {
  private readonly owner: InboxOwner
  private readonly room: Room
  /** The large one that is being read, and what came after it. */
  private waiting: Buffer[] = []
  private whenEmpty: (() => void) | undefined

  constructor(owner: InboxOwner, room: Room) {
    this.owner = owner
    this.room = room
  }

  /** Takes a message: small ones in this very turn, unless one is in the way. */
  push(message: Buffer): void {
    if (this.waiting.length === 0 && message.length <= TURN_BYTES) return this.owner.taken(decodeReplies(message))
    this.room.count(message.length)
    if (this.waiting.push(message) > 1) return
    this.owner.busy(true)
    this.next()
  }

  /** Runs `then` once all that came has been taken, possibly at once. */
  afterAll(then: () => void): void {
    if (this.waiting.length === 0) then()
    else this.whenEmpty = then
  }

  private next(): void {
    const [message] = this.waiting
    if (message !== undefined) return this.read(new ReplyReader(), message, 0)
    this.owner.busy(false)
    this.whenEmpty?.()
  }

  private read(reader: ReplyReader, message: Buffer, from: number): void {
    const to = from + TURN_BYTES
    reader.push(message.subarray(from, to))
    setImmediate(() => {
      if (to < message.length) return this.read(reader, message, to)
      this.waiting.shift()
      this.room.count(-message.length)
      this.owner.taken(reader.end(message))
      this.next()
    })
  }
}
