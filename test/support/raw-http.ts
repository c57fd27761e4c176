/** An HTTP client written by hand, byte by byte (RFC 9112), for what a well-behaved library will not send. */
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'

export interface RawAnswer {
  readonly status: number
  /** By lower-case name; of one that stands twice the last. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export class RawHttp {
  readonly socket: Socket
  /** What came and is no answer yet, one character per byte. */
  private heard = ''
  /** So much of it has to be there before it is worth looking at again. */
  private wanted = 0
  private isEnded = false
  private wake = (): void => undefined

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.heard += chunk.toString('latin1')
      this.wake()
    })
    socket.on('error', () => undefined)
    for (const event of ['end', 'close'] as const) {
      socket.on(event, () => {
        this.isEnded = true
        this.wake()
      })
    }
  }

  static async connect(port: number): Promise<RawHttp> {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    const client = new RawHttp(socket)
    await once(socket, 'connect')
    return client
  }

  /** Sends text, one byte per character. */
  send(text: string): this {
    this.socket.write(text, 'latin1')
    return this
  }

  /** The next answer; undefined when the connection ends instead. */
  async answer(): Promise<RawAnswer | undefined> {
    for (;;) {
      const read = this.heard.length < this.wanted ? undefined : readAnswer(this.heard)
      this.wanted = read?.length ?? this.wanted
      if (read?.answer !== undefined) {
        this.heard = this.heard.slice(read.length)
        this.wanted = 0
        return read.answer
      }
      if (this.isEnded) return undefined
      await new Promise<void>((resolve) => (this.wake = resolve))
    }
  }

  /** The head of the next answer, where no body follows whatever its length says: the answer to HEAD. */
  async head(): Promise<RawAnswer | undefined> {
    while (!this.heard.includes('\r\n\r\n') && !this.isEnded) await new Promise<void>((resolve) => (this.wake = resolve))
    return readAnswer(this.heard.replace(/content-length: \d+/i, 'content-length: 0'))?.answer
  }

  /** All answers until the gateway ends the connection; fails when it ends within one. */
  async answers(): Promise<RawAnswer[]> {
    const answers: RawAnswer[] = []
    for (let answer = await this.answer(); answer !== undefined; answer = await this.answer()) answers.push(answer)
    if (this.heard !== '') throw new Error(`the connection ended within an answer: ${this.heard.slice(0, 200)}`)
    this.end()
    return answers
  }

  end(): void {
    this.socket.destroy()
  }
}

/** Sends text on a connection of its own and reads until the gateway ends it. */
export async function exchange(port: number, text: string): Promise<RawAnswer[]> {
  return (await RawHttp.connect(port)).send(text).answers()
}

/** The answer at the front of the text, once all of it is there, and how long it is; undefined until that can be told. */
function readAnswer(text: string): { readonly answer: RawAnswer | undefined; readonly length: number } | undefined {
  const headEnd = text.indexOf('\r\n\r\n')
  if (headEnd === -1) return undefined
  const [statusLine = '', ...lines] = text.slice(0, headEnd).split('\r\n')
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(statusLine)?.[1])
  if (Number.isNaN(status)) throw new Error(`no answer: ${statusLine.slice(0, 200)}`)
  const headers = Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]))
  const bytes = status === 204 || status < 200 ? 0 : Number(headers['content-length'])
  const length = headEnd + 4 + bytes
  if (Number.isNaN(bytes)) throw new Error(`an answer without a length: ${statusLine}`)
  return { answer: text.length < length ? undefined : { status, headers, body: text.slice(headEnd + 4, length) }, length }
}
