/**
 * jsonrpc-var: reads JSON-RPC. Every route has it: bytes become a frame, whose calls all other plugins judge and whose
 * parts templates name (`$rpc_method`, `$rpc_is_batch`). What cannot be read beyond doubt is answered with an error and
 * never reaches a node. The size of a body is the listener's to limit.
 */
import { decode, definePlugin, Type } from '#plugin'

export default definePlugin({
  name: 'jsonrpc-var',
  priority: 26000,
  summary: 'Reads JSON-RPC; every route needs it.',
  config: {
    strict: Type.Boolean({ description: 'Refuse a call that has members beside jsonrpc, id, method and params; false drops them instead.', default: true }),
    max_batch: Type.Integer({ minimum: 1, description: 'Calls in one batch.', default: 100 }),
    max_depth: Type.Integer({ minimum: 2, maximum: 1024, description: 'Arrays and objects open at once, the call itself included.', default: 64 }),
    max_method_length: Type.Integer({ minimum: 1, description: 'Characters of a method.', default: 128 }),
    max_id_bytes: Type.Integer({ minimum: 1, description: 'Bytes of an id as it is written.', default: 256 }),
  },
  examples: [{}, { strict: false, max_batch: 20 }],
  onFault: 'refuse',
  create(config) {
    const options = {
      strict: config.strict,
      maxBatch: config.max_batch,
      maxDepth: config.max_depth,
      maxMethodLength: config.max_method_length,
      maxIdBytes: config.max_id_bytes,
    }
    return { decode: (bytes) => decode(bytes, options) }
  },
})
