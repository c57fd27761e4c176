/** What a node may do, wrong or just unusual, and what becomes of the calls. One row per lie. */
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { CHUNKED, ERROR, HEAD, RESULT, compressed, delays, leftovers, misdeeds } from '../support/misdeeds.ts'
import { http, raw, reply, reset } from '../support/scripted-node.ts'
import { ask, oneNode, upstreamOf } from './fixture.ts'
import type { Script } from '../support/scripted-node.ts'

const ANSWER = 'result {"method":"eth_call","params":[]}'

describe('a single call', () => {
  test.each<readonly [what: string, script: Script, outcome: string]>([
    ['an answer', reply(RESULT), 'result "0x1"'],
    ['an answer in chunks', raw(`${CHUNKED}8\r\n{"id":1,\r\nb\r\n"result":7}\r\n0\r\n\r\n`), 'result 7'],
    ['an answer that ends with the connection', raw(`${HEAD}\r\n${RESULT}`, true), 'result "0x1"'],
    ['an answer after an early hint', raw(`HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n${http('{"id":1,"result":7}')}`), 'result 7'],
    ['an answer with white space around it', reply(` \r\n\t${RESULT} \n`), 'result "0x1"'],
    ['an answer with a foreign content type', reply(RESULT, 200, { 'content-type': 'text/plain' }), 'result "0x1"'],
    ['a null result', reply('{"id":{id},"result":null}'), 'result null'],
    ['a result beside a null error', reply('{"id":{id},"result":5,"error":null}'), 'result 5'],
    ['an error', reply(`{"jsonrpc":"2.0","id":{id},"error":${ERROR}}`), `error ${ERROR}`],
    ['an error with status 400', reply(`{"jsonrpc":"2.0","id":{id},"error":${ERROR}}`, 400), `error ${ERROR}`],
    ['an error with status 503', reply(`{"jsonrpc":"2.0","id":{id},"error":${ERROR}}`, 503), `error ${ERROR}`],
    ['gzip', compressed(gzipSync), 'result "0x1"'],
    ['gzip in two members', compressed((text) => Buffer.concat([gzipSync(text.slice(0, 9)), gzipSync(text.slice(9))])), 'result "0x1"'],
    ['the encoding identity', reply(RESULT, 200, { 'content-encoding': 'identity' }), 'result "0x1"'],
    ...misdeeds,
  ])('is met with %s', async (_what, script, outcome) => {
    const node = await oneNode()
    node.next(script)
    const upstream = upstreamOf([node.url])
    expect(await ask(upstream, 'eth_call')).toEqual([outcome])
    expect(await ask(upstream, 'eth_call'), 'the next call has its own answer').toEqual([ANSWER])
  })

  test.each(delays)('out of patience is met with %s', async (_what, script, outcome) => {
    const node = await oneNode()
    node.next(script)
    const upstream = upstreamOf([node.url], { readTimeoutMs: 200, totalTimeoutMs: 350 })
    expect(await ask(upstream, 'eth_call')).toEqual([outcome])
    await node.deserted()
  })

  test.each(leftovers)('has its answer, and %s is nobody’s', async (_what, script) => {
    const node = await oneNode()
    node.next(script, script)
    const upstream = upstreamOf([node.url])
    for (let i = 0; i < 3; i++) {
      expect(await ask(upstream, 'eth_call')).toEqual([ANSWER])
      await new Promise((resolve) => void setTimeout(resolve, 20))
    }
  })
})

describe('a batch', () => {
  const a = '{"jsonrpc":"2.0","id":{id},"result":"a"}'
  const b = '{"jsonrpc":"2.0","id":{id+1},"result":"b"}'
  const c = '{"jsonrpc":"2.0","id":{id+2},"result":"c"}'
  const missing = 'upstreamUnavailable missing-answer'

  test.each<[what: string, script: Script, outcomes: readonly string[]]>([
    ['all answers', reply(`[${a},${b},${c}]`), ['result "a"', 'result "b"', 'result "c"']],
    ['all answers in another order', reply(`[${c},${a},${b}]`), ['result "a"', 'result "b"', 'result "c"']],
    ['an error among them', reply(`[${a},{"id":{id+1},"error":${ERROR}},${c}]`), ['result "a"', `error ${ERROR}`, 'result "c"']],
    ['one too few', reply(`[${a},${c}]`), ['result "a"', missing, 'result "c"']],
    ['one too many', reply(`[${a},{"id":4711,"result":0},${b},${c}]`), ['result "a"', 'result "b"', 'result "c"']],
    ['one twice', reply(`[${a},${b},${b},${c}]`), ['result "a"', 'upstreamUnavailable duplicate-id', 'result "c"']],
    ['one three times', reply(`[${a},${b},${b},${c},${b}]`), ['result "a"', 'upstreamUnavailable duplicate-id', 'result "c"']],
    ['a fraction as an id', reply(`[${a},{"id":{id+1}.5,"result":0},${c}]`), ['result "a"', missing, 'result "c"']],
    ['a null id', reply(`[${a},{"id":null,"error":${ERROR}},${c}]`), ['result "a"', missing, 'result "c"']],
    ['a member that is no object', reply(`[${a},17,${c}]`), ['result "a"', missing, 'result "c"']],
    ['a member without a result', reply(`[${a},{"id":{id+1},"method":"m"},${c}]`), ['result "a"', 'upstreamUnavailable bad-answer', 'result "c"']],
    ['an empty batch', reply('[]'), [missing, missing, missing]],
    ['one answer', reply(a), ['upstreamUnavailable bad-answer', 'upstreamUnavailable bad-answer', 'upstreamUnavailable bad-answer']],
    [
      'an error of nobody',
      reply(`{"id":null,"error":${ERROR}}`),
      ['upstreamUnavailable null-id', 'upstreamUnavailable null-id', 'upstreamUnavailable null-id'],
    ],
    [
      'an error with status 413',
      reply('Too large', 413),
      ['upstreamUnavailable http-status', 'upstreamUnavailable http-status', 'upstreamUnavailable http-status'],
    ],
    [
      'errors and a result with status 500',
      reply(`[${a},{"id":{id+1},"error":${ERROR}}]`, 500),
      ['upstreamUnavailable http-status', `error ${ERROR}`, 'upstreamUnavailable http-status'],
    ],
    ['half of it', reply(`[${a},${b},{"id":`), ['upstreamUnavailable not-json', 'upstreamUnavailable not-json', 'upstreamUnavailable not-json']],
    ['a reset', reset, ['upstreamUnavailable connection-lost', 'upstreamUnavailable connection-lost', 'upstreamUnavailable connection-lost']],
  ])('is met with %s', async (_what, script, outcomes) => {
    const node = await oneNode()
    node.next(script)
    expect(await ask(upstreamOf([node.url]), 'eth_call', 'eth_getLogs', 'net_version')).toEqual(outcomes)
  })
})
