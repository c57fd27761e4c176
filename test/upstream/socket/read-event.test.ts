import { expect, test } from 'vitest'
import { hashOf, readEvent } from '../../../core/upstream/socket/read-event.ts'
import { socketNode, socketUpstream, until } from './fixture.ts'

test('of an event its members are read, and of what is none, or too large to be one, none', () => {
  expect(readEvent('{"number":"0x1"}')).toEqual({ number: '0x1' })
  for (const event of ['null', '1', '[]', `{"number":"0x1","data":"${'x'.repeat(1024 * 1024)}"}`]) expect(readEvent(event)['number']).toBeUndefined()
})

test('a hash is as long as hashes are', () => {
  const hash = `0x${'ab'.repeat(32)}`
  expect([hash, 'x'.repeat(129), 5, null].map(hashOf)).toEqual([hash, undefined, undefined, undefined])
})

test.each(['newHeads', 'logs'])('%s that are too large to be such are passed on all the same', async (topic) => {
  const node = await socketNode()
  const { client } = socketUpstream([node], { maxAnswerBytes: 8 * 1024 * 1024 })
  const one = client()
  await one.subscribe(`["${topic}"]`)
  const [subscription] = node.subscriptions.keys()
  for (const data of ['x', 'x'.repeat(2 * 1024 * 1024), 'y']) {
    node.notify(subscription!, `{"number":"0x1","hash":"0x1","blockNumber":"0x1","blockHash":"0x1","logIndex":"0x0","data":"${data}"}`)
  }
  await until(() => one.events().length === 3)
})
