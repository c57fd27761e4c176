/**
 * One table of cases for every transport: what a caller sends, what comes back, what reached the node, and what was
 * charged. A new rule is a new row. A row says nothing about how frames travel; rows that do are in http-cases.ts.
 */
import { expect } from 'vitest'
import { hang, raw, reply, reset } from '../support/scripted-node.ts'
import type { Config } from '../support/gateway.ts'
import type { Script } from '../support/scripted-node.ts'

/** A caller with a plan of its own; quotas in CU, without them no limit. */
interface Caller {
  readonly tier?: 'free' | 'paid'
  readonly seconds?: number
  readonly month?: number
}

/** One member of an answer, ids and results as source text. */
export type Expected =
  | { readonly id: string; readonly result: string }
  | { readonly id: string; readonly error: string }
  | { readonly id: string; readonly code: number; readonly reason: string; readonly message?: RegExp; readonly data?: Readonly<Record<string, unknown>> }

export interface Case {
  readonly name: string
  /** Which gateway; `usual` where it is not said. */
  readonly world?: keyof typeof worlds
  /** Without a key, with a wrong one, or on a plan; by default on a free plan without limits. */
  readonly caller?: Caller | 'nobody' | 'stranger'
  /** The network in the path; by default `eth`. */
  readonly network?: string
  /** Frames that the same caller sends before, their answers unseen. */
  readonly after?: readonly string[]
  readonly send: string | Uint8Array
  /** What the node does with the request; by default it echoes method and params as `echo` does. */
  readonly node?: Script
  /** What comes back: one answer, the answers of a batch, or undefined for silence. */
  readonly answer: Expected | readonly Expected[] | undefined
  /** HTTP status; 200 with an answer and 204 with silence where it is not said. */
  readonly status?: number
  /** What the node was asked, `method` or `method params`, source text; by default nothing. */
  readonly reached?: readonly string[]
  /** CU; by default 0. */
  readonly charged?: number
  /** Headers of an HTTP answer, by lower-case name; a text, a matcher, or undefined where it must be missing. */
  readonly headers?: Readonly<Record<string, unknown>>
}

/** Changes to `basic`'s plugins, route and files. */
export interface World {
  readonly plugins?: Readonly<Record<string, Config>>
  readonly route?: Config
  readonly files?: Readonly<Record<string, Config>>
}

/** The gateways that the cases run against. */
export const worlds = {
  usual: {},
  lenient: { plugins: { 'jsonrpc-var': { strict: false } } },
  narrow: { plugins: { 'jsonrpc-var': { max_batch: 2, max_depth: 4, max_method_length: 8, max_id_bytes: 4 } } },
  together: { route: { on_batch_refusal: 'all' } },
  guarded: { plugins: { guard: { methods: ['eth_call', 'eth_get*'], message: 'Down for maintenance' } } },
  closed: { plugins: { guard: {} } },
  priced: { files: { 'cu-pricing.yaml': { default: 3, methods: { eth_call: 5, eth_blockNumber: 0 }, networks: { eth: { methods: { eth_call: 50 } } } } } },
  ranged: { plugins: { 'limit-range': { max_blocks: { free: 10, paid: 100 }, split: 50 } } },
  parametric: {
    files: {
      'cu-pricing.yaml': {
        default: 1,
        methods: {
          eth_getLogs: { base: 10, per_1000_blocks: 5, per_kib_result: 0.5, max: 100 },
          eth_getBalance: { base: 2, archive: { multiply: 3 } },
          'debug_*': { base: 20, tracers: { callTracer: 30, prestateTracer: 60 } },
        },
      },
    },
  },
  cached: {
    plugins: { 'response-cache': {} },
    files: { 'cu-pricing.yaml': { default: 1, methods: { eth_chainId: 4, eth_call: 5 }, cache_hit_cost: 0.5 } },
  },
} satisfies Record<string, World>

/** What the node answers by itself. */
function echo(method: string, params = 'null'): string {
  return `{"method":"${method}","params":${params}}`
}

const ok = (id: string, method: string, params?: string): Expected => ({ id, result: echo(method, params) })
const no = (id: string, code: number, reason: string, more: { message?: RegExp; data?: Readonly<Record<string, unknown>> } = {}): Expected => ({
  id,
  code,
  reason,
  ...more,
})
const call = (id: string, method: string, params?: string): string =>
  `{"jsonrpc":"2.0","id":${id},"method":"${method}"${params === undefined ? '' : `,"params":${params}`}}`
const notify = (method: string): string => `{"jsonrpc":"2.0","method":"${method}"}`
const blockNumber = call('1', 'eth_blockNumber')

const ids: readonly Case[] = [
  '1',
  '0',
  '-0',
  '-1',
  '1e3',
  '1.50',
  '123456789012345678901234567890',
  '"a"',
  '""',
  '"1"',
  '"\\ud800"',
  '"\\u00e9\\/"',
  '"é"',
  'null',
].map((id) => ({
  name: `the id ${id} comes back as it was written`,
  send: call(id, 'eth_blockNumber'),
  answer: ok(id, 'eth_blockNumber'),
  reached: ['eth_blockNumber'],
  charged: 1,
}))

const badIds: readonly Case[] = ['{}', '[]', '[1]', 'true', 'false'].map((id) => ({
  name: `the id ${id} is none`,
  send: call(id, 'eth_blockNumber'),
  answer: no('null', -32600, 'bad-id'),
}))

const params: readonly Case[] = [
  '[]',
  '{}',
  '[ 1.0 , 1e400 , -0 ]',
  '[1234567890123456789012345678901234567890]',
  '["\\ud800","\\u0041","\\/","é😀"]',
  '{"b":1,"a":2,"a":3}',
  '[{"__proto__":{"method":"debug_traceCall"}}]',
  '[[[[[["deep"]]]]]]',
].map((text) => ({
  name: `params ${text} and a result that holds them keep their text`,
  send: call('1', 'eth_call', ` ${text} `),
  answer: ok('1', 'eth_call', text),
  reached: [`eth_call ${text}`],
  charged: 5,
}))

const parseErrors: readonly Case[] = (
  [
    ['an empty frame', '', 'empty'],
    ['white space', ' \n', 'not-json'],
    ['a cut request', blockNumber.slice(0, -1), 'not-json'],
    ['a second document', blockNumber + call('2', 'debug_traceCall'), 'trailing-bytes'],
    ['a second document on its own line', `${blockNumber}\n${call('2', 'debug_traceCall')}`, 'trailing-bytes'],
    ['a byte order mark', `\ufeff${blockNumber}`, 'not-json'],
    ['a trailing NUL', `${blockNumber}\0`, 'trailing-bytes'],
    ['a comment', `/**/${blockNumber}`, 'not-json'],
    ['a trailing comma in a batch', `[${blockNumber},]`, 'not-json'],
    ['single quotes', blockNumber.replaceAll('"', "'"), 'not-json'],
    ['a raw newline in a string', call('1', 'eth\n_call'), 'not-json'],
  ] as const
).map(([name, send, reason]) => ({ name: `${name} is a parse error and reaches no node`, send, answer: no('null', -32700, reason) }))

const invalidRequests: readonly Case[] = (
  [
    ['a case variant of a member', '{"jsonrpc":"2.0","id":1,"method":"eth_call","Method":"debug_traceCall"}', '1', 'unknown-member'],
    ['a name that folds to params', '{"jsonrpc":"2.0","id":1,"method":"eth_call","paramſ":[]}', '1', 'unknown-member'],
    ['an unknown member', '{"jsonrpc":"2.0","id":1,"method":"eth_call","extra":1}', '1', 'unknown-member'],
    ['a method that stands twice', '{"jsonrpc":"2.0","id":1,"method":"eth_call","method":"debug_traceCall"}', '1', 'duplicate-member'],
    ['params that stand twice', '{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[],"params":[1]}', '1', 'duplicate-member'],
    ['an id that stands twice', '{"jsonrpc":"2.0","id":1,"id":2,"method":"eth_call"}', 'null', 'duplicate-member'],
    ['an escaped member name', '{"jsonrpc":"2.0","id":1,"\\u006dethod":"eth_call"}', '1', 'escaped-member'],
    ['an escaped twin', '{"jsonrpc":"2.0","id":1,"method":"eth_call","m\\u0065thod":"debug_traceCall"}', '1', 'escaped-member'],
    ['no version', '{"id":1,"method":"eth_call"}', '1', 'bad-version'],
    ['version 1.0', '{"jsonrpc":"1.0","id":1,"method":"eth_call"}', '1', 'bad-version'],
    ['no method', '{"jsonrpc":"2.0","id":1}', '1', 'bad-method'],
    ['a method that is a number', '{"jsonrpc":"2.0","id":1,"method":1}', '1', 'bad-method'],
    ['an empty method', '{"jsonrpc":"2.0","id":1,"method":""}', '1', 'bad-method'],
    ['half a surrogate pair in the method', '{"jsonrpc":"2.0","id":1,"method":"eth_\\ud800"}', '1', 'bad-method'],
    ['params that are a string', '{"jsonrpc":"2.0","id":1,"method":"eth_call","params":"x"}', '1', 'bad-params'],
    ['params that are null', '{"jsonrpc":"2.0","id":1,"method":"eth_call","params":null}', '1', 'bad-params'],
    ['a number', '1', 'null', 'not-an-object'],
    ['null', 'null', 'null', 'not-an-object'],
    ['an empty object', '{}', 'null', 'bad-version'],
    ['an empty batch', '[]', 'null', 'empty-batch'],
    ['65 levels', `{"jsonrpc":"2.0","id":1,"method":"eth_call","params":${'['.repeat(64)}${']'.repeat(64)}}`, 'null', 'too-deep'],
    ['100 000 levels', '['.repeat(100_000), 'null', 'too-deep'],
    ['a method of 129 characters', call('1', 'm'.repeat(129)), '1', 'method-too-long'],
    ['an id of 257 bytes', call('9'.repeat(257), 'eth_call'), 'null', 'id-too-long'],
    ['a batch of 101', `[${Array.from({ length: 101 }, () => blockNumber).join(',')}]`, 'null', 'batch-too-large'],
  ] as const
).map(([name, send, id, reason]) => ({ name: `${name} is an invalid request and reaches no node`, send, answer: no(id, -32600, reason) }))

const decoding: readonly Case[] = [
  {
    name: 'bytes that are not UTF-8 are a parse error',
    send: Buffer.from(`{"jsonrpc":"2.0","id":"\xff","method":"eth_call"}`, 'latin1'),
    answer: no('null', -32700, 'not-utf8'),
  },
  { name: 'UTF-16 is a parse error', send: Buffer.from(`\ufeff${blockNumber}`, 'utf16le'), answer: no('null', -32700, 'not-utf8') },
  {
    name: 'a method written in escapes is judged by what it means',
    send: call('1', '\\u0065th_blockNumber'),
    answer: ok('1', 'eth_blockNumber'),
    reached: ['eth_blockNumber'],
    charged: 1,
  },
  { name: 'a method written in escapes is refused by what it means', send: call('1', 'eth_\\u0073ign'), answer: no('1', -32601, 'not-offered'), status: 405 },
  {
    name: 'with strict: false, unknown members are dropped and the node never sees them',
    world: 'lenient',
    send: '{"jsonrpc":"2.0","id":1,"method":"eth_call","Method":"debug_traceCall","extra":{"a":1}}',
    answer: ok('1', 'eth_call'),
    reached: ['eth_call'],
    charged: 5,
  },
  {
    name: 'with strict: false, a duplicate is refused all the same',
    world: 'lenient',
    send: '{"jsonrpc":"2.0","id":1,"method":"eth_call","method":"eth_call"}',
    answer: no('1', -32600, 'duplicate-member'),
  },
  {
    name: 'max_batch refuses the whole batch',
    world: 'narrow',
    send: `[${call('1', 'net_x')},${call('2', 'net_x')},${call('3', 'net_x')}]`,
    answer: no('null', -32600, 'batch-too-large'),
  },
  { name: 'max_depth counts the request object', world: 'narrow', send: call('1', 'eth_call', '[[[[]]]]'), answer: no('null', -32600, 'too-deep') },
  { name: 'max_method_length counts characters', world: 'narrow', send: call('1', 'eth_calls'), answer: no('1', -32600, 'method-too-long') },
  { name: 'max_id_bytes counts the quotes', world: 'narrow', send: call('"abc"', 'eth_call'), answer: no('null', -32600, 'id-too-long') },
]

const notifications: readonly Case[] = [
  {
    name: 'a notification is judged, charged and forwarded, and met with silence',
    send: notify('eth_call'),
    answer: undefined,
    reached: ['eth_call'],
    charged: 5,
  },
  { name: 'a refused notification is met with silence, and costs nothing', send: notify('eth_sign'), answer: undefined },
  {
    name: 'a batch of notifications is met with silence',
    send: `[${notify('eth_call')},${notify('eth_chainId')},${notify('eth_sign')}]`,
    answer: undefined,
    reached: ['eth_call', 'eth_chainId'],
    charged: 6,
  },
  {
    name: 'a notification in a batch has no answer in it',
    send: `[${call('1', 'eth_chainId')},${notify('eth_call')},${call('2', 'eth_blockNumber')}]`,
    answer: [ok('1', 'eth_chainId'), ok('2', 'eth_blockNumber')],
    reached: ['eth_chainId', 'eth_call', 'eth_blockNumber'],
    charged: 7,
  },
  { name: 'the id null makes no notification', send: call('null', 'eth_sign'), answer: no('null', -32601, 'not-offered'), status: 405 },
]

const batches: readonly Case[] = [
  {
    name: 'a batch is answered member by member in its order, and only what is allowed reaches the node',
    send: `[${call('1', 'eth_blockNumber')},${call('2', 'eth_sign')},${call('3', 'no_such')},${notify('eth_chainId')},{"garbage":true},7]`,
    answer: [
      ok('1', 'eth_blockNumber'),
      no('2', -32601, 'not-offered'),
      no('3', -32601, 'not-offered'),
      no('null', -32600, 'unknown-member'),
      no('null', -32600, 'not-an-object'),
    ],
    reached: ['eth_blockNumber', 'eth_chainId'],
    charged: 2,
  },
  {
    name: 'a batch of one is answered with a batch of one',
    send: `[${blockNumber}]`,
    answer: [ok('1', 'eth_blockNumber')],
    reached: ['eth_blockNumber'],
    charged: 1,
  },
  {
    name: 'two calls with the same id have two answers',
    send: `[${blockNumber},${call('1', 'eth_chainId')}]`,
    answer: [ok('1', 'eth_blockNumber'), ok('1', 'eth_chainId')],
    reached: ['eth_blockNumber', 'eth_chainId'],
    charged: 2,
  },
  {
    name: 'a batch in which all are refused alike has the status of that refusal',
    send: `[${call('1', 'eth_sign')},${call('2', 'no_such')}]`,
    answer: [no('1', -32601, 'not-offered'), no('2', -32601, 'not-offered')],
    status: 405,
  },
  {
    name: 'a batch in which all are refused, each for another reason, has status 200',
    send: `[${call('1', 'eth_sign')},1]`,
    answer: [no('1', -32601, 'not-offered'), no('null', -32600, 'not-an-object')],
  },
  {
    name: 'a batch of 100 is taken',
    send: `[${Array.from({ length: 100 }, (_, i) => call(String(i), 'eth_chainId')).join(',')}]`,
    answer: Array.from({ length: 100 }, (_, i) => ok(String(i), 'eth_chainId')),
    reached: Array.from({ length: 100 }, () => 'eth_chainId'),
    charged: 100,
  },
  {
    name: 'with on_batch_refusal: all, one refused member refuses the batch, and nothing is asked or charged',
    world: 'together',
    send: `[${blockNumber},${call('2', 'eth_sign')},${call('3', 'eth_call')}]`,
    answer: [no('1', -32003, 'batch-refused'), no('2', -32601, 'not-offered'), no('3', -32003, 'batch-refused')],
  },
  {
    name: 'with on_batch_refusal: all, a batch without a refusal passes',
    world: 'together',
    send: `[${blockNumber},${notify('eth_call')}]`,
    answer: [ok('1', 'eth_blockNumber')],
    reached: ['eth_blockNumber', 'eth_call'],
    charged: 6,
  },
]

const offers: readonly Case[] = [
  {
    name: 'a method that is not offered is refused',
    send: call('1', 'eth_sign', '[]'),
    answer: no('1', -32601, 'not-offered', { message: /not offered/ }),
    status: 405,
  },
  { name: 'a method in another letter case is another method', send: call('1', 'ETH_CALL'), answer: no('1', -32601, 'not-offered'), status: 405 },
  {
    name: 'a method for paid plans is refused on a free one, and the message says so',
    send: call('1', 'debug_traceCall'),
    answer: no('1', -32601, 'paid-only', { message: /paid/ }),
    status: 405,
  },
  {
    name: 'a method for paid plans is offered on one',
    caller: { tier: 'paid' },
    send: call('1', 'debug_traceCall', '[{}]'),
    answer: ok('1', 'debug_traceCall', '[{}]'),
    reached: ['debug_traceCall [{}]'],
    charged: 20,
  },
  {
    name: 'a paid plan has what a free one has',
    caller: { tier: 'paid' },
    send: blockNumber,
    answer: ok('1', 'eth_blockNumber'),
    reached: ['eth_blockNumber'],
    charged: 1,
  },
]

const guards: readonly Case[] = [
  {
    name: 'a guard refuses before anything is charged',
    world: 'guarded',
    send: call('1', 'eth_call'),
    answer: no('1', -32003, 'blocked', { message: /^Down for maintenance$/ }),
    status: 403,
  },
  {
    name: 'a guard with a filter lets the rest pass',
    world: 'guarded',
    send: blockNumber,
    answer: ok('1', 'eth_blockNumber'),
    reached: ['eth_blockNumber'],
    charged: 1,
  },
  {
    name: 'a guard refuses member by member',
    world: 'guarded',
    send: `[${call('1', 'eth_getBalance')},${call('2', 'eth_chainId')}]`,
    answer: [no('1', -32003, 'blocked'), ok('2', 'eth_chainId')],
    reached: ['eth_chainId'],
    charged: 1,
  },
  { name: 'a guard without a filter refuses everything', world: 'closed', send: blockNumber, answer: no('1', -32003, 'blocked'), status: 403 },
  { name: 'a guard knows a method in any letter case', world: 'guarded', send: call('1', 'eTh_CaLl'), answer: no('1', -32003, 'blocked'), status: 403 },
]

const callers: readonly Case[] = [
  {
    name: 'a call without a key is refused',
    caller: 'nobody',
    send: blockNumber,
    answer: no('1', -32002, 'missing-key', { message: /^Missing API key found in request$/ }),
    status: 401,
  },
  {
    name: 'a call with an unknown key is refused',
    caller: 'stranger',
    send: blockNumber,
    answer: no('1', -32002, 'invalid-key', { message: /^Invalid API key in request$/ }),
    status: 401,
  },
]

const prices: readonly Case[] = [
  {
    name: 'the exact price stands before a prefix',
    caller: { tier: 'paid' },
    send: call('1', 'trace_block'),
    answer: ok('1', 'trace_block'),
    reached: ['trace_block'],
    charged: 50,
  },
  {
    name: 'a prefix prices what it fits',
    caller: { tier: 'paid' },
    send: call('1', 'debug_getRawBlock'),
    answer: ok('1', 'debug_getRawBlock'),
    reached: ['debug_getRawBlock'],
    charged: 20,
  },
  {
    name: 'what no price fits costs the default',
    send: call('1', 'eth_getLogs', '[{}]'),
    world: 'priced',
    answer: ok('1', 'eth_getLogs', '[{}]'),
    reached: ['eth_getLogs [{}]'],
    charged: 3,
  },
  {
    name: "a network's own price stands before the general one",
    world: 'priced',
    send: call('1', 'eth_call'),
    answer: ok('1', 'eth_call'),
    reached: ['eth_call'],
    charged: 50,
    headers: { 'x-cu-cost': '50' },
  },
  {
    name: 'a price may be 0',
    world: 'priced',
    caller: { seconds: 1 },
    after: [blockNumber, blockNumber, blockNumber],
    send: blockNumber,
    answer: ok('1', 'eth_blockNumber'),
    reached: ['eth_blockNumber'],
    charged: 0,
  },
  {
    name: 'a batch costs the sum of its calls',
    send: `[${call('1', 'eth_call')},${call('2', 'eth_getBalance')}]`,
    answer: [ok('1', 'eth_call'), ok('2', 'eth_getBalance')],
    reached: ['eth_call', 'eth_getBalance'],
    charged: 7,
    headers: { 'x-cu-cost': '7' },
  },
]

const limits: readonly Case[] = [
  {
    name: 'a call within the limit passes, and the answer says how the budget stands',
    caller: { seconds: 10 },
    send: call('1', 'eth_call'),
    answer: ok('1', 'eth_call'),
    reached: ['eth_call'],
    charged: 5,
    headers: { 'x-ratelimit-limit': '10', 'x-ratelimit-remaining': '5', 'x-ratelimit-reset': expect.stringMatching(/^[12]$/) as unknown, 'x-cu-cost': '5' },
  },
  {
    name: 'the last CU may be spent',
    caller: { seconds: 10 },
    after: [call('1', 'eth_call')],
    send: call('1', 'eth_call'),
    answer: ok('1', 'eth_call'),
    reached: ['eth_call'],
    charged: 5,
    headers: { 'x-ratelimit-remaining': '0' },
  },
  {
    name: 'a call above what is left is refused and costs nothing',
    caller: { seconds: 10 },
    after: [call('1', 'eth_call'), call('2', 'eth_getBalance')],
    send: call('3', 'eth_call'),
    answer: no('3', -32005, 'rate', { message: /3 of 10 CU/, data: { cu: 5, limit: 10, retry_after_ms: expect.any(Number) as unknown } }),
    status: 429,
    headers: { 'retry-after': expect.stringMatching(/^[1-9]/) as unknown, 'x-ratelimit-remaining': '3' },
  },
  {
    name: 'a cheaper call still passes where a dearer one was refused',
    caller: { seconds: 6 },
    after: [call('1', 'eth_call'), call('2', 'eth_call')],
    send: blockNumber,
    answer: ok('1', 'eth_blockNumber'),
    reached: ['eth_blockNumber'],
    charged: 1,
  },
  {
    name: 'a batch is served in order as far as the budget goes',
    caller: { seconds: 7 },
    send: `[${call('1', 'eth_call')},${call('2', 'eth_call')},${call('3', 'eth_getBalance')},${notify('eth_chainId')}]`,
    answer: [ok('1', 'eth_call'), no('2', -32005, 'rate'), ok('3', 'eth_getBalance')],
    reached: ['eth_call', 'eth_getBalance'],
    charged: 7,
  },
  {
    name: 'a cost above the whole limit is told so, and there is nothing to wait for',
    caller: { seconds: 4 },
    send: call('1', 'eth_call'),
    answer: no('1', -32005, 'cost-above-limit', { message: /costs 5 CU, more than the whole limit of 4 CU/, data: { cu: 5, limit: 4 } }),
    status: 429,
    headers: { 'retry-after': undefined },
  },
  {
    name: 'a quota of 0 gives nothing',
    caller: { seconds: 0 },
    send: blockNumber,
    answer: no('1', -32005, 'no-quota'),
    status: 429,
    headers: { 'retry-after': undefined },
  },
  { name: 'a monthly quota of 0 gives nothing', caller: { month: 0 }, send: blockNumber, answer: no('1', -32005, 'no-quota'), status: 429 },
  {
    name: 'a call within the month passes, and the answer says how the month stands',
    caller: { month: 100 },
    send: call('1', 'eth_call'),
    answer: ok('1', 'eth_call'),
    reached: ['eth_call'],
    charged: 5,
    headers: { 'x-monthly-quota': '100', 'x-monthly-used': '5', 'x-monthly-remaining': '95' },
  },
  {
    name: 'a month that is spent refuses',
    caller: { month: 6 },
    after: [call('1', 'eth_call')],
    send: call('2', 'eth_getBalance'),
    answer: no('2', -32005, 'monthly-quota', { data: { cu: 2, limit: 6 } }),
    status: 429,
    headers: { 'x-monthly-used': '5', 'x-monthly-remaining': '1' },
  },
  {
    name: 'a call that one budget refuses draws nothing from the other',
    caller: { seconds: 100, month: 6 },
    after: [call('1', 'eth_call'), call('2', 'eth_call'), call('3', 'eth_call')],
    send: blockNumber,
    answer: ok('1', 'eth_blockNumber'),
    reached: ['eth_blockNumber'],
    charged: 1,
    headers: { 'x-ratelimit-remaining': '94', 'x-monthly-remaining': '0' },
  },
  {
    name: 'a refused call draws nothing',
    caller: { seconds: 5 },
    after: [call('1', 'eth_sign'), 'garbage', call('2', 'debug_traceCall')],
    send: call('3', 'eth_call'),
    answer: ok('3', 'eth_call'),
    reached: ['eth_call'],
    charged: 5,
  },
  {
    name: 'with on_batch_refusal: all, a batch above the budget draws nothing',
    world: 'together',
    caller: { seconds: 7 },
    send: `[${call('1', 'eth_call')},${call('2', 'eth_call')}]`,
    answer: [no('1', -32003, 'batch-refused'), no('2', -32005, 'cost-above-limit')],
  },
  {
    name: 'a notification is limited like any call',
    caller: { seconds: 5 },
    after: [notify('eth_call')],
    send: call('1', 'eth_blockNumber'),
    answer: no('1', -32005, 'rate'),
    status: 429,
  },
]

const span = (from: string, to: string, more = ''): string => `[{"fromBlock":"${from}","toBlock":"${to}"${more}}]`

const ranges: readonly Case[] = [
  {
    name: 'a range within the limit passes, and the node reads the filter that was judged',
    world: 'ranged',
    send: call('1', 'eth_getLogs', ' [ { "topics":[null, "0xa"], "toBlock" : "0xa" ,"fromBlock":"0x1" } ] '),
    answer: ok('1', 'eth_getLogs', span('0x1', '0xa', ',"topics":[null,"0xa"]')),
    reached: [`eth_getLogs ${span('0x1', '0xa', ',"topics":[null,"0xa"]')}`],
    charged: 10,
  },
  {
    name: 'a longer range is refused, and costs nothing',
    world: 'ranged',
    send: call('1', 'eth_getLogs', span('0x1', '0xb')),
    answer: no('1', -32602, 'range-too-long', { message: /11 blocks long; ask for at most 10/, data: { limit: 10 } }),
  },
  {
    name: 'a paid plan may ask for more, in parts that are answered as one',
    world: 'ranged',
    caller: { tier: 'paid' },
    send: call('"x"', 'eth_getLogs', span('0x1', '0x64')),
    node: reply('[{"jsonrpc":"2.0","id":{id+1},"result":[ 3 ]},{"jsonrpc":"2.0","id":{id},"result":[1.0, 2]}]'),
    answer: { id: '"x"', result: '[1.0, 2,3 ]' },
    reached: [`eth_getLogs ${span('0x1', '0x32')}`, `eth_getLogs ${span('0x33', '0x64')}`],
    charged: 10,
  },
  {
    name: 'a range whose length nobody knows is refused',
    world: 'ranged',
    send: call('1', 'eth_getLogs', span('0x1', 'latest')),
    answer: no('1', -32602, 'unknown-head'),
  },
  ...(
    [
      ['a member in another letter case', '[{"fromblock":"0x0","fromBlock":"0x1","toBlock":"0x1"}]'],
      ['a member that stands twice', '[{"fromBlock":"0x0","fromBlock":"0x1","toBlock":"0x1"}]'],
      ['a member that stands twice, once in escapes', '[{"fromBlock":"0x1","\\u0066romBlock":"0x0","toBlock":"0x1"}]'],
      ['an unknown member', '[{"fromBlock":"0x1","toBlock":"0x1","limit":1}]'],
      ['leading zeros', span('0x00', '0x1')],
      ['an upper-case prefix', span('0X0', '0x1')],
      ['a huge number', span('0x0', '0xffffffffffffffffffff')],
      ['a range that ends before it begins', span('0x2', '0x1')],
      ['a tag in another letter case', span('Earliest', '0x1')],
      ['a JSON number', '[{"fromBlock":0,"toBlock":"0x1"}]'],
      ['two filters', '[{},{"fromBlock":"0x0"}]'],
      ['params by name', '{"filter":{"fromBlock":"0x0"}}'],
      ['no params', undefined],
    ] as const
  ).map(([what, params]) => ({
    name: `a filter with ${what} is refused, and reaches no node`,
    world: 'ranged' as const,
    send: call('1', 'eth_getLogs', params),
    answer: no('1', -32602, 'bad-filter', { message: /^Invalid params: / }),
  })),
]

const parametric: readonly Case[] = [
  {
    name: 'a span of blocks has its price',
    world: 'parametric',
    send: call('1', 'eth_getLogs', span('0x1', '0x7d0')),
    answer: ok('1', 'eth_getLogs', span('0x1', '0x7d0')),
    reached: [`eth_getLogs ${span('0x1', '0x7d0')}`],
    charged: 20,
    headers: { 'x-cu-cost': '20' },
  },
  {
    name: 'the bytes of an answer have their price',
    world: 'parametric',
    send: call('1', 'eth_getLogs', '[{}]'),
    node: reply(`{"jsonrpc":"2.0","id":{id},"result":["${'x'.repeat(3 * 1024)}"]}`),
    answer: { id: '1', result: `["${'x'.repeat(3 * 1024)}"]` },
    reached: ['eth_getLogs [{}]'],
    charged: 11.5,
    headers: { 'x-cu-cost': '11.5' },
  },
  {
    name: 'what is not known ahead is drawn at its most',
    world: 'parametric',
    caller: { seconds: 150 },
    send: `[${call('1', 'eth_getLogs', '[{}]')},${call('2', 'eth_getLogs', '[{}]')}]`,
    answer: [ok('1', 'eth_getLogs', '[{}]'), no('2', -32005, 'rate', { data: { cu: 100, limit: 150 } })],
    reached: ['eth_getLogs [{}]'],
    charged: 10,
  },
  {
    name: 'and given back once it is known',
    world: 'parametric',
    caller: { seconds: 120, month: 120 },
    after: [call('1', 'eth_getLogs', '[{}]'), call('2', 'eth_getLogs', '[{}]')],
    send: call('3', 'eth_getLogs', '[{}]'),
    answer: ok('3', 'eth_getLogs', '[{}]'),
    reached: ['eth_getLogs [{}]'],
    charged: 10,
  },
  {
    name: 'a call that no node answers is given back whole',
    world: 'parametric',
    caller: { seconds: 100 },
    send: call('1', 'eth_getLogs', '[{}]'),
    node: reset,
    answer: no('1', -32010, 'connection-lost'),
    status: 502,
    reached: ['eth_getLogs [{}]'],
    headers: { 'x-cu-cost': '0' },
  },
  {
    name: 'what is drawn at its most has to fit',
    world: 'parametric',
    caller: { seconds: 100 },
    after: [call('1', 'eth_getLogs', '[{}]')],
    send: call('2', 'eth_getLogs', '[{}]'),
    answer: no('2', -32005, 'rate', { data: { cu: 100, limit: 100 } }),
    status: 429,
  },
  {
    name: 'a range whose length nobody knows costs the most',
    world: 'parametric',
    send: call('1', 'eth_getLogs', span('0x1', 'latest')),
    answer: ok('1', 'eth_getLogs', span('0x1', 'latest')),
    reached: [`eth_getLogs ${span('0x1', 'latest')}`],
    charged: 100,
  },
  {
    name: 'an old block has its price, and a block whose age nobody knows is old',
    world: 'parametric',
    send: `[${call('1', 'eth_getBalance', '["0xa","0x1"]')},${call('2', 'eth_getBalance', '["0xa","latest"]')}]`,
    answer: [ok('1', 'eth_getBalance', '["0xa","0x1"]'), ok('2', 'eth_getBalance', '["0xa","latest"]')],
    reached: ['eth_getBalance ["0xa","0x1"]', 'eth_getBalance ["0xa","latest"]'],
    charged: 8,
  },
  {
    name: 'a tracer has its price',
    world: 'parametric',
    caller: { tier: 'paid' },
    send: `[${call('1', 'debug_traceTransaction', '["0x1",{"tracer":"callTracer"}]')},${call('2', 'debug_traceTransaction', '["0x1",{"TRACER":"callTracer"}]')}]`,
    answer: [ok('1', 'debug_traceTransaction', '["0x1",{"tracer":"callTracer"}]'), ok('2', 'debug_traceTransaction', '["0x1",{"TRACER":"callTracer"}]')],
    reached: ['debug_traceTransaction ["0x1",{"tracer":"callTracer"}]', 'debug_traceTransaction ["0x1",{"TRACER":"callTracer"}]'],
    charged: 90,
  },
]

const kept: readonly Case[] = [
  {
    name: 'what was answered before reaches no node, has the new id, and costs a part of its price',
    world: 'cached',
    after: [call('1', 'eth_chainId', '[1]')],
    send: call('"other"', 'eth_chainId', ' [ 1 ] '),
    answer: ok('"other"', 'eth_chainId', '[1]'),
    charged: 2,
    headers: { 'x-cache': 'HIT', 'x-cu-cost': '2' },
  },
  {
    name: 'what was not answered before reaches the node, and costs its price',
    world: 'cached',
    send: call('1', 'eth_chainId', '[2]'),
    answer: ok('1', 'eth_chainId', '[2]'),
    reached: ['eth_chainId [2]'],
    charged: 4,
    headers: { 'x-cache': 'MISS', 'x-cu-cost': '4' },
  },
  {
    name: 'what must not be kept reaches the node each time',
    world: 'cached',
    after: [call('1', 'eth_sendRawTransaction', '["0x"]')],
    send: call('1', 'eth_sendRawTransaction', '["0x"]'),
    answer: ok('1', 'eth_sendRawTransaction', '["0x"]'),
    reached: ['eth_sendRawTransaction ["0x"]'],
    charged: 1,
    headers: { 'x-cache': 'BYPASS' },
  },
  {
    name: 'of a batch, only what was not answered before reaches the node',
    world: 'cached',
    after: [call('1', 'eth_chainId', '[3]')],
    send: `[${call('1', 'eth_chainId', '[3]')},${call('2', 'eth_call')},${call('3', 'eth_chainId', '[3]')}]`,
    answer: [ok('1', 'eth_chainId', '[3]'), ok('2', 'eth_call'), ok('3', 'eth_chainId', '[3]')],
    reached: ['eth_call'],
    charged: 9,
    headers: { 'x-cache': 'MISS' },
  },
  {
    name: 'a caller above the limit is refused, whatever is kept',
    world: 'cached',
    caller: { seconds: 5 },
    after: [call('1', 'eth_chainId', '[4]')],
    send: call('2', 'eth_chainId', '[4]'),
    answer: no('2', -32005, 'rate', { data: { cu: 2, limit: 5 } }),
    status: 429,
    headers: { 'x-cache': undefined },
  },
]

const nodes: readonly Case[] = [
  {
    name: "a node's error passes unchanged, and is charged",
    send: call('"x"', 'eth_call'),
    node: reply('{"jsonrpc":"2.0","id":{id},"error":{"code":3, "message":"execution reverted","data":"0x08c379a0","x":1.0}}'),
    answer: { id: '"x"', error: '{"code":3, "message":"execution reverted","data":"0x08c379a0","x":1.0}' },
    reached: ['eth_call'],
    charged: 5,
  },
  {
    name: 'a result with a number of 40 digits keeps them',
    send: call('7', 'eth_call'),
    node: reply('{"jsonrpc":"2.0","id":{id},"result":{"n": 1234567890123456789012345678901234567890, "e":1e400}}'),
    answer: { id: '7', result: '{"n": 1234567890123456789012345678901234567890, "e":1e400}' },
    reached: ['eth_call'],
    charged: 5,
  },
  {
    name: 'a result may be null',
    send: call('7', 'eth_call'),
    node: reply('{"jsonrpc":"2.0","id":{id},"result":null}'),
    answer: { id: '7', result: 'null' },
    reached: ['eth_call'],
    charged: 5,
  },
  {
    name: 'a node that resets the connection is unavailable, and the call is refunded',
    send: call('1', 'eth_sendRawTransaction', '["0x"]'),
    node: reset,
    answer: no('1', -32010, 'connection-lost'),
    status: 502,
    reached: ['eth_sendRawTransaction ["0x"]'],
  },
  {
    name: 'a node that does not answer in time is a timeout, and the call is refunded',
    send: call('1', 'eth_call'),
    node: hang,
    answer: no('1', -32011, 'read-timeout'),
    status: 504,
    reached: ['eth_call'],
  },
  {
    name: 'an HTML page is no answer',
    send: call('1', 'eth_call'),
    node: reply('<html>502 Bad Gateway</html>', 502, { 'content-type': 'text/html' }),
    answer: no('1', -32010, 'http-status'),
    status: 502,
    reached: ['eth_call'],
  },
  {
    name: 'an answer with another id is no answer',
    send: call('1', 'eth_call'),
    node: reply('{"jsonrpc":"2.0","id":424242,"result":"0x1"}'),
    answer: no('1', -32010, 'wrong-id'),
    status: 502,
    reached: ['eth_call'],
  },
  {
    name: 'a truncated answer is no answer',
    send: call('1', 'eth_call'),
    node: raw('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"jsonrpc":', true),
    answer: no('1', -32010, 'connection-lost'),
    status: 502,
    reached: ['eth_call'],
  },
  {
    name: 'a member that is missing from a batch fails alone and is refunded',
    send: `[${call('1', 'eth_call')},${call('2', 'eth_chainId')}]`,
    node: reply('[{"jsonrpc":"2.0","id":{id+1},"result":"0x1"}]'),
    answer: [no('1', -32010, 'missing-answer'), { id: '2', result: '"0x1"' }],
    reached: ['eth_call', 'eth_chainId'],
    charged: 1,
  },
  {
    name: 'answers of a batch that come in another order go to their calls',
    send: `[${call('"a"', 'eth_call')},${call('"b"', 'eth_chainId')}]`,
    node: reply('[{"jsonrpc":"2.0","id":{id+1},"result":"0xb"},{"jsonrpc":"2.0","id":{id},"result":"0xa"}]'),
    answer: [
      { id: '"a"', result: '"0xa"' },
      { id: '"b"', result: '"0xb"' },
    ],
    reached: ['eth_call', 'eth_chainId'],
    charged: 6,
  },
]

export const cases: readonly Case[] = [
  ...ids,
  ...badIds,
  ...params,
  ...parseErrors,
  ...invalidRequests,
  ...decoding,
  ...notifications,
  ...batches,
  ...offers,
  ...guards,
  ...callers,
  ...prices,
  ...limits,
  ...ranges,
  ...parametric,
  ...kept,
  ...nodes,
]
