/** What is shipped to run the gateway with is held against the gateway, and against itself. */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CORE_SCHEMA, load, mergeTag } from 'js-yaml'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { check } from '../../core/commands.ts'
import { durationMs } from '../../core/plugin/schema.ts'
import { plugins } from '../../plugins/index.ts'
import { knownMetrics } from './known-metrics.ts'

/** A document of a format that is not ours. */
// oxlint-disable-next-line typescript/no-explicit-any -- read deeply, and what is not there fails the test
type Foreign = any

const ROOT = join(import.meta.dirname, '../..')
const pathOf = (name: string): string => join(ROOT, 'deploy', name)
const textOf = (name: string): string => readFileSync(pathOf(name), 'utf8')
const SCHEMA = CORE_SCHEMA.withTags(mergeTag)
const yamlOf = (name: string): Foreign => load(textOf(name), { schema: SCHEMA })
const jsonOf = (name: string): Foreign => JSON.parse(textOf(name))

const compose = yamlOf('compose.yaml')
const gatewayOfCompose = yamlOf('gateway/gateway.yaml')
const kubernetes = Object.fromEntries(
  readdirSync(pathOf('kubernetes'))
    .filter((name) => name !== 'kustomization.yaml')
    .map((name) => [name, yamlOf(`kubernetes/${name}`)]),
)
const deployment = kubernetes['deployment.yaml'].spec.template
const gatewayOfKubernetes: Foreign = load(kubernetes['configmap.yaml'].data['gateway.yaml'] as string)

const seconds = (text: string): number => durationMs(text) / 1000
const drainSeconds = (gateway: Foreign): number => seconds((gateway.drain_timeout as string | undefined) ?? '30s')

describe('every YAML file', () => {
  const files = readdirSync(pathOf(''), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.yaml'))
  test.each(files)('%s is a mapping', (name) => {
    expect(yamlOf(name)).toBeTypeOf('object')
  })
})

describe.each([
  ['compose.yaml', textOf('gateway/gateway.yaml')],
  ['kubernetes', kubernetes['configmap.yaml'].data['gateway.yaml'] as string],
])("the gateway's configuration of %s", (_where, text) => {
  test('has no problem', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'tollgate-deploy-'))
    onTestFinished(() => rm(dir, { recursive: true }))
    await cp(join(ROOT, 'conf'), dir, { recursive: true })
    await writeFile(join(dir, 'gateway.yaml'), text.replaceAll('/opt/tollgate/conf/', ''))
    const lines: string[] = []
    const code = await check(join(dir, 'gateway.yaml'), {
      catalogue: plugins,
      env: { DEMO_KEY: 'demo' },
      now: Date.now,
      print: (line) => void lines.push(line),
    })
    expect(lines.filter((line) => !line.includes('warning'))).toEqual([expect.stringContaining('ok (1 route, 1 upstream, 1 consumer')])
    expect(code).toBe(0)
  })
})

describe('metrics', () => {
  let known: ReadonlyMap<string, ReadonlySet<string>>
  beforeAll(async () => {
    known = await knownMetrics()
  })

  /** Labels that Prometheus adds. */
  const ADDED = ['instance', 'job']
  const rules: Foreign[] = yamlOf('prometheus/rules.yaml').groups.flatMap((group: Foreign) => group.rules)
  const recorded = new Map(
    rules.filter((rule) => rule.record !== undefined).map((rule) => [rule.record as string, /by \(([^)]*)\)/.exec(rule.expr)?.[1] ?? '']),
  )

  /** What is wrong with an expression, as sentences: names and labels that no gateway has. */
  function wrongWith(expression: string): string[] {
    const wrong: string[] = []
    const labels = new Set<string>(ADDED)
    let found = 0
    for (const [, name = ''] of expression.replaceAll(/"[^"]*"/g, '""').matchAll(/\b((?:tollgate|process|nodejs)[_:][a-z0-9_:]*|up)\b/g)) {
      found++
      const ofRecorded = recorded.get(name)
      if (name === 'up') continue
      for (const label of known.get(name) ?? ofRecorded?.split(', ') ?? []) labels.add(label)
      if (!known.has(name) && ofRecorded === undefined) wrong.push(`no metric ${name}`)
    }
    if (found === 0) wrong.push('speaks of no metric')
    const used = [...expression.matchAll(/(?:by|on) \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(', '))
    const matched = Array.from(expression.matchAll(/[{,] ?([a-z_]+)(?:=~?|!=)"/g), ([, label = '']) => label)
    for (const label of [...used, ...matched]) if (!labels.has(label)) wrong.push(`no label ${label}`)
    return wrong
  }

  test('that rules speak of exist, and so do their labels', () => {
    expect(rules.length).toBeGreaterThan(10)
    expect(rules.flatMap((rule) => wrongWith(rule.expr).map((problem) => `${rule.alert ?? rule.record}: ${problem}`))).toEqual([])
  })

  test('that the dashboard shows exist, and so do their labels', () => {
    const dashboard = jsonOf('grafana/dashboards/tollgate.json')
    const shown = dashboard.panels.flatMap((panel: Foreign) => (panel.targets ?? []).map((target: Foreign) => [panel.title, target]))
    expect(shown.length).toBeGreaterThan(20)
    const wrong = shown.flatMap(([title, target]: [string, Foreign]) => {
      const legend = Array.from((target.legendFormat as string).matchAll(/\{\{(\w+)\}\}/g), ([, label]) => label)
      const grouped = / by \(([^)]*)\)/.exec(target.expr as string)?.[1]?.split(', ')
      const missing = grouped === undefined ? [] : legend.filter((label) => !grouped.includes(label!))
      return [...wrongWith(target.expr as string), ...missing.map((label) => `the legend's ${label} is not there`)].map((problem) => `${title}: ${problem}`)
    })
    expect(wrong).toEqual([])
    for (const { expr } of dashboard.annotations.list as Foreign[]) expect(wrongWith(expr as string)).toEqual([])
  })

  test('of an expression that has mistakes are found', () => {
    expect(wrongWith('sum by (colour) (rate(tollgate_calls_totel{outcome="ok"}[5m]))')).toEqual([
      'no metric tollgate_calls_totel',
      'no label colour',
      'no label outcome',
    ])
    expect(wrongWith('tollgate_config_generation{outcome="ok"}')).toEqual(['no label outcome'])
  })

  test('every alert says how serious it is and what happened, and has a name of its own', () => {
    const alerts = rules.filter((rule) => rule.alert !== undefined)
    expect(new Set(alerts.map((rule) => rule.alert)).size).toBe(alerts.length)
    for (const { labels, annotations } of alerts) {
      expect(['warning', 'critical']).toContain(labels.severity)
      expect(annotations.summary).toMatch(/\w/)
    }
  })
})

describe('the dashboard', () => {
  const dashboard = jsonOf('grafana/dashboards/tollgate.json')

  test('has panels of different numbers that do not overlap', () => {
    const taken = new Set<string>()
    for (const { gridPos } of dashboard.panels as { gridPos: Record<'x' | 'y' | 'w' | 'h', number> }[]) {
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.has(`${x} ${y}`)).toBe(false)
          taken.add(`${x} ${y}`)
        }
      }
    }
    expect(new Set(dashboard.panels.map((panel: Foreign) => panel.id)).size).toBe(dashboard.panels.length)
  })

  test('asks the data source that is provisioned', () => {
    const [provisioned] = yamlOf('grafana/provisioning/datasources/prometheus.yaml').datasources
    const asked = textOf('grafana/dashboards/tollgate.json').match(/"uid": "(?!tollgate")[^"]*"/g)
    expect(new Set(asked)).toEqual(new Set([`"uid": "${provisioned.uid}"`]))
    expect(provisioned.url).toBe('http://prometheus:9090')
  })
})

describe('compose.yaml', () => {
  const gateways = ['tollgate-1', 'tollgate-2'].map((name) => compose.services[name])

  test('mounts what is there, and grafana looks for dashboards where they are', () => {
    const mounts = Object.values(compose.services as Foreign[]).flatMap((service: Foreign) => (service.volumes ?? []) as string[])
    const isThere = (volume: string): boolean => {
      const [source = '', , mode] = volume.split(':')
      return source.startsWith('.') ? existsSync(pathOf(source)) && mode === 'ro' : source in compose.volumes
    }
    expect(mounts.length).toBeGreaterThan(5)
    expect(mounts.filter((volume) => !isThere(volume))).toEqual([])
    const mount = compose.services.grafana.volumes.find((volume: string) => volume.startsWith('./grafana/dashboards')).split(':')[1]
    expect(yamlOf('grafana/provisioning/dashboards/tollgate.yaml').providers[0].options.path).toBe(mount)
    expect(compose.services.grafana.environment.GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH).toBe(`${mount}/tollgate.json`)
  })

  test('runs gateways on a read-only root without capabilities, and gives them time to drain', () => {
    for (const gateway of gateways) {
      expect(gateway).toMatchObject({ read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] })
      expect(seconds(gateway.stop_grace_period as string)).toBeGreaterThan(drainSeconds(gatewayOfCompose))
      expect(gateway.volumes).toContain('./gateway:/etc/tollgate:ro')
      expect(gateway.volumes.some((volume: string) => volume.endsWith(`:${gatewayOfCompose.data_dir}`))).toBe(true)
    }
    expect(new Set(gateways.map((gateway) => gateway.volumes[1])).size).toBe(2)
  })

  test('has the hosts that its gateways and Prometheus ask, on the ports that they ask', () => {
    const hosts = [gatewayOfCompose.store, ...gatewayOfCompose.upstreams[0].nodes.flatMap((node: Foreign) => [node.url, node.ws_url])]
    for (const url of hosts) expect(Object.keys(compose.services)).toContain(new URL(url as string).hostname)
    const targets = yamlOf('prometheus/prometheus.yaml').scrape_configs[0].static_configs[0].targets
    expect(targets).toEqual(['tollgate-1', 'tollgate-2'].map((name) => `${name}${gatewayOfCompose.admin.listen}`))
    for (const gateway of gateways) expect(gateway.ports[0]).toMatch(new RegExp(`${gatewayOfCompose.listen}$`))
    expect(yamlOf('prometheus/prometheus.yaml').rule_files).toEqual(['rules.yaml'])
  })
})

describe('the image', () => {
  const lines = textOf('Dockerfile').split('\n')
  const last = lines.slice(lines.findLastIndex((line) => line.startsWith('FROM ')))
  const sent = textOf('Dockerfile.dockerignore')
    .split('\n')
    .filter((line) => line.startsWith('!'))

  test('is built from what is there and is sent', () => {
    const sources = lines.flatMap((line) => (/^COPY (?!--from)(.*) \S+$/.exec(line)?.[1] ?? '').split(' ').filter((word) => word !== ''))
    expect(sources).toEqual(expect.arrayContaining(['core', 'plugins', 'conf', 'package.json']))
    for (const source of sources) {
      expect(source.includes('*') || existsSync(join(ROOT, source))).toBe(true)
      expect(sent.some((pattern) => pattern === `!${source}` || pattern.startsWith(`!${source}/`))).toBe(true)
    }
  })

  test('runs the program that the package names, as a user without rights, with a command that it knows', () => {
    const { bin } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { bin: { tollgate: string } }
    expect(last).toContain('USER node')
    expect(last).toContain(`ENTRYPOINT ["node", "/opt/tollgate/${bin.tollgate}"]`)
    expect(last).toContain('CMD ["start", "--config", "/etc/tollgate/gateway.yaml"]')
    expect(last).toContain('WORKDIR /opt/tollgate')
    expect(last.indexOf('USER node')).toBeGreaterThan(last.findLastIndex((line) => line.startsWith('RUN')))
  })

  test('has the ports of the configurations', () => {
    for (const gateway of [gatewayOfCompose, gatewayOfKubernetes]) {
      expect(last).toContain(`EXPOSE ${gateway.listen.slice(1)} ${gateway.admin.listen.slice(1)}`)
      expect(last).toContain(`VOLUME ${gateway.data_dir}`)
    }
    expect(last.join('\n')).toContain(`127.0.0.1${gatewayOfKubernetes.admin.listen}/readyz`)
  })
})

describe('kubernetes', () => {
  const [container] = deployment.spec.containers

  test('applies every file that is there', () => {
    expect(yamlOf('kubernetes/kustomization.yaml').resources.toSorted()).toEqual(Object.keys(kubernetes).toSorted())
    for (const document of Object.values(kubernetes))
      expect(document).toMatchObject({ apiVersion: expect.any(String) as string, metadata: { name: 'tollgate' } })
  })

  test('selects the pods of the deployment, everywhere', () => {
    const { labels } = deployment.metadata
    expect(kubernetes['deployment.yaml'].spec.selector.matchLabels).toEqual(labels)
    expect(kubernetes['service.yaml'].spec.selector).toEqual(labels)
    expect(kubernetes['disruption-budget.yaml'].spec.selector.matchLabels).toEqual(labels)
    expect(deployment.spec.topologySpreadConstraints[0].labelSelector.matchLabels).toEqual(labels)
    expect(kubernetes['autoscaler.yaml'].spec.scaleTargetRef).toEqual({ apiVersion: 'apps/v1', kind: 'Deployment', name: 'tollgate' })
    expect(kubernetes['deployment.yaml'].spec.replicas).toBeUndefined()
    expect(kubernetes['autoscaler.yaml'].spec.minReplicas).toBeGreaterThan(kubernetes['disruption-budget.yaml'].spec.maxUnavailable)
  })

  test('asks for health where the gateway tells it, on ports that are the configuration’s', () => {
    const ports = Object.fromEntries(container.ports.map((port: Foreign) => [port.name, port.containerPort]))
    expect(gatewayOfKubernetes).toMatchObject({ listen: `:${ports.rpc}`, admin: { listen: `:${ports.admin}` } })
    for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe']) expect(container[probe].httpGet.port).toBe('admin')
    expect(container.readinessProbe.httpGet.path).toBe('/readyz')
    expect(container.livenessProbe.httpGet.path).toBe('/healthz')
    expect(deployment.metadata.annotations['prometheus.io/port']).toBe(String(ports.admin))
    expect(ports[kubernetes['service.yaml'].spec.ports[0].targetPort]).toBeDefined()
  })

  test('runs without rights on a read-only root, and writes where the configuration says', () => {
    expect(deployment.spec.securityContext.runAsNonRoot).toBe(true)
    expect(container.securityContext).toEqual({ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } })
    const volumes = new Set(deployment.spec.volumes.map((volume: Foreign) => volume.name))
    for (const mount of container.volumeMounts) expect(volumes).toContain(mount.name)
    expect(container.volumeMounts.find((mount: Foreign) => mount.readOnly !== true).mountPath).toBe(gatewayOfKubernetes.data_dir)
  })

  test('waits until what was accepted is answered', () => {
    const { terminationGracePeriodSeconds } = deployment.spec
    expect(terminationGracePeriodSeconds).toBeGreaterThan((container.lifecycle.preStop.sleep.seconds as number) + drainSeconds(gatewayOfKubernetes))
  })

  test('takes secrets from a Secret: none stands in the configuration', () => {
    for (const consumer of gatewayOfKubernetes.consumers) expect(consumer.plugins['key-auth'].key).toMatch(/^\$\{\w+\}$/)
    expect(container.envFrom[0].secretRef.name).toBe('tollgate')
  })
})

describe('the systemd unit', () => {
  const unit = new Map<string, string>()
  for (const line of textOf('systemd/tollgate.service').split('\n')) {
    const [, key, value] = /^(\w+)=(.*)$/.exec(line) ?? []
    if (key !== undefined) unit.set(key, value!)
  }

  test('checks, starts, reloads and drains with what the command understands', () => {
    expect(unit.get('ExecStartPre')).toMatch(/ tollgate check --config \/etc\/tollgate\/gateway\.yaml$/)
    expect(unit.get('ExecStart')).toMatch(/ tollgate start --config \/etc\/tollgate\/gateway\.yaml$/)
    expect(unit.get('ExecReload')).toMatch(/-HUP \$MAINPID$/)
    expect(unit.get('KillMode')).toBe('mixed')
    expect(Number(unit.get('TimeoutStopSec'))).toBeGreaterThan(30)
  })
})
