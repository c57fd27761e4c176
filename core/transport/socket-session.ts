/**
 * One WebSocket: its messages are frames of one session, judged by the very chain that judges HTTP requests. Bounded
 * everywhere: calls in flight (the socket is paused, not refused), bytes towards a slow reader, undecodable messages, silence.
 */
import { documentBytes } from '../jsonrpc/encode.ts'
import { Arriving } from '../plugin/arriving.ts'
import { FrameRun } from '../pipeline/frame-run.ts'
import { isPromise } from '../pipeline/hooks.ts'
import { closeSession, openSession } from '../pipeline/open.ts'
import { admitPush } from '../pipeline/push.ts'
import { MAX_TIMER_MS } from './limits.ts'
import { Outbox } from './outbox.ts'
import { Turn } from './turn.ts'
import type { WebSocket } from 'ws'
import type { Answer } from '../pipeline/answer.ts'
import type { Notification, Subscriber } from '../pipeline/ports.ts'
import type { LiveSession } from '../pipeline/session.ts'
import type { WebSocketSettings } from '../plugin/define.ts'
import type { Traffic, UpstreamRequest } from '../plugin/session.ts'
import type { Room } from '../plugin/room.ts'
import type { Door } from './door.ts'
import type { SocketTimeouts } from './limits.ts'
import type { TooSlow } from './outbox.ts'

/** Close codes: RFC 6455 section 7.4.1, and the private use range for what HTTP would call 401. */
const GOING_AWAY = 1001
const POLICY_VIOLATION = 1008
const TRY_AGAIN_LATER = 1013
const UNAUTHORIZED = 4401
const NO_STATUS = 1005
const ABNORMAL = 1006

/** A close that the client does not answer is cut off after this. */
const CLOSE_TIMEOUT_MS = 5000
/** Pings that may go unanswered. */
const MISSED_PONGS = 2

export class SocketSession implements Subscriber, Traffic {
  readonly settings: WebSocketSettings
  messagesIn = 0
  messagesOut = 0
  bytesIn = 0
  bytesOut = 0
  pushes = 0
  pushesDropped = 0
  closeCode: number | undefined

  private readonly socket: WebSocket
  private readonly session: LiveSession
  private readonly door: Door
  private readonly gone: () => void
  private readonly outbox: Outbox
  private readonly arriving: Arriving
  /** Messages that are not answered yet: few, and no Set, whose dead entries would grow old with it. */
  private readonly runs: FrameRun[] = []
  private readonly closers: ((code: number, reason: string) => void)[] = []
  /** Messages that arrived while the socket was already being paused, while the session is judged anew, or while others have their turn. */
  private readonly waiting: Buffer[] = []
  private waitingBytes = 0
  private readonly turn: Turn
  private callsInFlight = 0
  /** What makes the request ids of one socket differ. */
  private framesBegun = 0
  private undecodable = 0
  private unansweredPings = 0
  private isReleasing = false
  private isJudging = false
  /** A newer snapshot came while the session was judged. */
  private mustJudgeAgain = false
  private isClosing = false
  private hasEnded = false
  private pushTail: Promise<void> | undefined
  private pinger: NodeJS.Timeout | undefined
  private lifetime: NodeJS.Timeout | undefined
  private expiry: NodeJS.Timeout | undefined
  /** Runs while a message arrives that began within an earlier packet. */
  private late: NodeJS.Timeout | undefined
  private readonly timeouts: SocketTimeouts

  constructor(socket: WebSocket, session: LiveSession, settings: WebSocketSettings, timeouts: SocketTimeouts, door: Door, gone: () => void) {
    this.socket = socket
    this.session = session
    this.settings = settings
    this.door = door
    this.gone = gone
    this.timeouts = timeouts
    this.outbox = new Outbox(socket, settings, timeouts.writeTimeoutMs, door.pipeline.load, (end) => this.tooSlow(end))
    this.arriving = new Arriving(socket, door.pipeline.load.room, () => this.arrives(), settings.maxMessageBytes)
    this.turn = new Turn(door.pipeline.monotonicMs, () => this.release())
    session.traffic = this
    session.subscriber = this
    session.maxAnswerBytes = settings.maxAnswerBytes
    socket.on('message', (data: Buffer) => this.receive(data))
    socket.on('pong', () => (this.unansweredPings = 0))
    socket.on('error', () => undefined) // ws closes with the right code (1002, 1007, 1009) by itself
    socket.on('close', (code, reason) => this.ended(code, reason.toString('utf8')))
    this.pinger = setInterval(() => this.ping(), settings.pingIntervalMs)
    this.limitLifetime()
  }

  get rewrite(): UpstreamRequest {
    return this.session.upstreamRequest
  }

  get isGone(): boolean {
    return this.hasEnded
  }

  get backlog(): Room {
    return this.door.pipeline.load.backlog
  }

  // Messages up

  private receive(data: Buffer): void {
    if (this.arriving.bytes > 0) this.arriving.look()
    if (this.isClosing) return
    this.messagesIn++
    this.door.sockets.messagesIn.value++
    this.bytesIn += data.length
    if (this.mustWait() || this.waiting.length > 0) this.hold(data)
    else this.run(data)
  }

  /** A message is under way. What it may hold is bounded by the room, and by time as a request is. */
  private arrives(): void {
    if (this.door.pipeline.load.room.isTooFullFor(this.arriving.bytes)) this.cutWith(TRY_AGAIN_LATER, 'no room for what arrives')
    else if (this.late === undefined) this.watchArrival()
  }

  private watchArrival(): void {
    const { messagesIn } = this
    this.late = setTimeout(() => {
      this.late = undefined
      if (this.arriving.bytes === 0) return
      if (this.messagesIn > messagesIn || this.socket.isPaused) this.watchArrival()
      else this.cutWith(POLICY_VIOLATION, 'a message did not arrive in time')
    }, this.timeouts.requestTimeoutMs)
  }

  private mustWait(): boolean {
    return this.isJudging || this.turn.isOver || this.callsInFlight >= this.settings.maxInFlight
  }

  /** Keeps a message for later. What a packet held is here at once, however small it was on the way: it counts as held. */
  private hold(data: Buffer): void {
    const { room } = this.door.pipeline.load
    this.waiting.push(data)
    room.count(data.length)
    this.socket.pause()
    this.waitingBytes += data.length
    if (room.isTooFullFor(this.waitingBytes)) this.close(TRY_AGAIN_LATER, 'no room for what waits')
  }

  private takeWaiting(): Buffer {
    const data = this.waiting.shift()!
    this.waitingBytes -= data.length
    this.door.pipeline.load.room.count(-data.length)
    return data
  }

  /** Goes on with what waits. One after the other: a message that is answered at once does not begin the next one within itself. */
  private release(): void {
    if (this.isReleasing || this.isClosing) return
    this.isReleasing = true
    while (this.waiting.length > 0 && !this.mustWait() && !this.isClosing) this.run(this.takeWaiting())
    this.isReleasing = false
    if (this.waiting.length === 0 && !this.mustWait()) this.socket.resume()
  }

  private run(data: Buffer): void {
    let calls = 0
    let isAnswered = false
    const run = new FrameRun(this.session, `${this.session.requestId}-${++this.framesBegun}`, data.length, this.door.pipeline, (answer) => {
      isAnswered = true
      this.callsInFlight -= calls
      const at = this.runs.indexOf(run)
      if (at >= 0) this.runs.splice(at, 1)
      this.answer(run, answer)
    })
    this.turn.spend(() => run.start(data))
    if (isAnswered) return
    this.runs.push(run)
    calls = run.calls.length
    this.callsInFlight += calls
    if (this.mustWait()) this.socket.pause()
  }

  private answer(run: FrameRun, answer: Answer): void {
    if (answer.document !== undefined && !this.isOver()) {
      this.messagesOut++
      this.door.sockets.messagesOut.value++
      this.bytesOut += documentBytes(answer.document)
      this.outbox.answer(answer.document)
    }
    const isUndecodable = run.calls.every(({ request }) => request === undefined)
    if (isUndecodable && ++this.undecodable >= this.settings.maxErrors) this.close(POLICY_VIOLATION, 'too many messages that are not JSON-RPC')
    if (this.isClosing) {
      if (this.runs.length === 0) this.finishClose()
    } else this.release()
  }

  // Notifications down

  push(notification: Notification): void {
    if (this.isClosing) return
    const { pushTail } = this
    if (pushTail === undefined) this.waitFor(this.pushNow(notification))
    else if (this.mayQueue(notification)) this.waitFor(pushTail.then(() => this.pushQueued(notification)))
  }

  private waitFor(admitted: Promise<void> | undefined): void {
    const tail = admitted?.then(() => {
      if (this.pushTail === tail) this.pushTail = undefined
    })
    this.pushTail = tail
  }

  /** Whether a notification may wait for the meter to judge those before it. */
  private mayQueue({ message }: Notification): boolean {
    const bytes = documentBytes(message)
    if (!this.backlog.fits(bytes)) {
      if (this.settings.slowConsumer === 'drop-oldest') this.dropped(1)
      else this.tooSlow('close')
      return false
    }
    this.backlog.count(bytes)
    return true
  }

  private pushQueued(notification: Notification): Promise<void> | undefined {
    this.backlog.count(-documentBytes(notification.message))
    return this.isClosing ? undefined : this.pushNow(notification)
  }

  /** Answers a promise where the meter has to be waited for: notifications keep their order. */
  private pushNow({ subscribeMethod, topic, message }: Notification): Promise<void> | undefined {
    const bytes = documentBytes(message)
    const admitted = admitPush(this.session, { session: this.session, method: subscribeMethod, topic, bytes, cost: 0 }, this.door.pipeline)
    const send = (isAdmitted: boolean): void => {
      if (this.isClosing) return
      if (!isAdmitted) return this.dropped(1)
      this.pushes++
      this.door.sockets.pushesSent.value++
      this.bytesOut += bytes
      this.dropped(this.outbox.notification(message, bytes))
    }
    if (isPromise(admitted)) return admitted.then(send)
    send(admitted)
    return undefined
  }

  private dropped(count: number): void {
    this.pushesDropped += count
    this.door.sockets.pushesDropped.value += count
  }

  private tooSlow(end: TooSlow): void {
    if (end === 'cut') this.cut()
    if (this.isClosing) return
    this.door.sockets.slowConsumers.value++
    this.close(TRY_AGAIN_LATER, 'reading too slowly')
  }

  onClose(run: (code: number, reason: string) => void): void {
    this.closers.push(run)
  }

  // Identity

  /** Judges the session by the snapshot of now. What was admitted under the old one goes on; the next message is judged by the new. */
  rejudge(): void {
    if (this.isClosing) return
    if (this.isJudging) return void (this.mustJudgeAgain = true)
    const { session, door } = this
    const destination = door.find(session.host, session.path)
    if (destination?.chain.webSocket === undefined) return this.close(POLICY_VIOLATION, 'this path serves no WebSocket any more')
    this.isJudging = true
    closeSession(session, door.pipeline)
    session.reset(destination)
    openSession(session, door.pipeline, (answer) => {
      this.isJudging = false
      const { refusal } = session
      if (this.hasEnded) return closeSession(session, door.pipeline)
      if (this.mustJudgeAgain) {
        this.mustJudgeAgain = false
        return this.rejudge()
      }
      if (refusal !== undefined) return this.close(refusal.name === 'unauthorized' ? UNAUTHORIZED : POLICY_VIOLATION, refusal.why)
      if (answer !== undefined) return this.close(POLICY_VIOLATION, 'not served any more')
      this.limitLifetime()
      this.release()
    })
  }

  private limitLifetime(): void {
    const { maxLifetimeMs } = this.settings
    if (maxLifetimeMs !== undefined && this.lifetime === undefined) {
      const jitter = 1 - Math.random() / 10 // up to a tenth earlier, so that sockets opened together do not end together
      this.lifetime = setTimeout(() => this.close(GOING_AWAY, 'maximum lifetime reached'), Math.min(maxLifetimeMs * jitter, MAX_TIMER_MS))
    }
    clearTimeout(this.expiry)
    const leftMs = this.session.expiresAt - this.door.now()
    if (leftMs <= MAX_TIMER_MS) this.expiry = setTimeout(() => this.close(UNAUTHORIZED, 'credential expired'), Math.max(0, leftMs))
  }

  private ping(): void {
    if (this.unansweredPings >= MISSED_PONGS) return this.socket.terminate()
    this.unansweredPings++
    this.socket.ping()
  }

  // The end

  /** Closes with 1001 once the answers that are under way have been sent. */
  drain(): void {
    this.close(GOING_AWAY, 'the gateway is shutting down')
  }

  /** Closes once the answers that are under way have been sent. The first code given counts. */
  close(code: number, reason: string): void {
    if (this.isClosing) return
    this.isClosing = true
    this.closeCode = code
    this.closeReason = reason
    this.forgetWaiting()
    if (this.runs.length === 0 || code === TRY_AGAIN_LATER) this.finishClose()
  }

  private forgetWaiting(): void {
    while (this.waiting.length > 0) this.takeWaiting()
  }

  private closeReason = ''

  private finishClose(): void {
    this.dropped(this.outbox.dropHeld())
    this.socket.resume() // a paused socket would not see the client's close frame
    this.socket.close(this.closeCode, this.closeReason)
    setTimeout(() => this.socket.terminate(), CLOSE_TIMEOUT_MS).unref()
  }

  /** Closes, and does not wait for the client to agree: what has arrived is let go of. */
  private cutWith(code: number, reason: string): void {
    this.close(code, reason)
    setImmediate(() => this.cut())
  }

  cut(): void {
    this.socket.terminate()
  }

  private isOver(): boolean {
    return this.socket.readyState !== this.socket.OPEN
  }

  private ended(code: number, reason: string): void {
    this.isClosing = true
    this.forgetWaiting()
    this.closeCode ??= code
    clearInterval(this.pinger)
    clearTimeout(this.lifetime)
    clearTimeout(this.expiry)
    clearTimeout(this.late)
    this.arriving.letGo()
    for (const run of this.runs.slice()) run.cancel()
    for (const run of this.closers) run(code === NO_STATUS || code === ABNORMAL ? GOING_AWAY : code, reason)
    this.hasEnded = true
    this.outbox.close()
    if (!this.isJudging) closeSession(this.session, this.door.pipeline) // what is still being opened closes once it is open
    this.gone()
  }
}
