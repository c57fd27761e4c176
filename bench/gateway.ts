/** The gateway under test: a process of its own, `node core/main.ts start` where nothing else is said. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startProcess } from '../test/support/owned-process.ts'
import { configurationFiles } from './configuration.ts'
import { HOST, freePort, startServer } from './server.ts'
import type { Answers, Question } from './probe.ts'
import type { Server } from './server.ts'
import type { Shape } from './configuration.ts'

export interface GatewayOptions extends Omit<Shape, 'listen' | 'admin'> {
  /** Arguments of node, such as `--cpu-prof`. */
  readonly nodeArguments?: readonly string[]
  /** What node runs. */
  readonly program?: string
  /** More for its environment. */
  readonly env?: Readonly<Record<string, string>>
}

/** The gateway as it stands in the repository. */
export const SOURCES = join(import.meta.dirname, '../core/main.ts')

/** Arguments with which a gateway answers `ask`. */
export const PROBED = ['--expose-gc', '--import', join(import.meta.dirname, 'probe.ts')]

/** Asks a gateway that was started with `PROBED`. */
export function ask<Q extends Question>({ process: { child } }: Server, question: Q): Promise<Answers[Q]> {
  return new Promise((resolve) => {
    child.once('message', ({ said }: { said: Answers[Q] }) => resolve(said))
    child.send(question)
  })
}

/** A gateway that is up. */
export interface Gateway extends Server {
  readonly adminUrl: string
}

/** Starts a gateway and waits until it is ready. */
export async function startGateway({ nodeArguments = [], program = SOURCES, env = {}, ...shape }: GatewayOptions): Promise<Gateway> {
  const adminPort = await freePort()
  const adminUrl = `http://${HOST}:${adminPort}`
  const server = await startServer('the gateway', (port, dir) => {
    const files = configurationFiles({ ...shape, listen: `${HOST}:${port}`, admin: `${HOST}:${adminPort}` })
    for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text)
    const process = startProcess(globalThis.process.execPath, [...nodeArguments, program, 'start', '--config', join(dir, 'gateway.yaml')], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { ...globalThis.process.env, ...env },
    })
    return { process, readyUrl: `${adminUrl}/readyz` }
  })
  return { ...server, adminUrl }
}
