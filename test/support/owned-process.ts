/** A process of ours that does not outlive us. */
import { spawn } from 'node:child_process'
import type { ChildProcess, SpawnOptions } from 'node:child_process'

export interface Ending {
  /** undefined where a signal ended it. */
  readonly code: number | undefined
  readonly signal: NodeJS.Signals | undefined
}

export interface OwnedProcess {
  readonly child: ChildProcess
  /** Resolves once the process has ended, whoever ended it. Rejects only where it could not be started. */
  readonly ended: Promise<Ending>
  readonly signal: (name: NodeJS.Signals) => void
  /** Asks it to end, insists after `graceMs`, and waits until it has. */
  readonly stop: (graceMs?: number) => Promise<void>
}

/** Starts a process. */
export function startProcess(command: string, args: readonly string[], options: SpawnOptions = {}): OwnedProcess {
  const child = spawn(command, args, options)
  const kill = (): void => void child.kill('SIGKILL')
  process.on('exit', kill)
  const ended = new Promise<Ending>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => resolve({ code: code ?? undefined, signal: signal ?? undefined }))
  }).finally(() => process.off('exit', kill))
  ended.catch(() => undefined) // whoever waits is told
  const stop = async (graceMs = 2_000): Promise<void> => {
    child.kill('SIGTERM')
    const timer = setTimeout(kill, graceMs)
    await ended.catch(() => undefined)
    clearTimeout(timer)
  }
  return { child, ended, signal: (name) => void child.kill(name), stop }
}
