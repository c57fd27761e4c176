import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { definePlugin, network } from '#plugin'
import { buildSnapshot, membersFor } from '../../core/config/snapshot.ts'
import { callIn, sessionOn } from '../support/configured.ts'
import { build, configOf, fixtures, snapshotDeps } from './fixtures.ts'
import type { Consumer } from '#plugin'
import type { ConfiguredPlugin, Snapshot } from '../../core/config/snapshot.ts'
import type { Built } from './fixtures.ts'

const UPSTREAM = 'upstreams: [{ id: node, nodes: [{ url: http://127.0.0.1:8545 }] }]\n'

async function snapshotOf(text: string, changes: Parameters<typeof build>[1] = {}): Promise<Snapshot> {
  const { snapshot, printed } = await build({ 'gateway.yaml': text }, changes)
  expect(printed).toEqual([])
  return snapshot!
}

const named = (members: readonly ConfiguredPlugin[], name: string): ConfiguredPlugin[] => members.filter((member) => member.plugin.name === name)

describe('settings', () => {
  test('have a default each, and paths begin at the configuration file', async () => {
    const { snapshot, directory } = await build({ 'gateway.yaml': 'log: { file: logs/gateway.log }' })
    expect(snapshot!.settings).toEqual({
      workers: 1,
      listen: { host: '127.0.0.1', port: 9080 },
      adminListen: { host: '127.0.0.1', port: 9180 },
      store: { kind: 'memory' },
      meter: { lease: 'auto', leaseShare: 0.05, storeTimeoutMs: 50, onStoreFailure: { windows: 'local', cycles: 'local' }, overdraft: 0.01 },
      dataDir: join(directory, 'data'),
      trustedProxies: [],
      drainTimeoutMs: 30_000,
      maxInFlight: 10_000,
      limits: {
        maxBodyBytes: 1_048_576,
        maxHeaderBytes: 16_384,
        headersTimeoutMs: 10_000,
        requestTimeoutMs: 15_000,
        writeTimeoutMs: 30_000,
        maxMemoryShare: 0.9,
        maxLagMs: 200,
        maxHeldBytes: undefined,
        keepAliveTimeoutMs: 65_000,
        maxHeaders: 100,
        maxConnections: 20_000,
        maxConnectionsPerAddress: 1000,
        compressOverBytes: 1024,
      },
      log: { level: 'info', file: join(directory, 'logs/gateway.log') },
    })
  })

  test.for([
    ['4', 4],
    ['auto', 'auto'],
  ] as const)('workers %s', async ([text, workers]) => {
    expect((await snapshotOf(`workers: ${text}`)).settings.workers).toBe(workers)
  })

  test.for([
    ['127.0.0.1:0', { host: '127.0.0.1', port: 0 }],
    ['"[::1]:80"', { host: '::1', port: 80 }],
    ['":80"', { host: '', port: 80 }],
    ['localhost:65535', { host: 'localhost', port: 65_535 }],
  ] as const)('listen %s', async ([listen, address]) => {
    expect((await snapshotOf(`listen: ${listen}`)).settings.listen).toEqual(address)
  })

  test.for([
    ['memory', { kind: 'memory' }],
    ['redis://host:6379/1', { kind: 'redis', url: 'redis://host:6379/1' }],
    ['[redis://a, redis://b]', { kind: 'cluster', urls: ['redis://a', 'redis://b'] }],
    ['{ sentinels: [redis://a], name: main }', { kind: 'sentinel', urls: ['redis://a'], name: 'main' }],
  ] as const)('store %s', async ([store, spec]) => {
    expect((await snapshotOf(`store: ${store}`)).settings.store).toEqual(spec)
  })

  test('of upstreams are in milliseconds and bytes, and a certificate is its text', async () => {
    const text = `
upstreams:
  - id: node
    type: least_conn
    nodes: [{ url: http://127.0.0.1:8545, ws_url: ws://127.0.0.1:8546, weight: 3 }, { url: https://other, priority: -1 }]
    timeout: { connect: 250ms, read: 1m }
    retries: 0
    tls: { ca: ca.pem }`
    const { snapshot, files, directory } = await build({ 'gateway.yaml': text, 'ca.pem': 'CERTIFICATE' })
    expect(snapshot!.upstreams).toMatchObject([
      {
        id: 'node',
        type: 'least_conn',
        nodes: [
          { url: 'http://127.0.0.1:8545', wsUrl: 'ws://127.0.0.1:8546', weight: 3, priority: 0 },
          { url: 'https://other', wsUrl: undefined, weight: 1, priority: -1 },
        ],
        connectTimeoutMs: 250,
        readTimeoutMs: 60_000,
        totalTimeoutMs: 60_000,
        retries: 0,
        maxAnswerBytes: 67_108_864,
        maxConnections: 512,
        keepAliveMs: 4000,
        gzip: true,
        tls: { ca: 'CERTIFICATE', servername: undefined, verify: true },
      },
    ])
    expect(files.map(({ path }) => path)).toEqual([join(directory, 'gateway.yaml'), join(directory, 'ca.pem')])
  })

  test('cannot be changed', async () => {
    const { settings } = await snapshotOf('trusted_proxies: [10.0.0.0/8]')
    expect(() => (settings.trustedProxies as string[]).push('0.0.0.0/0')).toThrow(TypeError)
    expect(Object.isFrozen(settings.listen)).toBe(true)
  })
})

describe('quotas', () => {
  test.for<[string, number | undefined]>([
    ['', undefined],
    ['monthly_quota: 0', 0],
    ['monthly_quota: "0"', 0],
    ['monthly_quota: 1000', 1000],
    ['monthly_quota: "1000"', 1000],
    ['monthly_quota: -1', Infinity],
    ['monthly_quota: "-1"', Infinity],
    ['monthly_quota: unlimited', Infinity],
  ])('%j is %s', async ([line, quota]) => {
    const { plans, consumers } = await snapshotOf(`
plans: [{ id: free, tier: paid, ${line} }]
consumers: [{ username: demo, plan: free, ${line} }]`)
    expect(plans.get('free')).toEqual({ id: 'free', tier: 'paid', secondsQuota: undefined, monthlyQuota: quota, billingDay: 1 })
    expect(consumers.get('demo')).toEqual({ username: 'demo', plan: plans.get('free'), secondsQuota: undefined, monthlyQuota: quota })
  })
})

describe('merging', () => {
  const text = `${UPSTREAM}
global_rules:
  - plugins: { limit: { time_window: 1 } }
plugin_configs:
  - id: usual
    plugins: { decoder: {}, keys: { header: from-bundle }, limit: { time_window: 2, burst: 2 } }
routes:
  - { id: plain, uris: [/plain], upstream_id: node, plugin_config_id: usual }
  - { id: own, uris: [/own], upstream_id: node, plugin_config_id: usual, plugins: { limit: { time_window: 3 }, keys: { _meta: { disable: true } } } }
consumers:
  - { username: demo, plugins: { keys: { key: demo-key }, limit: { burst: 4, _meta: { priority: 99 } } } }
  - { username: free, plugins: { limit: { _meta: { disable: true } }, offers: { methods: [] } } }`
  const route = async (id: string) => {
    const snapshot = await snapshotOf(text)
    return { snapshot, route: snapshot.routes.find((route) => route.id === id)! }
  }
  const shown = (members: readonly ConfiguredPlugin[], name: string) => named(members, name).map((member) => [member.level, member.source, configOf(member)])

  test('a bundle serves the routes that name it, and is created once', async () => {
    const { snapshot, route: plain } = await route('plain')
    expect(plain.members.map((member) => `${member.source} ${member.plugin.name}`)).toEqual([
      'global_rules[0] limit',
      'plugin_configs[0] decoder',
      'plugin_configs[0] keys',
      'plugin_configs[0] limit',
    ])
    expect(named(snapshot.routes[1]!.members, 'decoder')[0]!.instance).toBe(named(plain.members, 'decoder')[0]!.instance)
  })

  test('what a route says of a plugin replaces what its bundle says, as a whole; global rules run in addition', async () => {
    const { route: own } = await route('own')
    expect(shown(own.members, 'limit')).toEqual([
      ['global', 'global_rules[0]', { time_window: 1, rejected: 'drop' }],
      ['route', 'routes[1]', { time_window: 3, rejected: 'drop' }],
    ])
    expect(named(own.members, 'keys')).toEqual([])
  })

  test('what a consumer brings replaces both, on every route', async () => {
    const { snapshot, route: own } = await route('own')
    const members = membersFor(own, snapshot.consumerPlugins.get('demo')!)
    expect(shown(members, 'limit')).toEqual([
      ['global', 'global_rules[0]', { time_window: 1, rejected: 'drop' }],
      ['consumer', 'consumers[0]', { time_window: 1, burst: 4, rejected: 'drop' }],
    ])
    expect(members.at(-1)!.priority).toBe(99)
  })

  test('a consumer may do without a plugin of the route, and bring one that it does not have', async () => {
    const { snapshot, route: plain } = await route('plain')
    const members = membersFor(plain, snapshot.consumerPlugins.get('free')!)
    expect(shown(members, 'limit').map(([level]) => level)).toEqual(['global'])
    expect(shown(members, 'offers')).toEqual([['consumer', 'consumers[1]', { methods: [] }]])
  })
})

describe('consumers', () => {
  const text = `${UPSTREAM}
plans: [{ id: pro, tier: paid }]
routes:
  - { id: a, uris: [/a], upstream_id: node, plugins: { decoder: {}, keys: {} } }
  - { id: b, uris: [/b], upstream_id: node, plugins: { decoder: {}, keys: { header: other } } }
consumers:
  - { username: demo, plan: pro, plugins: { keys: { key: demo-key } } }
  - { username: gone, plan: pro, disabled: true, plugins: { keys: { key: gone-key }, limit: {} } }`
  interface Shown {
    index: Map<string, number>
    consumer(which: string | number): Consumer | undefined
  }
  const keysOf = async (at: number) => {
    const snapshot = await snapshotOf(text)
    return { snapshot, shown: configOf(named(snapshot.routes[at]!.members, 'keys')[0]) as Shown }
  }

  test('credentials are indexed once for all routes', async () => {
    const { snapshot, shown } = await keysOf(0)
    expect(shown.consumer(shown.index.get('demo-key')!)).toEqual(snapshot.consumers.get('demo'))
    expect((configOf(named(snapshot.routes[1]!.members, 'keys')[0]) as Shown).index).toBe(shown.index)
  })

  test('a disabled consumer is like one that never was', async () => {
    const { snapshot, shown } = await keysOf(0)
    expect(snapshot.consumers.size).toBe(1)
    expect(snapshot.consumers.get('gone')).toBeUndefined()
    expect([...shown.index.keys()]).toEqual(['demo-key'])
    expect(snapshot.consumerPlugins.has('gone')).toBe(false)
    expect(shown.consumer('gone')).toBeUndefined()
    expect(shown.consumer('demo')?.plan?.tier).toBe('paid')
  })

  test('a hundred thousand of them let others have a turn', async () => {
    const count = 100_000
    const consumers = Array.from({ length: count }, (_, at) => `{"username":"u${at}","plan":"pro","plugins":{"keys":{"key":"key-${at}"}}}`)
    let turns = 0
    const ticking = setInterval(() => turns++, 1)
    const { consumers: read } = await snapshotOf(`{"plans":[{"id":"pro","tier":"paid"}],"consumers":[${consumers.join(',\n')}]}`)
    clearInterval(ticking)
    expect(read.size).toBe(count)
    expect(turns).toBeGreaterThan(3)
  })
})

describe('what plugins tell each other', () => {
  const withOffers = (route: string, more = ''): Promise<Built> =>
    build({
      'gateway.yaml': `${UPSTREAM}${more}\nroutes: [{ id: a, uris: [/a], upstream_id: node, ${route} }]`,
      'prices.yaml': 'methods: { eth_call: 1 }',
    })

  test('is heard by the plugins of the same chain', async () => {
    const { printedWarnings } = await withOffers('plugins: { decoder: {}, offers: { methods: [eth_call, eth_chainId] }, prices: { config_path: prices.yaml } }')
    expect(printedWarnings).toEqual(['gateway.yaml:3 routes[0].plugins.offers.methods[1]: has no price'])
  })

  test('is not heard where nobody tells it', async () => {
    expect((await withOffers('plugins: { decoder: {}, offers: { methods: [eth_chainId] } }')).printedWarnings).toEqual([])
  })

  test('is heard by what a consumer brings', async () => {
    const { printedWarnings } = await withOffers(
      'plugins: { decoder: {}, prices: { config_path: prices.yaml } }',
      'consumers: [{ username: demo, plugins: { offers: { methods: [eth_chainId] } } }]',
    )
    expect(printedWarnings).toEqual(['gateway.yaml:2 consumers[0].plugins.offers.methods[0]: has no price'])
  })

  test('is told once, however many routes hear it', async () => {
    const { printedWarnings } = await withOffers(
      'plugin_config_id: usual },\n  { id: b, uris: [/b], upstream_id: node, plugin_config_id: usual',
      'plugin_configs: [{ id: usual, plugins: { decoder: {}, offers: { methods: [eth_chainId] }, prices: { config_path: prices.yaml } } }]',
    )
    expect(printedWarnings).toEqual(['gateway.yaml:2 plugin_configs[0].plugins.offers.methods[0]: has no price'])
  })
})

describe('filters', () => {
  const judges = async (filter: string): Promise<(method: string, on?: string, username?: string) => boolean> => {
    const { routes } = await snapshotOf(`${UPSTREAM}
routes: [{ id: a, uris: [/a], upstream_id: node, plugins: { decoder: {}, limit: { _meta: { filter: ${filter} } } } }]`)
    const { filter: judge } = named(routes[0]!.members, 'limit')[0]!
    return (method, on = 'eth', username) => judge!(callIn(sessionOn(on, username === undefined ? {} : { tier: 'free', username }), method))
  }

  test('of methods are patterns', async () => {
    const filter = await judges('{ methods: ["eth_*", "!eth_call"] }')
    expect(['eth_getLogs', 'eth_call', 'net_version'].map((method) => filter(method))).toEqual([true, false, false])
  })

  test('of networks and consumers are names, and all lists must agree', async () => {
    const filter = await judges('{ networks: [eth, bsc], consumers: [demo] }')
    expect(filter('x', 'eth', 'demo')).toBe(true)
    expect(filter('x', 'eth', 'other')).toBe(false)
    expect(filter('x', 'eth')).toBe(false)
    expect(filter('x', 'polygon', 'demo')).toBe(false)
  })
})

describe('a plugin is given', () => {
  test('the clock, a wait that ends with the gateway, and a configuration that it cannot change', async () => {
    const stop = new AbortController()
    let waited = false
    const curious = definePlugin({
      name: 'curious',
      priority: 1,
      summary: 'Looks around.',
      config: {},
      examples: [],
      onFault: 'pass',
      async create(config, host) {
        expect(host.now()).toBe(123)
        expect(host.trustedProxies).toEqual(['10.0.0.0/8'])
        expect(() => Object.assign(config, { more: 1 })).toThrow(TypeError)
        queueMicrotask(() => stop.abort())
        await host.delay(1e12)
        waited = true
        return { log: (frame) => void frame.session.get(network) }
      },
    })
    await snapshotOf(`trusted_proxies: [10.0.0.0/8]\n${UPSTREAM}routes: [{ id: a, uris: [/a], upstream_id: node, plugins: { decoder: {}, curious: {} } }]`, {
      catalogue: [...fixtures, curious],
      now: () => 123,
      stop: stop.signal,
    })
    expect(waited).toBe(true)
  })
})

describe('problems', () => {
  test('of a file that is not there', async () => {
    const { printed, files, directory } = await build({})
    expect(printed).toEqual(['gateway.yaml: does not exist'])
    expect(files).toEqual([{ path: join(directory, 'gateway.yaml'), digest: '' }])
  })

  test('of a file that is not UTF-8', async () => {
    const { printed } = await build({ 'gateway.yaml': Buffer.from([0x61, 0x3a, 0x20, 0xff]) as unknown as string })
    expect(printed).toEqual(['gateway.yaml: is not UTF-8'])
  })

  test('never hold a value', async () => {
    const secret = 'SECRET-1234567890'
    const { printed } = await build(
      {
        'gateway.yaml': `
listen: "\${SECRET}"
store: "\${SECRET}"
log: { level: "\${SECRET}" }
upstreams: [{ id: node, type: "\${SECRET}", nodes: [{ url: "http://\${SECRET}:x@[::" }], retries: "\${SECRET}" }]
consumers: [{ username: demo, monthly_quota: "\${SECRET}", plugins: { keys: "\${SECRET}" } }, { username: other, plugins: { keys: ["\${SECRET}"] } }]`,
      },
      { env: { SECRET: secret } },
    )
    expect(printed.length).toBeGreaterThan(6)
    expect(printed.join('\n')).not.toContain(secret)
  })

  test('that are too many are not all listed', async () => {
    const consumers = Array.from({ length: 1500 }, (_, at) => `\n  - { username: u${at}, plan: gone }`).join('')
    const { printed, snapshot } = await build({ 'gateway.yaml': `consumers:${consumers}` })
    expect(printed).toHaveLength(1001)
    expect(printed.slice(-2)).toEqual(['gateway.yaml:1001 consumers[999].plan: no plan has the id gone', 'gateway.yaml: has more problems than are listed'])
    expect(snapshot).toBeUndefined()
  })

  test('are not hidden by any number of warnings', async () => {
    const routes = Array.from({ length: 1500 }, (_, at) => `\n  - { id: r${at}, uris: [/a], upstream_id: node, plugins: { decoder: {} } }`).join('')
    const { printed, printedWarnings, snapshot } = await build({ 'gateway.yaml': `${UPSTREAM}routes:${routes}\nconsumers: [{ username: demo, plan: gone }]` })
    expect(printedWarnings).toHaveLength(1001)
    expect(printed).toEqual(['gateway.yaml:1503 consumers[0].plan: no plan has the id gone'])
    expect(snapshot).toBeUndefined()
  })

  test('of a schema that asks for what is not supported are the plugin’s', async () => {
    const { Type } = await import('#plugin')
    const odd = definePlugin({
      name: 'odd',
      priority: 1,
      summary: 'Odd.',
      config: { mail: Type.Optional(Type.Unsafe<string>({ type: 'string', format: 'email' })) },
      examples: [],
      onFault: 'pass',
      create: () => ({}),
    })
    const { printed } = await build({ 'gateway.yaml': 'global_rules: [{ plugins: { odd: {} } }]' }, { catalogue: [...fixtures, odd] })
    expect(printed).toEqual(["gateway.yaml:1 global_rules[0].plugins.odd: the plugin's schema cannot be used: the schema keyword format is not supported"])
  })

  test('of an index that throws keep the plugin from being created', async () => {
    const failing = definePlugin({
      name: 'failing',
      priority: 1,
      summary: 'Fails.',
      config: {},
      examples: [],
      onFault: 'refuse',
      credential: {
        schema: {},
        secrets: [],
        index() {
          throw new Error('no index')
        },
      },
      create: () => ({}),
    })
    const { printed } = await build({ 'gateway.yaml': 'global_rules: [{ plugins: { failing: {} } }]\nconsumers: []' }, { catalogue: [...fixtures, failing] })
    expect(printed).toEqual(['gateway.yaml:2 consumers: failing cannot index the credentials: no index'])
  })
})

test('a snapshot is built again from its content, whatever the files hold by then', async () => {
  const prices = UPSTREAM + 'routes: [{ id: a, uris: [/a], upstream_id: node, plugins: { decoder: {}, prices: { config_path: p.yaml } } }]'
  const { directory, content } = await build({ 'gateway.yaml': prices, 'p.yaml': 'methods: { eth_call: 7 }' })
  await writeFile(join(directory, 'gateway.yaml'), 'no: longer')
  await rm(join(directory, 'p.yaml'))
  const again = await buildSnapshot(join(directory, 'gateway.yaml'), snapshotDeps({ content: structuredClone(content), generation: 7 }))
  expect(again.problems).toEqual([])
  expect(again.snapshot!.generation).toBe(7)
  expect(configOf(again.snapshot!.routes[0]!.members[1])).toMatchObject({ prices: { methods: { eth_call: 7 } } })
  expect(structuredClone(again.content)).toEqual(structuredClone(content))
})
