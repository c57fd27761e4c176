/** Documents for property tests: requests that are almost right, and bytes that were right before somebody touched them. */
import * as fc from 'fast-check'

/** What an attacker would put where, as latin-1 images of bytes. */
const FRAGMENTS = [
  '"Method":"debug_traceCall",',
  ',"METHOD":"x"',
  '"method":"debug_traceCall",',
  ',"param\xc5\xbf":[1]',
  ',"jsonrpc":"2.0"',
  ',"id":2',
  ',"ID":2',
  ',"\\u006dethod":"x"',
  ',"params\\u0000":[]',
  ',"__proto__":{"method":"x"}',
  ',"constructor":null',
  '{"jsonrpc":"2.0","id":1,"method":"x"}',
  '[',
  ']',
  '{',
  '}',
  '"',
  '\\',
  ',',
  ':',
  ' ',
  '\n',
  '\0',
  '\x0b',
  '\x7f',
  '\xc2\xa0',
  '\xef\xbb\xbf',
  '\xff\xfe',
  '\xc0\xaf',
  '\xed\xa0\x80',
  '\xe2\x84\xaa',
  '\xe2\x80\xa8',
  '\\ud800',
  '\\u0065',
  '\\U0065',
  '-0',
  '-',
  '01',
  '1e400',
  '1.',
  '.5',
  '+1',
  'NaN',
  'nul',
  'null',
  'true',
  '123456789012345678901234567890',
  '/**/',
  "'",
  '[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[',
]

/** JSON texts that survive reading and writing only as text. */
const valueText = fc.oneof(
  fc.json({ maxDepth: 3 }),
  fc.constantFrom(
    '[]',
    '{}',
    '[1.0,-0,1e3,1E-2]',
    '"\\ud800"',
    '[12345678901234567890123456789012345678901]',
    '{"a":1,"a":2}',
    'null',
    '[ ]',
    '"\\/"',
    '[[[]]]',
  ),
)

const name = fc.constantFrom(
  'jsonrpc',
  'id',
  'method',
  'params',
  'Method',
  'PARAMS',
  'paramſ',
  'Id',
  'jſonrpc',
  '\\u006dethod',
  'i\\u0064',
  '__proto__',
  'x',
  'result',
  '',
)

const member = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.constantFrom('"jsonrpc":"2.0"', '"id":1', '"method":"eth_call"', '"params":[1]', '"params":{"a":"é"}', '"method":"eth_\\u0063all"'),
  },
  { weight: 1, arbitrary: fc.tuple(name, valueText).map(([name, value]) => `"${name}":${value}`) },
)

/** A request object that all readers read alike. */
export const plainRequest = fc
  .record({
    id: fc.option(fc.constantFrom('0', '-0', '1e3', '"a"', '""', 'null', '123456789012345678901234567890', '"\\ud800"'), { nil: undefined }),
    method: fc.constantFrom('eth_call', 'eth_blockNumber', 'net_version', 'é'),
    params: fc.option(fc.oneof(fc.array(fc.jsonValue({ maxDepth: 2 })), fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 2 }))), { nil: undefined }),
  })
  .map(({ id, method, params }) => {
    const members = ['"jsonrpc":"2.0"', `"method":"${method}"`]
    if (id !== undefined) members.push(`"id":${id}`)
    if (params !== undefined) members.push(`"params":${JSON.stringify(params)}`)
    return `{${members.join(' ,')}}`
  })

/** An object that is a request, or almost one: members missing, doubled, folded, escaped, of other types. */
const oddRequest = fc.array(member, { maxLength: 6 }).map((members) => `{${members.join(',')}}`)

const entry = fc.oneof({ weight: 4, arbitrary: plainRequest }, { weight: 3, arbitrary: oddRequest }, { weight: 1, arbitrary: valueText })

/** A document: a request, a batch, or neither. */
export const documentText = fc.oneof(
  entry,
  fc.array(entry, { maxLength: 5 }).map((entries) => `[${entries.join(' , ')}]`),
)

const mutation = fc.record({
  where: fc.double({ min: 0, max: 1, noNaN: true }),
  remove: fc.nat({ max: 4 }),
  insert: fc.oneof(
    fc.constantFrom(...FRAGMENTS),
    fc.nat({ max: 255 }).map((code) => String.fromCharCode(code)),
  ),
})

/** Bytes of a document in which up to two places were changed. */
export const mutatedBytes = fc.tuple(documentText, fc.array(mutation, { maxLength: 2 })).map(([text, mutations]) => {
  let image = Buffer.from(text).toString('latin1')
  for (const { where, remove, insert } of mutations) {
    const at = Math.floor(where * image.length)
    image = image.slice(0, at) + insert + image.slice(at + remove)
  }
  return Buffer.from(image, 'latin1')
})
