/** Work for the end of the turn is done in order, and what it makes waits for the next one. */
import { setImmediate as turnEnd } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { afterTurn } from '../../core/plugin/after-turn.ts'

test('in order, after the turn', async () => {
  const done: number[] = []
  for (const n of [1, 2, 3]) afterTurn(() => done.push(n))
  await Promise.resolve()
  expect(done).toEqual([])
  await turnEnd()
  expect(done).toEqual([1, 2, 3])
})

test('what comes up meanwhile is for the next turn', async () => {
  const done: string[] = []
  const again = (name: string, times: number): void => {
    afterTurn(() => {
      done.push(`${name}${times}`)
      if (times > 1) again(name, times - 1)
    })
  }
  again('a', 3)
  again('b', 2)
  await turnEnd()
  expect(done).toEqual(['a3', 'b2'])
  await turnEnd()
  expect(done).toEqual(['a3', 'b2', 'a2', 'b1'])
  await turnEnd()
  expect(done.slice(4)).toEqual(['a1'])
})
