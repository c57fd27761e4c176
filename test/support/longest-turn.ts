/**
 * Loaded into a process before its program: says on standard error, for every SIGUSR2, how many milliseconds of its own work the
 * longest turn of the event loop took since the last one. Time of the processor, so that what else runs on the machine is not in it.
 */
import { writeSync } from 'node:fs'

let longestMs = 0
let last = process.threadCpuUsage()

function look(): void {
  const now = process.threadCpuUsage()
  longestMs = Math.max(longestMs, (now.user + now.system - last.user - last.system) / 1000)
  last = now
  setImmediate(look)
}
setImmediate(look)

process.on('SIGUSR2', () => {
  writeSync(2, `longest turn: ${longestMs} ms\n`)
  longestMs = 0
  last = process.threadCpuUsage()
})
