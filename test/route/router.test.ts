import { describe, expect, test } from 'vitest'
import { hostProblem, uriProblem } from '../../core/route/pattern.ts'
import { buildRouter } from '../../core/route/router.ts'

const routes = [
  { id: 'by-host', hosts: ['{network}.rpc.localhost'], uris: ['/', '/v1/{apikey}'] },
  { id: 'by-path', hosts: [], uris: ['/{network}', '/{network}/v1/{apikey}'] },
  { id: 'static', hosts: [], uris: ['/eth-mainnet/v1/special', '/status'] },
  { id: 'both', hosts: ['{network}.both.localhost'], uris: ['/{network}'] },
  { id: 'below', hosts: ['*.wild.localhost'], uris: ['/deep/*'] },
]
const find = buildRouter(routes)

const eitherWay = buildRouter([{ id: 'one', hosts: ['{network}.rpc.localhost'], uris: ['/{network}', '/{network}/v1/{apikey}'] }])

test('a route whose hosts and uris name the same thing takes either', () => {
  expect({ ...eitherWay('127.0.0.1', '/eth')?.variables }).toEqual({ network: 'eth' })
  expect({ ...eitherWay('127.0.0.1', '/eth/v1/key')?.variables }).toEqual({ network: 'eth', apikey: 'key' })
  expect({ ...eitherWay('eth.rpc.localhost', '/')?.variables }).toEqual({ network: 'eth' })
  expect({ ...eitherWay('eth.rpc.localhost', '/v1/key')?.variables }).toEqual({ network: 'eth', apikey: 'key' })
  expect({ ...eitherWay('eth.rpc.localhost', '/eth/v1/key')?.variables }).toEqual({ network: 'eth', apikey: 'key' })
  expect(eitherWay('eth.rpc.localhost', '/base'), 'host and path disagree').toBeUndefined()
  expect(eitherWay('eth.rpc.localhost', '/base/v1/key'), 'host and path disagree').toBeUndefined()
})

const cases: readonly (readonly [host: string, path: string, id: string | undefined, variables?: Record<string, string>])[] = [
  ['localhost', '/eth-mainnet', 'by-path', { network: 'eth-mainnet' }],
  ['localhost', '/eth-mainnet/', 'by-path', { network: 'eth-mainnet' }],
  ['localhost', '/eth-mainnet/v1/key', 'by-path', { network: 'eth-mainnet', apikey: 'key' }],
  ['localhost', '/eth-mainnet/v1/special', 'static', {}],
  ['localhost', '/status', 'static', {}],
  ['localhost', '/', undefined],
  ['localhost', '//', undefined],
  ['localhost', '/a/b', undefined],
  ['eth.rpc.localhost', '/', 'by-host', { network: 'eth' }],
  ['eth.rpc.localhost', '/v1/key', 'by-host', { network: 'eth', apikey: 'key' }],
  ['eth.rpc.localhost', '/other', 'by-path', { network: 'other' }],
  ['a.b.rpc.localhost', '/', undefined],
  ['eth.both.localhost', '/eth', 'both', { network: 'eth' }],
  ['eth.both.localhost', '/base', 'by-path', { network: 'base' }],
  ['eth.both.localhost', '/', 'both', { network: 'eth' }],
  ['x.y.wild.localhost', '/deep', 'below', {}],
  ['x.wild.localhost', '/deep/er/still', 'below', {}],
]

describe('the router', () => {
  for (const [host, path, id, variables] of cases) {
    test(`leads ${host}${path} to ${id ?? 'nothing'}`, () => {
      const match = find(host, path)
      expect(match?.route.id).toBe(id)
      expect({ ...match?.variables }).toEqual(variables ?? {})
    })
  }

  test('binds a prototype’s name like any other', () => {
    expect(find('localhost', '/__proto__')?.variables['network']).toBe('__proto__')
    expect(find('localhost', '/constructor')?.variables['network']).toBe('constructor')
  })
})

describe('a pattern', () => {
  const wrong = ['network', '/{a}/{a}', '/*/x', '/a{b}', '/a?b', '/a b']
  for (const uri of wrong) test(`${uri} is no uri`, () => expect(uriProblem(uri)).toBeTypeOf('string'))
  const wrongHosts = ['A.example', 'example.com:80', 'a.*.b', '', 'x{n}.y']
  for (const host of wrongHosts) test(`"${host}" is no host`, () => expect(hostProblem(host)).toBeTypeOf('string'))
  test('may be fine', () => {
    expect(uriProblem('/{network}/v1/*')).toBeUndefined()
    expect(hostProblem('*.example.com')).toBeUndefined()
  })
})
