/** A process that makes load, from the side that orders it. */
import { startProcess } from '../../test/support/owned-process.ts'
import type { Load, Order, Report } from './generator.ts'

const GENERATOR = `${import.meta.dirname}/generator.ts`

export class Loader {
  private readonly process = startProcess(process.execPath, [GENERATOR], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })

  /** Opens the connections. */
  open(load: Load): Promise<Report> {
    return this.order({ do: 'open', load })
  }

  /** Sends for so long; with `perSecond` at that rate, whatever comes back. */
  run(seconds: number, perSecond?: number): Promise<Report> {
    return this.order({ do: 'run', seconds, perSecond })
  }

  /** Closes the connections. */
  close(): Promise<Report> {
    return this.order({ do: 'close' })
  }

  stop(): Promise<void> {
    return this.process.stop()
  }

  private order(order: Order): Promise<Report> {
    const { child } = this.process
    return new Promise((resolve, reject) => {
      const ended = (): void => reject(new Error('the load process ended'))
      child.once('exit', ended)
      child.once('message', (report: Report) => {
        child.off('exit', ended)
        if (report.error === undefined) resolve(report)
        else reject(new Error(report.error))
      })
      child.send(order)
    })
  }
}
