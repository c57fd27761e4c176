import { describe, expect, test } from 'vitest'
import jsonrpcVar from '../../plugins/jsonrpc-var.ts'
import wsJsonrpcProxy from '../../plugins/ws-jsonrpc-proxy.ts'
import { configure } from '../support/configured.ts'

function configureWith(yaml: string) {
  return configure([jsonrpcVar, wsJsonrpcProxy], `{ jsonrpc-var: {}, ws-jsonrpc-proxy: ${yaml} }`)
}

describe('ws-jsonrpc-proxy', () => {
  test('bounds a socket by default', async () => {
    expect((await configureWith('{}')).plugin('ws-jsonrpc-proxy').webSocket).toEqual({
      mode: 'shared',
      maxInFlight: 64,
      maxSubscriptions: 100,
      maxMessageBytes: 1_048_576,
      maxAnswerBytes: 16_777_216,
      maxBufferedBytes: 8_388_608,
      slowConsumer: 'close',
      maxErrors: 100,
      pingIntervalMs: 30_000,
      maxLifetimeMs: undefined,
      compression: false,
      origins: undefined,
    })
  })

  test('takes the bounds that are configured', async () => {
    const configured = await configureWith(
      '{ mode: dedicated, slow_consumer: drop-oldest, ping_interval: 500ms, max_lifetime: 12h, origins: ["https://app.example.com"] }',
    )
    expect(configured.plugin('ws-jsonrpc-proxy').webSocket).toMatchObject({
      mode: 'dedicated',
      slowConsumer: 'drop-oldest',
      pingIntervalMs: 500,
      maxLifetimeMs: 43_200_000,
      origins: ['https://app.example.com'],
    })
  })

  test.each([
    '{ mode: both }',
    '{ ping_interval: soon }',
    '{ ping_interval: 0s }',
    '{ max_lifetime: 0s }',
    '{ max_in_flight: 0 }',
    '{ origins: [] }',
    '{ max_frames: 1 }',
  ])('%s is refused', async (yaml) => {
    expect((await configureWith(yaml)).problems).toHaveLength(1)
  })
})
