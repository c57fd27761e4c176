/**
 * What has arrived on a WebSocket of a message that is not whole yet: ws collects it, and tells nobody before it is. A sender
 * that never ends its message would hold memory that nobody counts.
 */
import type { WebSocket } from 'ws'
import type { Room } from './room.ts'

/** What ws keeps to itself. */
interface Receiver {
  /** Bytes of a frame that is not whole. */
  readonly _bufferedBytes: number
  /** Bytes of the frames of a message that is not whole, inflated where they were compressed. */
  readonly _messageLength: number
  /** The opcode of such a message; 0 where there is none. */
  readonly _fragmented: number
}

export class Arriving {
  /** What is held of it. */
  bytes = 0
  private readonly receiver: Receiver
  private readonly room: Room
  /** What a message counts that is compressed and in fragments: inflated later, unseen, each of them may become all that it may hold. */
  private readonly inflatedBytes: number | undefined

  /** `changed` is called whenever something has arrived and a message is under way. The socket has to be open. */
  constructor(socket: WebSocket, room: Room, changed: () => void, maxMessageBytes?: number) {
    const { _receiver, _socket } = socket as unknown as { _receiver: Receiver; _socket: NodeJS.EventEmitter }
    this.receiver = _receiver
    this.room = room
    this.inflatedBytes = socket.extensions === '' ? undefined : maxMessageBytes
    _socket.on('data', () => {
      this.look()
      if (this.bytes > 0) changed()
    })
  }

  /** Counts what there is now. */
  look(): void {
    const { _bufferedBytes, _messageLength, _fragmented } = this.receiver
    const bytes = _fragmented === 0 ? _bufferedBytes : (this.inflatedBytes ?? _bufferedBytes + _messageLength)
    if (bytes === this.bytes) return
    this.room.count(bytes - this.bytes)
    this.bytes = bytes
  }

  /** The socket has closed. */
  letGo(): void {
    this.room.count(-this.bytes)
    this.bytes = 0
  }
}
