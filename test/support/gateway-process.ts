/** The gateway as a process of its own, `node core/main.ts start`, with a configuration in a temporary directory. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeFiles } from './files.ts'
import { startProcess } from './owned-process.ts'
import { expectNoSecret } from './secrets.ts'
import type { File } from './files.ts'
import type { Ending } from './owned-process.ts'

export interface GatewayProcess {
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  readonly pid: number
  readonly wsUrl: string
  readonly adminUrl: string
  /** The directory of its configuration. */
  readonly dir: string
  /** The lines of its log so far. */
  readonly log: readonly Record<string, unknown>[]
  /** All that it wrote so far, log and standard error. */
  readonly output: string
  readonly ended: Promise<Ending>
  readonly signal: (name: NodeJS.Signals) => void
  /** Resolves with the first line of the log, past or to come, that has this message. */
  logged(message: string): Promise<Record<string, unknown>>
  /** Writes a file of the configuration, in one step as editors that rename do. */
  write(name: string, content: File): Promise<void>
  /** Ends the process and removes the directory. */
  stop(): Promise<void>
}

export interface GatewayProcessOptions {
  readonly files?: Readonly<Record<string, File>>
  readonly env?: Readonly<Record<string, string>>
  /** A directory with a configuration that is there already; it is not removed. */
  readonly dir?: string
  /** What runs: by default Node, and the sources. */
  readonly program?: string
  readonly command?: readonly string[]
}

/** Starts a gateway and waits until it listens. Rejects with what it wrote when it ends before that. */
export async function startGatewayProcess(
  config: File,
  { files = {}, env = {}, dir, program = process.execPath, command = ['core/main.ts'] }: GatewayProcessOptions = {},
): Promise<GatewayProcess> {
  const home = dir ?? (await mkdtemp(join(tmpdir(), 'tollgate-')))
  await writeFiles(home, { ...files, 'gateway.yaml': config })
  const gateway = startProcess(program, [...command, 'start', '--config', join(home, 'gateway.yaml')], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  const journal = new Journal()
  gateway.child.stdout!.on('data', (chunk: Buffer) => journal.hear(chunk.toString()))
  gateway.child.stderr!.on('data', (chunk: Buffer) => journal.note(chunk.toString()))
  let adminUrl = ''
  const stop = async (): Promise<void> => {
    const metrics = adminUrl === '' ? '' : await textOf(`${adminUrl}/metrics`)
    await gateway.stop(10_000)
    if (dir === undefined) await rm(home, { recursive: true, force: true })
    expectNoSecret(config, journal.output + metrics)
  }
  const early = gateway.ended.then(({ code, signal }): never => {
    throw new Error(`the gateway ended (${code ?? signal}) before it listened:\n${journal.output}`)
  })
  const { listen, admin } = await Promise.race([journal.logged('listening'), early]).catch(async (error: unknown) => {
    await stop()
    throw error
  })
  early.catch(() => undefined)
  adminUrl = `http://${String(admin)}`
  return {
    url: `http://${String(listen)}`,
    pid: gateway.child.pid!,
    wsUrl: `ws://${String(listen)}`,
    adminUrl,
    dir: home,
    log: journal.lines,
    get output() {
      return journal.output
    },
    ended: gateway.ended,
    signal: gateway.signal,
    logged: (message) => journal.logged(message),
    write: (name, content) => writeFiles(home, { [name]: content }),
    stop,
  }
}

/** What is there, if anything: the process may have ended, or have been stopped. */
async function textOf(url: string): Promise<string> {
  return fetch(url, { signal: AbortSignal.timeout(2000) }).then(
    (answer) => answer.text(),
    () => '',
  )
}

/** What a process wrote, its log taken apart. */
class Journal {
  readonly lines: Record<string, unknown>[] = []
  output = ''
  private rest = ''
  private readonly waiting: { message: string; resolve: (line: Record<string, unknown>) => void }[] = []

  hear(text: string): void {
    this.note(text)
    const lines = (this.rest + text).split('\n')
    this.rest = lines.pop()!
    for (const text of lines) {
      if (!text.startsWith('{')) continue
      const line = JSON.parse(text) as Record<string, unknown>
      this.lines.push(line)
      for (const { message, resolve } of this.waiting) if (line['msg'] === message) resolve(line)
    }
  }

  note(text: string): void {
    this.output += text
  }

  logged(message: string): Promise<Record<string, unknown>> {
    const line = this.lines.find(({ msg }) => msg === message)
    return line === undefined ? new Promise((resolve) => this.waiting.push({ message, resolve })) : Promise.resolve(line)
  }
}
