import { describe, expect, test } from 'vitest'
import jsonrpcVar from '../../plugins/jsonrpc-var.ts'
import { configure } from '../support/configured.ts'

/** Decodes with a configuration; answers the method of each entry, or why it is none. */
async function read(configuration: string, text: string): Promise<string[]> {
  const plugin = (await configure([jsonrpcVar], `{ jsonrpc-var: ${configuration} }`)).plugin('jsonrpc-var')
  return plugin.decode!(Buffer.from(text)).entries.map((entry) => ('why' in entry ? entry.why : entry.method))
}

const call = (members = '') => `{"jsonrpc":"2.0","id":1,"method":"eth_call"${members}}`
const batch = (size: number) => `[${Array.from({ length: size }, () => call()).join(',')}]`

describe('jsonrpc-var', () => {
  test.each([
    ['{}', call(), ['eth_call']],
    ['{}', call(',"extra":1'), ['unknown-member']],
    ['{ strict: false }', call(',"extra":1'), ['eth_call']],
    ['{}', batch(101), ['batch-too-large']],
    ['{ max_batch: 2 }', batch(2), ['eth_call', 'eth_call']],
    ['{ max_batch: 2 }', batch(3), ['batch-too-large']],
    ['{}', call(`,"params":${'['.repeat(63)}${']'.repeat(63)}`), ['eth_call']],
    ['{}', call(`,"params":${'['.repeat(64)}${']'.repeat(64)}`), ['too-deep']],
    ['{ max_depth: 3 }', call(',"params":[[]]'), ['eth_call']],
    ['{ max_depth: 3 }', call(',"params":[[[]]]'), ['too-deep']],
    ['{}', `{"jsonrpc":"2.0","id":1,"method":"${'m'.repeat(129)}"}`, ['method-too-long']],
    ['{ max_method_length: 4 }', call(), ['method-too-long']],
    ['{}', `{"jsonrpc":"2.0","id":${'1'.repeat(257)},"method":"eth_call"}`, ['id-too-long']],
    ['{ max_id_bytes: 2 }', `{"jsonrpc":"2.0","id":123,"method":"eth_call"}`, ['id-too-long']],
  ])('%s reads %.60s as %j', async (configuration, text, expected) => {
    expect(await read(configuration, text)).toEqual(expected)
  })

  test.each(['{ max_batch: 0 }', '{ max_depth: 100000 }', '{ strict: yes please }', '{ max_body: 1 }'])('%s is refused', async (configuration) => {
    const { problems } = await configure([jsonrpcVar], `{ jsonrpc-var: ${configuration} }`)
    expect(problems).toHaveLength(1)
  })
})
