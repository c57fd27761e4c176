/** What may stand in gateway.yaml. The schema is the manual: descriptions and defaults are printed from here. */
import { Duration, Type } from '../plugin/schema.ts'
import { UpstreamSchema } from './upstream-schema.ts'
import { bytes, id, text } from './values.ts'
import type { Static, TSchema } from 'typebox'

const listen = (fallback: string, description: string) =>
  text('^(\\[[0-9A-Fa-f:.]+\\]|[^\\s:/\\[\\]]*):\\d{1,5}$', 'must be host:port, such as 127.0.0.1:9080, [::1]:9080 or :9080', description, {
    default: fallback,
  })

const quota = (description: string) =>
  Type.Union(
    [
      Type.Integer({ minimum: -1, maximum: Number.MAX_SAFE_INTEGER }),
      Type.String({ pattern: '^(unlimited|-1|\\d{1,15})$', patternErrorMessage: 'must be a number, or unlimited' }),
    ],
    { description: `${description} 0 means none, -1 or \`unlimited\` no limit.` },
  )

const redisUrl = text('^rediss?://\\S+$', 'must be a URL such as redis://host:6379/0', 'A Redis server.')

const Store = Type.Union(
  [
    text('^(memory|rediss?://\\S+)$', 'must be memory or a URL such as redis://host:6379/0', '`memory`, or the URL of a Redis server.'),
    Type.Array(redisUrl, { minItems: 1, description: 'Nodes of a Redis Cluster. User and password of the first are those of all.' }),
    Type.Object({
      sentinels: Type.Array(redisUrl, { minItems: 1, description: 'Redis Sentinels. User, password and database of the first are those of the master too.' }),
      name: Type.String({ minLength: 1, description: 'The name under which the sentinels know the master.' }),
    }),
  ],
  { default: 'memory', description: 'Where budgets are counted: `memory`, a Redis, the nodes of a Redis Cluster, or sentinels.' },
)

const onStoreFailure = (budgets: string) =>
  Type.Enum(['local', 'refuse', 'pass'], {
    default: 'local',
    description: `${budgets} \`refuse\` answers 503, \`pass\` serves everything and charges it later.`,
  })

const Meter = Type.Object(
  {
    lease: Type.Enum(['auto', 'exact'], {
      default: 'auto',
      description:
        'How processes share the budgets of a store. With `auto` each takes a slice ahead of what it spends, so that calls seldom wait for the store: together they never exceed a limit, but a call may be refused for what others hold. With `exact` the store is asked for every request.',
    }),
    lease_share: Type.Number({
      minimum: 0,
      maximum: 0.5,
      default: 0.05,
      description: 'The largest slice that one process holds, as a part of the limit. The others may refuse early by as much.',
    }),
    store_timeout: Duration({
      default: '50ms',
      description: 'How long a call waits for the store at most; then, and while it is away, `on_store_failure` says what to do.',
    }),
    on_store_failure: Type.Object(
      {
        windows: onStoreFailure("Limits per seconds. `local` serves each process's share of the limit."),
        cycles: onStoreFailure("Limits per billing cycle. `local` serves each process's share of what was left, and the overdraft; then it answers 503."),
      },
      { default: {}, description: 'What to do while the store is away. What was served is charged once when it is back.' },
    ),
    overdraft: Type.Number({
      minimum: 0,
      maximum: 1,
      default: 0.01,
      description: "What a process serves of a billing cycle beyond its share while the store is away, as a part of the cycle's limit.",
    }),
  },
  { default: {}, description: 'How budgets are drawn on that a store holds for several processes.' },
)

const Log = Type.Object(
  {
    level: Type.Enum(['debug', 'info', 'warn', 'error', 'silent'], { default: 'info', description: 'The least serious lines that are written.' }),
    file: Type.Optional(Type.String({ minLength: 1, description: 'File to write to; standard output where it is missing.' })),
  },
  { default: {}, description: 'The log.' },
)

const Limits = Type.Object(
  {
    max_in_flight: Type.Integer({ minimum: 1, default: 10_000, description: 'Frames that are worked on at once; more are answered with 503.' }),
    max_memory: Type.Number({
      exclusiveMinimum: 0,
      maximum: 1,
      default: 0.9,
      description: "Part of the memory, of Node's heap and of what the system gives, from which on new work is answered with 503.",
    }),
    max_event_loop_lag: Duration({ default: '200ms', description: 'How late the event loop may be for half a second; beyond, new work is answered with 503.' }),
    max_held: Type.Optional(
      bytes('Bytes of bodies and answers that are in memory at once; more is answered with 503. A quarter of the memory where it is not said.'),
    ),
    max_body: bytes('Bytes of a request body or of a WebSocket message from a client.', 1_048_576),
    max_headers: bytes('Bytes of all headers of a request.', 16_384),
    max_header_count: Type.Integer({ minimum: 1, maximum: 1000, default: 100, description: 'Headers of a request.' }),
    max_connections: Type.Integer({
      minimum: 1,
      default: 20_000,
      description: 'Connections of clients at once, but never more than three quarters of what the system lets the process open; more are closed unanswered.',
    }),
    max_connections_per_address: Type.Integer({
      minimum: 1,
      default: 1000,
      description: 'Connections at once from one IPv4 address or one IPv6 network of 64 bits, `trusted_proxies` aside; more are answered with 429.',
    }),
    headers_timeout: Duration({ default: '10s', description: 'For all headers of a request to arrive.' }),
    request_timeout: Duration({ default: '15s', description: 'For a whole request to arrive.' }),
    write_timeout: Duration({
      default: '30s',
      description:
        'How long a client may take nothing of its answer, and for all of it beside a second for every 64 KiB; then the connection is cut. A WebSocket that takes nothing is closed with 1013.',
    }),
    keep_alive_timeout: Duration({ default: '65s', description: 'How long an idle connection of a client is kept.' }),
    compress_over: bytes('Answers under this many bytes are not compressed.', 1024),
  },
  { default: {}, description: 'What the gateway takes from clients at most. Takes effect at the next start.' },
)

const Plan = Type.Object({
  id: id('The name that consumers use.'),
  tier: id('What the plan may call, as the whitelist names it: `free` or `paid`.'),
  seconds_quota: Type.Optional(quota('CU per window of limit-cu.')),
  monthly_quota: Type.Optional(quota('CU per billing cycle.')),
  billing_day: Type.Integer({ minimum: 1, maximum: 28, default: 1, description: 'Day of the month (UTC) on which a billing cycle begins.' }),
})

/** The schema of gateway.yaml, given the schema of what stands under `plugins`, in general and of a consumer. */
export function gatewaySchema<Plugins extends TSchema, OfConsumer extends TSchema>(plugins: Plugins, ofConsumer: OfConsumer) {
  const Route = Type.Object({
    id: id('The name in logs and metrics.'),
    hosts: Type.Array(Type.String(), { default: [], description: 'Hosts, such as `{network}.rpc.example.com` or `*.example.com`. None means any.' }),
    uris: Type.Array(Type.String(), { default: [], description: 'Paths, such as `/{network}` or `/rpc/*`. None means any.' }),
    upstream_id: Type.String({ minLength: 1, description: 'The upstream; may hold variables that hosts or uris bind, such as `{network}`.' }),
    plugin_config_id: Type.Optional(Type.String({ description: 'A bundle of plugin_configs; the own plugins of the route replace its entries.' })),
    plugins,
    on_batch_refusal: Type.Enum(['each', 'all'], {
      default: 'each',
      description: 'Whether a refused call of a batch is refused alone, or the whole batch with it.',
    }),
  })
  const Consumer = Type.Object({
    username: text('^[\\x21-\\x7e]{1,128}$', 'must be 1 to 128 printable characters without a space', 'The name in logs, metrics and templates.'),
    plan: Type.Optional(Type.String({ description: 'The id of a plan.' })),
    seconds_quota: Type.Optional(quota("CU per window of limit-cu, in the plan's place.")),
    monthly_quota: Type.Optional(quota("CU per billing cycle, in the plan's place.")),
    disabled: Type.Boolean({ default: false, description: 'True revokes all credentials.' }),
    plugins: ofConsumer,
  })
  const Bundle = Type.Object({ id: id('The name that routes use.'), plugins })
  const GlobalRule = Type.Object({ id: Type.Optional(id('A name for people.')), plugins })
  return Type.Object({
    listen: listen('127.0.0.1:9080', 'Where clients are served, HTTP and WebSocket. No host means every address.'),
    admin: Type.Object(
      { listen: listen('127.0.0.1:9180', 'Where metrics and health are served; keep it private.') },
      { default: {}, description: 'The second listener, for /metrics, /healthz, /readyz and /upstreams.' },
    ),
    workers: Type.Union([Type.Integer({ minimum: 1, maximum: 1024 }), Type.Literal('auto')], {
      default: 1,
      description: 'Processes that serve clients, all on the one address; `auto` is one for each CPU. Takes effect at the next start.',
    }),
    store: Store,
    meter: Meter,
    data_dir: Type.String({ minLength: 1, default: './data', description: 'Where usage is kept, relative to this file.' }),
    trusted_proxies: Type.Array(Type.String(), { default: [], description: 'Addresses and CIDRs of proxies whose X-Forwarded-For counts.' }),
    drain_timeout: Duration({ default: '30s', description: 'How long a stop waits for what is in flight.' }),
    log: Log,
    limits: Limits,
    plugins_dir: Type.Optional(Type.String({ minLength: 1, description: 'Directory of plugins of your own, relative to this file.' })),
    upstreams: Type.Array(UpstreamSchema, { default: [], description: 'Groups of nodes that answer alike.' }),
    routes: Type.Array(Route, { default: [], description: 'What is served, and by which plugins.' }),
    plans: Type.Array(Plan, { default: [], description: 'What consumers pay for.' }),
    consumers: Type.Array(Consumer, { default: [], description: 'Who may call.' }),
    global_rules: Type.Array(GlobalRule, { default: [], description: 'Plugins that run on every route, in addition to its own.' }),
    plugin_configs: Type.Array(Bundle, { default: [], description: 'Named bundles of plugins that routes refer to.' }),
  })
}

/** Each plugin's entry is checked by the plugin's own schema, and consumers one by one, because there may be a million. */
const Entries = Type.Record(Type.String(), Type.Unknown(), { default: {}, description: 'Plugins by name.' })
const Shape = gatewaySchema(Entries, Entries)

export const ConsumerSchema = Shape.properties.consumers.items
export const GatewaySchema = Type.Object({ ...Shape.properties, consumers: Type.Array(Type.Unknown(), { default: [] }) })

export type GatewayYaml = Static<typeof GatewaySchema>
export type ConsumerYaml = Static<typeof ConsumerSchema>
export type PlanYaml = Static<typeof Plan>
export type QuotaYaml = PlanYaml['seconds_quota']
