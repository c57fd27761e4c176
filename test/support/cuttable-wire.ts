/** A TCP wire to a port on this machine that can be cut and mended. */
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'

export class CuttableWire {
  readonly port: number
  private readonly server: Server
  private readonly sockets: Set<Socket>
  private isCut = false

  private constructor(server: Server, sockets: Set<Socket>) {
    this.server = server
    this.sockets = sockets
    this.port = (server.address() as AddressInfo).port
  }

  /** A wire that leads to this port. */
  static async to(port: number): Promise<CuttableWire> {
    const sockets = new Set<Socket>()
    const hold = (socket: Socket): void => {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => sockets.delete(socket))
    }
    const server = createServer({ noDelay: true }, (near) => {
      hold(near)
      if (wire.isCut) return void near.resetAndDestroy()
      const far = connect({ port, host: '127.0.0.1', noDelay: true })
      hold(far)
      near.pipe(far).pipe(near)
      near.on('close', () => far.destroy())
      far.on('close', () => near.destroy())
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const wire = new CuttableWire(server, sockets)
    return wire
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  get wsUrl(): string {
    return `ws://127.0.0.1:${this.port}`
  }

  /** Resets every connection, and each new one. */
  cut(): void {
    this.isCut = true
    for (const socket of this.sockets) socket.resetAndDestroy()
  }

  mend(): void {
    this.isCut = false
  }

  async stop(): Promise<void> {
    this.cut()
    await new Promise<void>((resolve) => this.server.close(() => resolve()))
  }
}
