/** The loads of the benchmark are answered by the gateway as they expect; how fast is not a test's business. */
import { beforeAll, expect, test } from 'vitest'
import { startGateway } from '../../bench/gateway.ts'
import { Loader } from '../../bench/load/loader.ts'
import { loads } from '../../bench/loads.ts'
import { HOST, startNode } from '../../bench/server.ts'
import type { Server } from '../../bench/server.ts'

let node: Awaited<ReturnType<typeof startNode>>
let gateway: Server
let loader: Loader

beforeAll(async () => {
  node = await startNode()
  gateway = await startGateway({ nodePort: node.port })
  loader = new Loader()
  return async () => {
    await loader.stop()
    await gateway.stop()
    await node.stop()
  }
})

test.each(Object.keys(loads))('every call of the load %s is answered as expected', async (name) => {
  await loader.open({ ...loads[name as keyof typeof loads], host: HOST, port: gateway.port })
  const { calls, failed } = await loader.run(0.3)
  await loader.close()
  expect(failed).toBe(0)
  expect(calls).toBeGreaterThan(0)
})

test('a load of a constant rate sends what is due', async () => {
  await loader.open({ ...loads.singles, host: HOST, port: gateway.port })
  const { calls, failed } = await loader.run(0.5, 100)
  await loader.close()
  expect({ calls, failed }).toEqual({ calls: 50, failed: 0 })
})
