import { createServer } from 'node:http'
import { beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { errors, exportJWK, generateKeyPair } from 'jose'
import { KeySet, KeysUnavailable } from '../../../plugins/jwt-auth/key-set.ts'
import type { AddressInfo } from 'node:net'
import type { JWK } from 'jose'
import type { RequestListener } from 'node:http'
import type { Surroundings } from '../../../plugins/jwt-auth/key-set.ts'

const START = Date.UTC(2026, 0, 1)
const COOLDOWN_MS = 30_000
const MAX_AGE_MS = 600_000

let nowMs = START
let warned: string[] = []
const surroundings: Surroundings = {
  now: () => nowMs,
  log: {
    debug: () => undefined,
    info: () => undefined,
    warn: (fields) => void warned.push(JSON.stringify(fields)),
    error: () => undefined,
    isEnabled: () => true,
  },
  timeoutMs: 200,
  cooldownMs: COOLDOWN_MS,
  maxAgeMs: MAX_AGE_MS,
}

let jwk: JWK
beforeAll(async () => {
  jwk = await exportJWK((await generateKeyPair('ES256', { extractable: true })).publicKey)
})
beforeEach(() => {
  nowMs = START
  warned = []
})

/** A server of keys, and how often it was asked. */
async function provider(): Promise<{ set: KeySet; asked: () => number; publish: (...kids: string[]) => void; answer: (listener: RequestListener) => void }> {
  let asked = 0
  let listener: RequestListener = (_request, response) => response.end('{"keys":[]}')
  const server = createServer((request, response) => {
    asked++
    listener(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const answer = (next: RequestListener): void => void (listener = next)
  const publish = (...kids: string[]): void => {
    const keys = kids.map((kid) => Object.assign({}, jwk, { kid, alg: 'ES256', use: 'sig' }))
    answer((_request, response) => response.end(JSON.stringify({ keys })))
  }
  const set = new KeySet(new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/keys?token=secret`))
  return { set, asked: () => asked, publish, answer }
}

const find = (set: KeySet, kid: string) => set.find({ alg: 'ES256', kid }, { payload: '', signature: '' }, surroundings)

test('many tokens at once ask once, and later ones not at all', async () => {
  const { set, asked, publish } = await provider()
  publish('a')
  await Promise.all(Array.from({ length: 50 }, () => find(set, 'a')))
  nowMs += MAX_AGE_MS
  await find(set, 'a')
  expect(asked()).toBe(1)
})

test('tokens that name unknown keys make it ask once per cooldown, not once each', async () => {
  const { set, asked, publish } = await provider()
  publish('a')
  await find(set, 'a')
  for (const kid of ['x', 'y', 'z']) await expect(find(set, kid)).rejects.toThrow(errors.JWKSNoMatchingKey)
  expect(asked()).toBe(1)
  nowMs += COOLDOWN_MS
  for (const kid of ['x', 'y', 'z']) await expect(find(set, kid)).rejects.toThrow(errors.JWKSNoMatchingKey)
  expect(asked()).toBe(2)
})

test('a new key is found once the cooldown is over', async () => {
  const { set, publish } = await provider()
  publish('a')
  await find(set, 'a')
  publish('a', 'b')
  nowMs += COOLDOWN_MS
  expect(await find(set, 'b')).toHaveProperty('type', 'public')
})

test('keys that have grown old are asked for anew, and a withdrawn one is no longer known', async () => {
  const { set, asked, publish } = await provider()
  publish('a', 'b')
  await find(set, 'a')
  publish('b')
  nowMs += MAX_AGE_MS + 1
  await find(set, 'a')
  await expect.poll(() => find(set, 'a').catch((error: unknown) => error)).toBeInstanceOf(errors.JWKSNoMatchingKey)
  expect(asked()).toBe(2)
})

test('while the server is away known keys stay in use, for a day', async () => {
  const { set, asked, publish, answer } = await provider()
  publish('a')
  await find(set, 'a')
  answer((_request, response) => response.writeHead(500).end())
  nowMs += MAX_AGE_MS + 1
  await find(set, 'a')
  await expect.poll(asked).toBe(2)
  nowMs = START + 86_400_000
  await find(set, 'a')
  nowMs += 1
  await expect(find(set, 'a')).rejects.toThrow(KeysUnavailable)
})

test.each<[string, RequestListener]>([
  ['an error', (_request, response) => response.writeHead(404).end('{"keys":[]}')],
  ['a redirect', (_request, response) => response.writeHead(302, { location: '/elsewhere' }).end()],
  ['no JSON', (_request, response) => response.end('<html>')],
  ['JSON that is no key set', (_request, response) => response.end('{"keys":7}')],
  ['more than a key set may be', (_request, response) => response.end(`{"keys":[],"x":"${'x'.repeat(300_000)}"}`)],
  ['nothing in time', () => undefined],
  ['a cut connection', (request) => request.socket.destroy()],
])('%s is no answer, and the next question waits a second', async (_what, listener) => {
  const { set, asked, publish, answer } = await provider()
  answer(listener)
  await expect(find(set, 'a')).rejects.toThrow(KeysUnavailable)
  await expect(find(set, 'a')).rejects.toThrow(KeysUnavailable)
  expect(asked()).toBe(1)
  expect(warned).toHaveLength(1)
  expect(warned.join()).not.toContain('secret')
  publish('a')
  nowMs += 1000
  expect(await find(set, 'a')).toHaveProperty('type', 'public')
})

test('a clock that was set back does not keep it from asking', async () => {
  const { set, publish } = await provider()
  publish('a')
  await find(set, 'a')
  publish('b')
  nowMs -= COOLDOWN_MS
  expect(await find(set, 'b')).toHaveProperty('type', 'public')
})
