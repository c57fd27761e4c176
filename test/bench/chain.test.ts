/** The micro benchmark still runs; how fast is not a test's business. */
import { expect, test } from 'vitest'
import { measureChain } from '../../bench/chain.ts'

test('the chain is measured without I/O, and with further plugins', async () => {
  const { http, ws } = await measureChain(1, 200)
  expect(http.median).toBeGreaterThan(0)
  expect(ws.median).toBeGreaterThan(0)
})
