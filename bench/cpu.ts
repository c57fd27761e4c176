/** What the kernel says of a process and its children: CPU time and memory (proc(5)). Linux only. */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'

/** USER_HZ: what the kernel counts in /proc/stat, the same on every Linux. */
const TICKS_PER_SECOND = 100

/** User and system time of processes and all that descend from them, in microseconds. What a thread that has ended used is not in it. */
export function cpuUs(pids: readonly number[]): number {
  let ns = 0
  for (const pid of pids.flatMap(treeOf)) for (const task of tasksOf(pid)) ns += Number(read(`/proc/${pid}/task/${task}/schedstat`).split(' ')[0])
  return ns / 1000
}

/** CPU time that all processes of the machine used since it started, in microseconds. */
export function machineCpuUs(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = read('/proc/stat').split('\n')[0]!.split(/ +/).slice(1).map(Number)
  return ((user + nice + system + irq + softirq) * 1_000_000) / TICKS_PER_SECOND
}

/** Resident memory of processes and all that descend from them, in bytes: now, and the highest since `forgetPeak`. */
export function memoryBytes(pids: readonly number[]): { readonly now: number; readonly peak: number } {
  const sum = { now: 0, peak: 0 }
  for (const pid of pids.flatMap(treeOf)) {
    const status = read(`/proc/${pid}/status`)
    sum.now += 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0)
    sum.peak += 1024 * Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0)
  }
  return sum
}

/** From here on the peak is counted anew. */
export function forgetPeak(pids: readonly number[]): void {
  for (const pid of pids.flatMap(treeOf)) writeFileSync(`/proc/${pid}/clear_refs`, '5')
}

function treeOf(pid: number): number[] {
  const children = tasksOf(pid).flatMap((task) => read(`/proc/${pid}/task/${task}/children`).split(' ').filter(Boolean).map(Number))
  return [pid, ...children.flatMap(treeOf)]
}

function tasksOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`)
  } catch {
    return [] // it has ended
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '0' // it has ended
  }
}
