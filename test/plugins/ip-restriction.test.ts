import { expect, test } from 'vitest'
import { plugins } from '../../plugins/index.ts'
import { askingSession } from '../support/asking-session.ts'
import { configure } from '../support/configured.ts'

async function judging(config: string): Promise<(address: string) => unknown> {
  const plugin = (await configure(plugins, `{ jsonrpc-var: {}, ip-restriction: ${config} }`)).plugin('ip-restriction')
  return (address) => plugin.open!(askingSession({ peer: address }))
}

const blocked = { kind: 'refusal', name: 'blocked', why: 'address-not-allowed', message: 'Your IP address is not allowed' }

test('a whitelist serves its addresses and nobody else', async () => {
  const judge = await judging('{ whitelist: [192.0.2.0/24, "2001:db8::1"] }')
  expect(['192.0.2.255', '::ffff:192.0.2.1', '2001:DB8::1'].map(judge)).toEqual([undefined, undefined, undefined])
  expect(['192.0.3.1', '2001:db8::2', ''].map(judge)).toEqual([blocked, blocked, blocked])
})

test('a blacklist blocks its addresses and nobody else', async () => {
  const judge = await judging('{ blacklist: [192.0.2.0/24], message: Go away }')
  expect(judge('192.0.2.1')).toEqual({ ...blocked, message: 'Go away' })
  expect(judge('::ffff:192.0.2.1')).toEqual({ ...blocked, message: 'Go away' })
  expect(judge('192.0.3.1')).toBeUndefined()
})

test('the address is that which a trusted proxy named', async () => {
  const judge = (await configure(plugins, '{ jsonrpc-var: {}, ip-restriction: { whitelist: [192.0.2.1] } }')).plugin('ip-restriction')
  const session = askingSession({ peer: '10.0.0.1' })
  session.remoteAddr = '192.0.2.1'
  expect(judge.open!(session)).toBeUndefined()
})

test.each([
  ['{}', 'needs either whitelist or blacklist'],
  ['{ whitelist: [10.0.0.1], blacklist: [10.0.0.2] }', 'needs either whitelist or blacklist'],
  ['{ whitelist: [] }', 'whitelist'],
  ['{ whitelist: [10.0.0.1, localhost] }', 'ip-restriction.whitelist[1]: must be an address'],
  ['{ blacklist: [10.0.0.0/33] }', 'ip-restriction.blacklist[0]: must be an address'],
])('%s is a problem', async (config, problem) => {
  const { problems } = await configure(plugins, `{ jsonrpc-var: {}, ip-restriction: ${config} }`)
  expect(problems).toEqual([expect.stringContaining(problem)])
})
