/**
 * 10 000 idle WebSockets: what each costs the gateway in memory. `node bench/idle-sockets.ts [COUNT]` prints the number that was
 * reached and the bytes of each. Where the limit of open files is too low it is raised for the processes that are started.
 */
import { execFileSync, spawn } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { keyOf, routePath } from './configuration.ts'
import { memoryBytes } from './cpu.ts'
import { PROBED, ask, startGateway } from './gateway.ts'
import { Loader } from './load/loader.ts'
import { spreadOver } from './loads.ts'
import { HOST, startNode } from './server.ts'

export interface IdleSockets {
  readonly sockets: number
  /** Live JavaScript objects and buffers, after a collection. */
  readonly heapBytesEach: number
  /** Resident memory of the process. */
  readonly residentBytesEach: number
}

const WANTED = 10_000
/** Files that a process has open beside its sockets. */
const OTHER_FILES = 200
const SETTLE_MS = 2_000

/** How many sockets the limit of open files allows; it cannot be above the hard limit. */
function allowed(): number {
  return Number(execFileSync('sh', ['-c', 'ulimit -Sn'], { encoding: 'utf8' })) - OTHER_FILES
}

/** Opens so many WebSockets, or as many as may be, and measures the gateway before and after. */
export async function measureIdleSockets(nodePort: number, wanted = WANTED): Promise<IdleSockets> {
  const sockets = Math.min(wanted, allowed())
  const gateway = await startGateway({
    nodePort,
    nodeArguments: PROBED,
    top: { limits: { max_connections: 2 * sockets + OTHER_FILES, max_connections_per_address: 2 * sockets + OTHER_FILES } },
  })
  const loader = new Loader()
  try {
    const load = { ...spreadOver([routePath(0)], [keyOf(0)]), wire: 'ws', connections: 1, host: HOST, port: gateway.port } as const
    await loader.open(load)
    await loader.run(1)
    await loader.close()
    const before = { heap: await ask(gateway, 'heap'), resident: memoryBytes(gateway.pids).now }
    await loader.open({ ...load, connections: sockets })
    await delay(SETTLE_MS)
    const heap = await ask(gateway, 'heap')
    const resident = memoryBytes(gateway.pids).now
    return { sockets, heapBytesEach: (heap - before.heap) / sockets, residentBytesEach: (resident - before.resident) / sockets }
  } finally {
    await loader.stop()
    await gateway.stop()
  }
}

if (import.meta.main) {
  const wanted = Number(process.argv[2] ?? WANTED)
  if (allowed() < wanted && process.env['TOLLGATE_RAISED'] === undefined) {
    // A shell may raise its soft limit up to the hard one, and hand it on.
    const again = spawn('sh', ['-c', 'ulimit -Sn "$(ulimit -Hn)"; exec "$@"', 'sh', process.execPath, ...process.argv.slice(1)], {
      stdio: 'inherit',
      env: { ...process.env, TOLLGATE_RAISED: '1' },
    })
    again.on('exit', (code) => (process.exitCode = code ?? 1))
  } else {
    const node = await startNode()
    const found = await measureIdleSockets(node.port, wanted)
    await node.stop()
    const kib = (bytes: number): string => `${(bytes / 1024).toFixed(1)} KiB`
    process.stdout.write(
      `${found.sockets} idle WebSockets (${wanted} wanted): ${kib(found.residentBytesEach)} resident each, ${kib(found.heapBytesEach)} of it live objects\n`,
    )
  }
}
