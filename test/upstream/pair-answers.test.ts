/** Whatever bytes a node sends, every call gets exactly one answer or failure, and only its own. */
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { pairAnswers } from '../../core/upstream/pair-answers.ts'

const status = fc.constantFrom(200, 204, 301, 400, 429, 500)

test('any bytes at all are met with as many answers as there were calls', () => {
  const lookalike = fc.stringMatching(/^[[{]("(id|result|error|method)":(1|2|null|\{\}|"x"),?|[\]},]){0,8}$/).map((text) => Buffer.from(text))
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array)),
    fc.json().map((text) => Buffer.from(text)),
    lookalike,
  )
  fc.assert(fc.property(bytes, status, fc.integer({ min: 1, max: 5 }), (body, code, count) => pairAnswers(body, code, 1, count).length === count))
})

test('a batch in any order, with any members lost, doubled or foreign, answers nobody with what is another’s', () => {
  const ids = fc.array(fc.integer({ min: 95, max: 110 }), { maxLength: 12 })
  fc.assert(
    fc.property(ids, fc.integer({ min: 2, max: 8 }), (sent, count) => {
      const body = JSON.stringify(sent.map((id) => ({ jsonrpc: '2.0', id, result: `of ${id}` })))
      for (const [i, answer] of pairAnswers(Buffer.from(body), 200, 100, count).entries()) {
        const times = sent.filter((id) => id === 100 + i).length
        const isOwn = answer.kind === 'result' && answer.payload === `"of ${100 + i}"`
        const why = answer.kind === 'failure' ? answer.refusal.why : 'answered'
        expect([isOwn, why]).toEqual(times === 1 ? [true, 'answered'] : [false, times === 0 ? 'missing-answer' : 'duplicate-id'])
      }
    }),
  )
})
