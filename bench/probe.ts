/**
 * Preloaded into a process under test with `--import`: answers questions about its inside over the channel to its parent.
 * It does nothing until it is asked.
 */
import { Session } from 'node:inspector/promises'
import { monitorEventLoopDelay } from 'node:perf_hooks'

/** What may be asked. */
export type Question = 'profile' | 'profiled' | 'heap' | 'watch-delay' | 'delay'

/** V8's CPU profile, as far as it is read here. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
    readonly children?: readonly number[]
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

/** The answers, by question; null where there is nothing to say. */
export interface Answers {
  /** Starts the profiler. */
  readonly profile: null
  /** Stops it. */
  readonly profiled: CpuProfile
  /** Bytes of live objects, after a collection (`--expose-gc`). */
  readonly heap: number
  /** Starts to watch how long the event loop is held up. */
  readonly 'watch-delay': null
  /** The longest hold-up since then, in milliseconds. */
  readonly delay: number
}

const SAMPLE_EVERY_US = 100
const session = new Session()
const delay = monitorEventLoopDelay({ resolution: 1 })

/** Answers a question about this process. */
export async function answer<Q extends Question>(question: Q): Promise<Answers[Q]> {
  return (await find(question)) as Answers[Q]
}

async function find(question: Question): Promise<Answers[Question]> {
  switch (question) {
    case 'profile':
      session.connect()
      await session.post('Profiler.enable')
      await session.post('Profiler.setSamplingInterval', { interval: SAMPLE_EVERY_US })
      await session.post('Profiler.start')
      return null
    case 'profiled':
      return (await session.post('Profiler.stop')).profile as CpuProfile
    case 'heap': {
      globalThis.gc?.()
      const { heapUsed, external } = process.memoryUsage()
      return heapUsed + external
    }
    case 'watch-delay':
      delay.enable()
      delay.reset()
      return null
    case 'delay':
      return delay.max / 1e6
  }
}

process.on('message', (question: Question) => {
  void answer(question).then((said) => process.send?.({ said }))
})
// The channel alone keeps nothing alive.
process.channel?.unref()
