/**
 * A request whose body goes straight to whoever takes it. The stream that node:http would have it go through costs a call an
 * eighth: a buffer, two ticks and three events for what mostly arrives in one piece.
 */
import { IncomingMessage } from './node-http.ts'

/** Whoever takes a body. */
export interface BodyTaker {
  took(chunk: Buffer): void
  /** All of it has arrived. */
  tookAll(): void
}

export class HttpRequest extends IncomingMessage {
  private taker: BodyTaker | undefined
  private isStreaming = false
  private isDelivered = false

  static {
    // By this node:http tells a request that is over from one that was broken off. To TypeScript it is no accessor.
    const get = function (this: HttpRequest): boolean {
      return this.isDelivered || Reflect.get(IncomingMessage.prototype, 'readableEnded', this)
    }
    Object.defineProperty(this.prototype, 'readableEnded', { get })
  }

  /** What has arrived, and what will, goes to `taker`, instead of to the one before. */
  deliverTo(taker: BodyTaker): void {
    this.taker = taker
    if (this.isStreaming || (this.readableLength === 0 && !this.complete)) return
    this.isStreaming = true // there was a wait: the beginning of it is in the stream
    this.on('data', (chunk: Buffer) => this.taker?.took(chunk))
    this.on('end', () => this.taker?.tookAll())
  }

  /** What node:http calls with each piece of the body, and with null at its end. Answers whether it may go on. */
  override push(chunk: Buffer | null): boolean {
    const { taker } = this
    if (taker === undefined || this.isStreaming) return super.push(chunk)
    if (chunk !== null) taker.took(chunk)
    else {
      this.isDelivered = true
      taker.tookAll()
    }
    return true
  }
}
