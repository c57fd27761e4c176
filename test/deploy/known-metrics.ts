/** Every metric family that a gateway can expose, with its labels: what rules and dashboards may speak of. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildSnapshot } from '../../core/config/snapshot.ts'
import { openMeter } from '../../core/meter/open.ts'
import { storeMetrics } from '../../core/meter/store-metrics.ts'
import { coreMetrics } from '../../core/observe/core-metrics.ts'
import { openLog } from '../../core/observe/log.ts'
import { createMetrics } from '../../core/observe/metrics.ts'
import { Service } from '../../core/service.ts'
import { plugins } from '../../plugins/index.ts'
import { basic, basicFiles } from '../support/gateway.ts'

/** Labels by the name of a series, such as `tollgate_frame_duration_seconds_bucket`. */
export async function knownMetrics(): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const dir = await mkdtemp(join(tmpdir(), 'tollgate-metrics-'))
  for (const [name, content] of Object.entries({ ...basicFiles, 'gateway.yaml': basic({ nodeUrl: 'http://127.0.0.1:1', nodeWsUrl: 'ws://127.0.0.1:1' }) })) {
    await writeFile(join(dir, name), JSON.stringify(content))
  }
  const registry = createMetrics()
  const metrics = coreMetrics(registry, '0', 'v0')
  const stop = new AbortController()
  const log = openLog({ level: 'silent', file: undefined, now: Date.now })
  const now = Date.now
  const deps = { catalogue: plugins, env: {}, generation: 1, now, metrics: registry, log: () => log, stop: stop.signal }
  const snapshot = (await buildSnapshot(join(dir, 'gateway.yaml'), deps)).snapshot!
  const { meter, close } = await openMeter({ ...snapshot.settings, dataDir: undefined }, { now, log, metrics: registry })
  storeMetrics(registry)
  const service = new Service({ registry, metrics, log, meter, version: '0', now, stop }, snapshot)
  const { families, ofProcess } = await registry.dump()
  await service.drain()
  await close()
  await rm(dir, { recursive: true })
  const known = new Map<string, ReadonlySet<string>>()
  for (const { declared } of families) {
    const suffixes = declared.type === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']
    for (const suffix of suffixes) known.set(declared.name + suffix, new Set([...declared.labelNames, ...(suffix === '_bucket' ? ['le'] : [])]))
  }
  for (const { name } of ofProcess) known.set(name, new Set(['worker']))
  return known
}
