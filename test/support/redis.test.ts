import { Redis } from 'ioredis'
import { expect, onTestFinished, test } from 'vitest'
import { startRedis } from './redis.ts'

test('each Redis that a test starts is empty and its own', async () => {
  for (let round = 0; round < 2; round++) {
    const redis = await startRedis()
    onTestFinished(() => redis.stop())
    const client = new Redis(redis.url)
    onTestFinished(() => client.disconnect())
    expect(await client.dbsize()).toBe(0)
    await client.set('key', 'value')
  }
})
