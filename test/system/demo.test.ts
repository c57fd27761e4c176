/** What a newcomer meets: `npm start`, and the lines that it prints, pasted. */
import { exec } from 'node:child_process'
import { createServer } from 'node:net'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { startProcess } from '../support/owned-process.ts'
import type { Server } from 'node:net'
import type { OwnedProcess } from '../support/owned-process.ts'

const paste = promisify(exec)

let taken: Server
let demo: OwnedProcess
let said = ''
beforeAll(async () => {
  // The usual port is busy: taken by this test, or by somebody else already.
  taken = createServer()
  await new Promise<void>((resolve) => {
    taken.once('error', () => resolve())
    taken.listen(9080, '127.0.0.1', () => resolve())
  })
  demo = startProcess(process.execPath, ['deploy/demo.ts'], { stdio: ['ignore', 'pipe', 'pipe'] })
  await new Promise<void>((resolve, reject) => {
    for (const stream of [demo.child.stdout!, demo.child.stderr!]) {
      stream.on('data', (chunk: Buffer) => {
        said += chunk.toString()
        if (said.includes('Ctrl-C ends everything')) resolve()
      })
    }
    void demo.ended.then(() => reject(new Error(said)))
  })
})
afterAll(async () => {
  await demo.stop(10_000)
  taken.close()
})

/** The printed lines that begin so, without what indents them. */
const lines = (start: string): string[] => said.split('\n').flatMap((line) => (line.trim().startsWith(start) ? [line.trim()] : []))

test('what runs where is said, and that a port was busy', () => {
  expect(said).toContain('127.0.0.1:9080 is busy')
  expect(said).toMatch(/^node +http:\/\/127\.0\.0\.1:\d+ /m)
  expect(said).toMatch(/^gateway +http:\/\/127\.0\.0\.1:\d+\/\S+ +\(key: demo-key\)/m)
  expect(said).toMatch(/^admin +http:\/\/127\.0\.0\.1:\d+ /m)
})

test('every curl line works when pasted', async () => {
  const answers = await Promise.all(lines('curl').map(async (line) => (await paste(line)).stdout))
  expect(answers).toEqual([
    expect.stringMatching(/"result":"0x[0-9a-f]+"/),
    expect.stringContaining('"result":"0x21e19e0c9bab2400000"'),
    expect.stringMatching(/^\[\{.*"result":"0x7a69".*"result".*"error":\{"code":-32601.*\]$/),
    expect.stringMatching(/^HTTP\/1\.1 405 [^]*"code":-32601/),
    expect.stringMatching(/^HTTP\/1\.1 401 [^]*"code":-32002/),
    expect.stringContaining('tollgate_calls_total'),
  ])
})

test('the WebSocket line shows new blocks when pasted, until it is ended', async () => {
  // Its own group, so that what npx starts is ended with it.
  const shell = startProcess('sh', ['-c', lines('npx node')[0]!], { stdio: ['ignore', 'pipe', 'inherit'], detached: true })
  onTestFinished(() => void process.kill(-shell.child.pid!, 'SIGTERM'))
  let shown = ''
  shell.child.stdout!.on('data', (chunk: Buffer) => (shown += chunk.toString()))
  await expect.poll(() => shown, { timeout: 20_000 }).toMatch(/^\{.*"id":5,"result":"0x\w+"\}\n\{.*"method":"eth_subscription",.*"number":/)
})

test('Ctrl-C ends everything, with 0', async () => {
  const ports = [...said.matchAll(/^(?:node|gateway|admin) +(http:\/\/127\.0\.0\.1:\d+)/gm)].map(([, url]) => url!)
  expect(ports).toHaveLength(3)
  demo.signal('SIGINT')
  expect(await demo.ended).toEqual({ code: 0, signal: undefined })
  for (const url of ports) await expect(fetch(url)).rejects.toThrow('fetch failed')
})
