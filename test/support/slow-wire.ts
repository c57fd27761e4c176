/** A TCP wire to a port on this machine that holds up what comes back over it. */
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'

export interface SlowWire {
  readonly port: number
  /** For so long, from now on. */
  delayMs: number
  stop(): void
}

/** A wire that leads to this port, as fast as any until it is told otherwise. */
export async function slowWire(to: number): Promise<SlowWire> {
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ port: to, host: '127.0.0.1', noDelay: true })
    near.pipe(far)
    far.on('data', (chunk: Buffer) => void setTimeout(() => near.write(chunk), wire.delayMs))
    near.on('error', () => far.destroy()).on('close', () => far.destroy())
    far.on('error', () => near.destroy()).on('close', () => near.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const wire: SlowWire = { port: (server.address() as AddressInfo).port, delayMs: 0, stop: () => void server.close() }
  return wire
}
