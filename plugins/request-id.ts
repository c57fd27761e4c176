/**
 * request-id: the name under which logs, errors and the client speak of one request. A client's own name is taken
 * over only when it is short and plain, for it will stand in logs.
 */
import { randomUUID } from 'node:crypto'
import { Type, definePlugin, isAnswerHeader } from '#plugin'

const PLAIN = /^[A-Za-z0-9_.:-]{1,64}$/
const UUID_LENGTH = 36

export default definePlugin({
  name: 'request-id',
  priority: 12015,
  summary: 'Names each request, and takes over the name that a client gave it.',
  config: {
    header_name: Type.String({
      pattern: '^[A-Za-z][A-Za-z0-9-]*$',
      default: 'X-Request-Id',
      description: 'The header that carries the name, both ways. A name of a client counts when it is 1 to 64 letters, digits or `_.:-`.',
    }),
    include_in_response: Type.Boolean({ default: true, description: 'Whether the answer carries the header.' }),
    algorithm: Type.Enum(['uuid', 'counter'], {
      default: 'uuid',
      description:
        "How a request without a name is named: `uuid` is a random UUID, `counter` the gateway's own number, unique for as long as it runs and cheaper.",
    }),
  },
  examples: [{}, { header_name: 'X-Correlation-Id', include_in_response: false, algorithm: 'counter' }],
  onFault: 'pass',
  create({ header_name: name, include_in_response: isIncluded, algorithm }, host) {
    if (isIncluded && !isAnswerHeader(name, '')) host.report('error', ['header_name'], "is the gateway's own to say on answers", 'choose another name')
    const header = name.toLowerCase()
    const isRandom = algorithm === 'uuid'
    return {
      open(session) {
        const given = session.header(header)
        if (given !== undefined && PLAIN.test(given)) session.requestId = given
        // A WebSocket that is opened again for a new configuration keeps the UUID that it has.
        else if (isRandom && session.requestId.length !== UUID_LENGTH) session.requestId = randomUUID()
        if (isIncluded) session.setHeader(name, session.requestId)
      },
    }
  },
})
