/** What is set aside for an answer counts as held, and is given back. */
import { expect, test } from 'vitest'
import { Room } from '../../core/plugin/room.ts'
import { AnswerBody } from '../../core/upstream/answer-body.ts'
import type { BodyReader } from '../../core/upstream/answer-body.ts'

const MIB = 1024 * 1024

function reader(): BodyReader & { heard: string[] } {
  const heard: string[] = []
  return { heard, bodyRead: (whole) => void heard.push(`read ${whole.length}`), bodyFailed: (why) => void heard.push(why), bodyDrained: () => undefined }
}

test('of a node that announces much and sends little, what was set aside for it', () => {
  const held = { value: 0 }
  const heard = reader()
  const body = new AnswerBody(heard, false, 8 * MIB, 16 * MIB, new Room(held, 64 * MIB))
  body.push(Buffer.alloc(100_000, ' '))
  expect(held.value).toBe(1_600_000)
  body.drop()
  expect(held.value).toBe(0)
})

test('where there is no room for what is set aside, it is refused, and nothing stays counted', () => {
  const held = { value: 0 }
  const heard = reader()
  const body = new AnswerBody(heard, false, 8 * MIB, 16 * MIB, new Room(held, MIB))
  body.push(Buffer.alloc(100_000, ' '))
  expect([heard.heard, held.value]).toEqual([['no-room'], 0])
})

test('what is kept as it came counts as what it is', () => {
  const held = { value: 0 }
  const heard = reader()
  const body = new AnswerBody(heard, false, 2, 16 * MIB, new Room(held, MIB))
  body.push(Buffer.from('{}'))
  expect(held.value).toBe(2)
  body.end()
  expect([heard.heard, held.value]).toEqual([['read 2'], 0])
})
