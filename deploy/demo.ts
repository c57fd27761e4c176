/**
 * `npm start`: a real Ethereum node (anvil) and the gateway in front of it, with conf/'s configuration on ports that
 * are free. Prints what runs where and lines to paste. Ctrl-C ends both.
 */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { load } from 'js-yaml'
import { startAnvil } from '../test/support/anvil.ts'
import { startProcess } from '../test/support/owned-process.ts'
import type { Anvil } from '../test/support/anvil.ts'
import type { OwnedProcess } from '../test/support/owned-process.ts'

/** What the demo needs to know of conf/gateway.yaml. */
interface Configuration {
  listen: string
  admin: { listen: string }
  data_dir: string
  upstreams: { id: string; nodes: { url: string; ws_url: string }[] }[]
  consumers: { username: string; plugins: { 'key-auth': { key: string } } }[]
}

const CONF = resolve(import.meta.dirname, '../conf')
const MAIN = resolve(import.meta.dirname, '../core/main.ts')
/** The account that anvil's mnemonic gives 10 000 ether. */
const RICH = '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266'
/** Ctrl-C reaches the whole terminal: who has heard it needs no second signal, which would cut the drain short. */
const HEARD_WITHIN_MS = 300

const say = (line: string): void => void process.stdout.write(`${line}\n`)

/** The preferred address, or any free port of the same host where that is taken. */
async function freeAddress(preferred: string, what: string): Promise<string> {
  const at = preferred.lastIndexOf(':')
  const host = preferred.slice(0, at)
  const isFree = await new Promise<boolean>((answer) => {
    const probe = createServer()
    probe.once('error', () => answer(false))
    probe.listen(Number(preferred.slice(at + 1)), host, () => probe.close(() => answer(true)))
  })
  if (isFree) return preferred
  say(`${preferred} is busy, so ${what} takes another port`)
  return `${host}:0`
}

/** A copy of conf/ in a temporary directory, in front of this node. Methods and prices stay conf/'s own files: edit them and see. */
async function configure(anvil: Anvil): Promise<{ dir: string; network: string; key: string }> {
  const configuration = load(readFileSync(join(CONF, 'gateway.yaml'), 'utf8')) as Configuration
  const dir = mkdtempSync(join(tmpdir(), 'tollgate-demo-'))
  const upstream = configuration.upstreams[0]!
  upstream.nodes = [{ url: anvil.url, ws_url: anvil.wsUrl }]
  configuration.listen = await freeAddress(configuration.listen, 'the gateway')
  configuration.admin.listen = await freeAddress(configuration.admin.listen, 'its admin listener')
  configuration.data_dir = join(dir, 'data')
  for (const name of ['whitelist.yaml', 'cu-pricing.yaml']) link(join(CONF, name), join(dir, name))
  writeFileSync(join(dir, 'gateway.yaml'), JSON.stringify(configuration, null, 2))
  return { dir, network: upstream.id, key: configuration.consumers[0]!.plugins['key-auth'].key }
}

function link(from: string, to: string): void {
  try {
    symlinkSync(from, to)
  } catch {
    copyFileSync(from, to) // where links need rights
  }
}

/** Resolves with the addresses once the gateway listens; its later lines go to the terminal. */
function listening(gateway: OwnedProcess): Promise<{ listen: string; admin: string }> {
  return new Promise((found, failed) => {
    createInterface({ input: gateway.child.stdout! }).on('line', (line) => {
      if (line.includes('"msg":"listening"')) found(JSON.parse(line) as { listen: string; admin: string })
      else say(line)
    })
    const ended = (): void => failed(new Error('the gateway ended before it listened'))
    gateway.ended.then(ended, ended)
  })
}

/** Lines that work when pasted. */
function examples(url: string, adminUrl: string, key: string): string {
  const call = (body: string): string => `curl -s ${url} -H 'apikey: ${key}' -H 'content-type: application/json' -d '${body}'`
  const request = (id: number, method: string, params: string): string => `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${params}}`
  const socket = `${url.replace('http', 'ws')}?apikey=${key}`
  return `
The latest block's number
  ${call(request(1, 'eth_blockNumber', '[]'))}

A balance
  ${call(request(2, 'eth_getBalance', `["${RICH}","latest"]`))}

A batch
  ${call(`[${request(1, 'eth_chainId', '[]')},${request(2, 'eth_gasPrice', '[]')},${request(3, 'personal_listAccounts', '[]')}]`)}

A method that is not offered: HTTP 405, error -32601
  ${call(request(3, 'debug_setHead', '["0x0"]')).replace('curl -s', 'curl -si')}

No key: HTTP 401, error -32002
  ${call(request(4, 'eth_chainId', '[]'))
    .replace(` -H 'apikey: ${key}'`, '')
    .replace('curl -s', 'curl -si')}

Each new block over WebSocket
  npx node -e 'const s = new WebSocket("${socket}"); s.onopen = () => s.send(\`${request(5, 'eth_subscribe', '["newHeads"]')}\`); s.onmessage = (m) => console.log(m.data)'

What was counted
  curl -s ${adminUrl}/metrics | grep ^tollgate_calls
`
}

/** Runs until somebody ends it. Answers the exit code. */
async function run(): Promise<number> {
  const owned: OwnedProcess[] = []
  const asked = new Promise<void>((heard) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, heard)
  })
  const anvil = await startAnvil({ blockTimeS: 2 })
  const { dir, network, key } = await configure(anvil)
  try {
    const gateway = startProcess(process.execPath, [MAIN, 'start', '--config', join(dir, 'gateway.yaml')], { stdio: ['ignore', 'pipe', 'inherit'] })
    owned.push(gateway)
    const { listen, admin } = await listening(gateway)
    const url = `http://${listen}/${network}`
    say(`\nnode     ${anvil.url}  (anvil, chain ${anvil.chainId}, a block every 2 s)`)
    say(`gateway  ${url}  (key: ${key})`)
    say(`admin    http://${admin}  (/metrics /healthz /readyz)`)
    say(examples(url, `http://${admin}`, key))
    say("The gateway's log follows. Edit conf/whitelist.yaml or conf/cu-pricing.yaml and it takes effect at once. Ctrl-C ends everything.\n")
    const fallen = Promise.race([anvil.ended.then(() => 'the node'), gateway.ended.then(() => 'the gateway')])
    const wasAsked = await Promise.race([asked.then(() => true), fallen.then(() => false)])
    await delay(HEARD_WITHIN_MS)
    if (wasAsked) return 0
    say(`${await fallen} has ended`)
    return 1
  } finally {
    for (const { stop, child } of owned) if (child.exitCode === null) await stop()
    await anvil.stop()
    rmSync(dir, { recursive: true, force: true })
  }
}

try {
  process.exitCode = await run()
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exitCode = 1
}
