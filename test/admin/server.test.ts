import { connect } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { startAdmin } from '../../core/admin/server.ts'
import type { AdminListener, AdminPort } from '../../core/admin/server.ts'
import type { PluginLog } from '../../core/plugin/define.ts'

const errors: unknown[] = []
const log: PluginLog = { isEnabled: () => true, debug() {}, info() {}, warn() {}, error: (fields) => void errors.push(fields) }

let listener: AdminListener | undefined
afterEach(async () => {
  await listener?.close()
  listener = undefined
  errors.length = 0
})

async function start(port: Partial<AdminPort> = {}): Promise<string> {
  const full: AdminPort = { notReady: () => [], metrics: () => Promise.resolve('a 1\n'), metricsType: 'text/plain; version=0.0.4', reports: {}, ...port }
  listener = await startAdmin(full, { host: '127.0.0.1', port: 0, log })
  return `http://127.0.0.1:${listener.address.port}`
}

/** What comes back for raw bytes, until the other end closes. */
function raw(base: string, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(base).port), '127.0.0.1', () => socket.write(bytes))
    let text = ''
    socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk))
    socket.on('close', () => resolve(text)).on('error', reject)
  })
}

test('/metrics is the text as it is, under its own media type', async () => {
  const response = await fetch(`${await start()}/metrics?format=whatever`)
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4')
  expect(await response.text()).toBe('a 1\n')
})

test('/healthz answers while the process lives, ready or not', async () => {
  const response = await fetch(`${await start({ notReady: () => ['draining'] })}/healthz`)
  expect(response.status).toBe(200)
  expect(await response.json()).toEqual({ status: 'ok' })
})

test('/readyz says why traffic should not come, as long as it is so', async () => {
  const reasons = ['the configuration is not loaded']
  const base = await start({ notReady: () => reasons })
  const before = await fetch(`${base}/readyz`)
  expect(before.status).toBe(503)
  expect(await before.json()).toEqual({ status: 'not ready', reasons })
  reasons.length = 0
  const after = await fetch(`${base}/readyz`)
  expect(after.status).toBe(200)
  expect(await after.json()).toEqual({ status: 'ready' })
})

test('a report is served as JSON under its name', async () => {
  const response = await fetch(`${await start({ reports: { upstreams: () => [{ id: 'eth', healthy: 2 }] } })}/upstreams`)
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toMatch('application/json')
  expect(await response.json()).toEqual([{ id: 'eth', healthy: 2 }])
})

test('an unknown path is 404 and lists the pages', async () => {
  const base = await start()
  for (const path of ['/', '/metrics/', '/../metrics%00', '//readyz']) {
    const response = await fetch(base + path)
    expect(response.status).toBe(404)
    expect(await response.json()).toEqual({ error: 'not found', pages: ['/metrics', '/healthz', '/readyz'] })
  }
})

test('other methods than GET and HEAD are 405', async () => {
  const base = await start()
  const post = await fetch(`${base}/healthz`, { method: 'POST', body: 'x' })
  expect(post.status).toBe(405)
  expect(post.headers.get('allow')).toBe('GET, HEAD')
  const head = await fetch(`${base}/healthz`, { method: 'HEAD' })
  expect(head.status).toBe(200)
  expect(await head.text()).toBe('')
})

test('a page that fails is 500, logged, and tells the client nothing', async () => {
  const base = await start({ metrics: () => Promise.reject(new Error('secret detail')) })
  const response = await fetch(`${base}/metrics`)
  expect(response.status).toBe(500)
  expect(await response.text()).not.toContain('secret')
  expect(errors).toMatchObject([{ page: '/metrics' }])
})

test('oversize headers are 431, and what is not HTTP is 400', async () => {
  const base = await start()
  expect(await raw(base, `GET /healthz HTTP/1.1\r\nHost: x\r\nA: ${'a'.repeat(10_000)}\r\n\r\n`)).toMatch('HTTP/1.1 431')
  expect(await raw(base, 'hello\r\n\r\n')).toMatch('HTTP/1.1 400')
})

test('an address that is taken is a rejection', async () => {
  const base = await start()
  const port: AdminPort = { notReady: () => [], metrics: () => Promise.resolve(''), metricsType: 'text/plain', reports: {} }
  await expect(startAdmin(port, { host: '127.0.0.1', port: Number(new URL(base).port), log })).rejects.toThrow('EADDRINUSE')
})

test('closing cuts connections that are kept alive', async () => {
  const base = await start()
  await (await fetch(`${base}/healthz`)).text()
  await listener!.close()
  await expect(fetch(`${base}/healthz`)).rejects.toThrow('fetch failed')
})
