/** The upstreams of a snapshot: what the schema leaves open, and the files that they name. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { load } from 'js-yaml'
import { ETHEREUM_RULES } from '../../core/upstream/ethereum-rules.ts'
import { build } from './fixtures.ts'

test('the rules that are shipped are those that count where an upstream names none', () => {
  const file = readFileSync(fileURLToPath(new URL('../../conf/upstream-rules.yaml', import.meta.url)), 'utf8')
  const { recent_blocks: recentBlocks, methods } = load(file) as { recent_blocks: number; methods: object }
  expect({ recentBlocks, methods }).toEqual(ETHEREUM_RULES)
})

test('what an upstream says is what nodes are asked by', async () => {
  const text = `
upstreams:
  - id: eth
    type: chash
    key: $consumer_name
    nodes: [{ url: http://127.0.0.1:8545, id: a, methods: [eth_*], tags: [archive] }]
    rules: rules.yaml
    coalesce: false
    hedge: { after: p99, max: 2 }
    broadcast: 3
    batch: { max: 1, wait: 5ms }
    finality: true
    checks:
      active: { interval: 500ms, chain_id: 1, max_lag: 3 }
      passive: { failures: 5, ratio: 0.2, cool_down: 250ms }`
  const { snapshot, files } = await build({
    'gateway.yaml': text,
    'rules.yaml': 'methods: { "state_*": { tags: [archive], block: 0 }, trace: { tags: [trace] } }',
  })
  expect(snapshot!.upstreams).toMatchObject([
    {
      key: '$consumer_name',
      nodes: [{ id: 'a', methods: ['eth_*'], tags: ['archive'] }],
      rules: { recentBlocks: 128, methods: { 'state_*': { tags: ['archive'], block: 0 }, trace: { tags: ['trace'], block: undefined } } },
      coalesce: false,
      multiplex: false,
      hedge: { after: { part: 0.99 }, max: 2 },
      broadcast: 3,
      batch: { max: 1, waitMs: 5 },
      finality: true,
      active: { intervalMs: 500, timeoutMs: 1000, chainId: 1, maxLag: 3, successes: 1, failures: 3 },
      passive: { failures: 5, ratio: 0.2, coolDownMs: 250 },
    },
  ])
  expect(files).toHaveLength(2)
})
