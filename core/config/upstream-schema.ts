/** What may stand under `upstreams` in gateway.yaml. */
import { Duration, Type } from '../plugin/schema.ts'
import { bytes, id, text } from './values.ts'
import type { Static } from 'typebox'

const words = (description: string) =>
  Type.Array(text('^[a-z0-9][a-z0-9_-]{0,63}$', 'must be a word of lower-case letters, digits, _ and -', 'A word.'), { default: [], description })

const UpstreamNode = Type.Object({
  id: Type.Optional(id('How metrics, logs and reports name the node; its position, from 0, where there is none.')),
  url: text('^https?://\\S+$', 'must be a URL such as http://127.0.0.1:8545', 'HTTP address; may hold user, password, path and query.'),
  ws_url: Type.Optional(text('^wss?://\\S+$', 'must be a URL such as ws://127.0.0.1:8545', 'WebSocket address.')),
  weight: Type.Integer({ minimum: 0, maximum: 10_000, default: 1, description: 'Share of the calls, beside the other weights; 0 takes the node out.' }),
  priority: Type.Integer({ default: 0, description: 'Nodes of a lower priority serve only while none of a higher one can.' }),
  methods: Type.Array(Type.String(), {
    default: [],
    description: 'The methods that the node serves, as patterns: `trace_*`, `!debug_*`. None means all; a list that only denies leaves all others.',
  }),
  tags: words('What the node has that others may lack, in the words of the rules: `archive`, `trace`.'),
})

const Tls = Type.Object(
  {
    ca: Type.Optional(Type.String({ minLength: 1, description: "File of PEM certificates that are trusted instead of the system's." })),
    servername: Type.Optional(Type.String({ minLength: 1, description: "The name that the certificate must carry, where it is not the URL's host." })),
    verify: Type.Boolean({ default: true, description: 'False takes any certificate.' }),
  },
  { description: 'How https nodes are verified.' },
)

const Passive = Type.Object(
  {
    failures: Type.Integer({ minimum: 1, maximum: 1000, default: 3, description: 'Failures in a row after which a node is out.' }),
    ratio: Type.Number({ exclusiveMinimum: 0, maximum: 1, default: 0.5, description: 'The part of its last 32 answers that may be failures.' }),
    cool_down: Duration({ default: '1s', description: 'How long it is out before a call is let through to see whether it has recovered.' }),
  },
  { default: {}, description: 'What calls themselves tell of a node: timeouts, lost connections, HTTP errors, broken or wrong answers.' },
)

const Active = Type.Object(
  {
    interval: Duration({ default: '2s', description: 'How often each node is asked.' }),
    timeout: Duration({ default: '1s', description: 'For its answers.' }),
    chain_id: Type.Optional(
      Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: 'A node on another chain is out. Nodes serve once they have shown theirs.' }),
    ),
    max_lag: Type.Integer({ minimum: 0, maximum: 1_000_000, default: 10, description: 'Blocks that a node may be behind the highest of the others.' }),
    successes: Type.Integer({ minimum: 1, maximum: 1000, default: 1, description: 'Times in a row that a node has to be well before it is back.' }),
    failures: Type.Integer({ minimum: 1, maximum: 1000, default: 3, description: 'Times in a row that a node cannot be reached before it is out.' }),
  },
  {
    description:
      'Where it is given, each node is asked for its newest block, whether it is synced and which chain it is on, and a node that calls found failing is back when it answers here.',
  },
)

const Checks = Type.Object({ active: Type.Optional(Active), passive: Passive }, { default: {}, description: 'When a node is out, and when it is back.' })

const Hedge = Type.Object(
  {
    after: text(
      '^(?:p[5-9][0-9]|\\d+(?:\\.\\d+)?(?:ms|s|m))$',
      'must be a percentile from p50 to p99, or a duration such as 250ms',
      'When: a duration, or a percentile such as `p95`, which is longer than that part of the last answers to the method took.',
      { default: 'p95' },
    ),
    max: Type.Integer({ minimum: 1, maximum: 5, default: 1, description: 'Further requests for one call.' }),
  },
  {
    description:
      'Reads that take long are asked of another node too, and the first good answer counts. Not where this is missing. Never what is no read; these requests draw on the budget of retries, a tenth of all.',
  },
)

const Batch = Type.Object(
  {
    max: Type.Integer({
      minimum: 1,
      maximum: 1000,
      default: 20,
      description: 'Calls in one request to a node; more are cut into several, each to the node whose turn it is. 1 sends each alone.',
    }),
    wait: Duration({
      default: '0s',
      description:
        "How long a read waits for reads of others to travel with; 0s does not wait, and only a client's own batch travels together. What breaks a request breaks it for all calls in it.",
    }),
  },
  { default: {}, description: 'How calls are put together for the nodes. The client knows nothing of it: each call is answered, and fails, alone.' },
)

/** One upstream. */
export const UpstreamSchema = Type.Object({
  id: id('The name that routes use.'),
  type: Type.Enum(['roundrobin', 'least_conn', 'chash', 'ewma'], {
    default: 'roundrobin',
    description:
      'How a node is chosen among those that can answer: in turns by weight, the one with the fewest requests under way, by the hash of `key`, or the one that is expected to be done first.',
  }),
  key: Type.String({
    minLength: 1,
    default: '$remote_addr',
    description: 'For chash, what is hashed: text with variables, such as `$consumer_name`. Calls for which a variable has no value share a node.',
  }),
  nodes: Type.Array(UpstreamNode, { minItems: 1, description: 'The nodes.' }),
  timeout: Type.Object(
    {
      connect: Duration({ default: '2s', description: 'Until a connection stands.' }),
      read: Duration({ default: '30s', description: 'Without a byte of the answer.' }),
      total: Duration({ default: '60s', description: 'For a request as a whole, retries included.' }),
    },
    { default: {}, description: 'How long a node may take.' },
  ),
  retries: Type.Integer({ minimum: 0, maximum: 10, default: 1, description: 'Further attempts on calls that a node left without an answer.' }),
  max_answer: bytes('Bytes of an answer, after decompression.', 64 * 1024 * 1024),
  max_connections: Type.Integer({ minimum: 1, maximum: 65_535, default: 512, description: 'Connections to one node.' }),
  keep_alive: Duration({ default: '4s', description: 'How long an idle connection to a node is kept.' }),
  gzip: Type.Boolean({ default: true, description: 'Whether nodes are asked for gzip.' }),
  tls: Type.Optional(Tls),
  rules: Type.Optional(
    Type.String({
      minLength: 1,
      description:
        "File that says which methods need which tags of a node, relative to this one. Where there is none, Ethereum's count, which `upstream-rules.yaml` shows.",
    }),
  ),
  multiplex: Type.Boolean({
    default: false,
    description:
      'Whether calls of HTTP clients travel over WebSocket to nodes that have a ws_url: many at once on a few sockets, at some two thirds of the CPU. While no socket stands they go over HTTP. Calls of WebSocket clients do so anyway.',
  }),
  coalesce: Type.Boolean({
    default: true,
    description: 'Whether reads that are the same and under way at the same moment are one request to a node. Each is charged, and answered with its own id.',
  }),
  finality: Type.Boolean({
    default: false,
    description:
      'Whether a consumer that sent a transaction is read for, a minute long, only from nodes that have the newest block that he was shown (`$last_seen_block`).',
  }),
  hedge: Type.Optional(Hedge),
  broadcast: Type.Integer({
    minimum: 1,
    maximum: 16,
    default: 1,
    description:
      'Nodes that a signed transaction (`eth_sendRawTransaction` and the like) is sent to at once. The first that accepts it decides; with more than 1, to know it already counts as accepted.',
  }),
  batch: Batch,
  checks: Checks,
})

export type UpstreamYaml = Static<typeof UpstreamSchema>
