/** What a thread runs that reads a large file: reads it like any other, and hands it over bit by bit, as it is asked to. */
import { parentPort, workerData } from 'node:worker_threads'
import { digestOf } from './digest.ts'
import { readText, takeList, textOf } from './document.ts'
import type { Answer, Task } from './large-file.ts'

/** Values that are handed over at once: some 2 ms for whoever takes them. */
const VALUES_A_SLICE = 4096

function* answers({ file, bytes, env, apart }: Task): Generator<Answer> {
  const digest = digestOf(bytes)
  const text = textOf(bytes)
  const reading = text === undefined ? undefined : readText(file, text, env)
  const items = takeList(reading?.value, apart)
  yield { digest, reading }
  yield* slices(items)
}

function* slices(items: readonly unknown[]): Generator<readonly unknown[]> {
  let slice: unknown[] = []
  let count = 0
  for (const item of items) {
    slice.push(item)
    count += countValues(item)
    if (count < VALUES_A_SLICE) continue
    yield slice
    slice = []
    count = 0
  }
  yield slice
}

/** How many values there are in a value, itself among them. */
function countValues(value: unknown): number {
  if (value === null || typeof value !== 'object') return 1
  return Object.values(value).reduce((count: number, part) => count + countValues(part), 1)
}

const port = parentPort!
const said = answers(workerData as Task)
port.on('message', () => port.postMessage(said.next().value))
