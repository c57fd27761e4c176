/** The gateway under test: a process of its own, `node core/main.ts start`. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startProcess } from '../test/support/owned-process.ts'
import { configurationFiles } from './configuration.ts'
import { HOST, freePort, startServer } from './server.ts'
import type { Server } from './server.ts'
import type { Shape } from './configuration.ts'

export interface GatewayOptions extends Omit<Shape, 'listen' | 'admin'> {
  /** Arguments of node, such as `--cpu-prof`. */
  readonly nodeArguments?: readonly string[]
}

const MAIN = join(import.meta.dirname, '../core/main.ts')

/** Starts a gateway and waits until it is ready. */
export async function startGateway({ nodeArguments = [], ...shape }: GatewayOptions): Promise<Server> {
  const adminPort = await freePort()
  return startServer('the gateway', (port, dir) => {
    const files = configurationFiles({ ...shape, listen: `${HOST}:${port}`, admin: `${HOST}:${adminPort}` })
    for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text)
    const process = startProcess(globalThis.process.execPath, [...nodeArguments, MAIN, 'start', '--config', join(dir, 'gateway.yaml')], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    return { process, readyUrl: `http://${HOST}:${adminPort}/readyz` }
  })
}
