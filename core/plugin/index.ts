/** Everything that a plugin may import: `import { definePlugin, Type, refuse } from '#plugin'`. */
export { definePlugin, fact } from './define.ts'
export type {
  AnyPlugin,
  ChainHead,
  ChainView,
  ConfigOf,
  ConfigSchema,
  Credential,
  CredentialIndexer,
  CredentialReport,
  Fact,
  Hooks,
  Host,
  PluginDefinition,
  PluginFile,
  PluginInstance,
  PluginLog,
  Push,
  WebSocketSettings,
} from './define.ts'
export { answer, outcomeWord, refuse, respond } from './outcome.ts'
export type { HttpAnswer, NodeError, Outcome, OutcomeWord, Refusal, RefusalDetails, Result } from './outcome.ts'
export { draw } from './budget.ts'
export type { Draw, Window } from './budget.ts'
export { callSlot, consumer, cost, network, offeredMethods, sessionSlot, tier } from './slots.ts'
export type { Consumer, OfferedMethod, Plan, Slot } from './slots.ts'
export type { Call, FrameView, Session, Traffic, UpstreamRequest } from './session.ts'
export type { CounterHandle, HistogramHandle, Metrics } from './metrics.ts'
export { callTemplate, keyProblem, sessionTemplate, unknownVariable } from './template.ts'
export type { Template } from './template.ts'
export { addressList, addressProblem, canonicalAddress } from './addresses.ts'
export { argumentPlace, bearerPlace, headerPlace, pathVariablePlace, subprotocolPlace } from './credential-places.ts'
export { isPlainMethod, methodList, patternMap, patternProblem } from './method-patterns.ts'
export type { PatternMap } from './method-patterns.ts'
export { ageOf, blocksIn, isBlockHash } from './blocks.ts'
export type { Block, Reach } from './blocks.ts'
export { readBlockFilter, takesBlockFilter } from './block-filter.ts'
export type { BlockFilter } from './block-filter.ts'
export { blockParamOf, reachOf } from './reach.ts'
export { compact, mayStandTwice } from '../jsonrpc/source-text.ts'
export { BoundedMap, remembered } from './bounded-map.ts'
export { isAnswerHeader } from './headers.ts'
export { CompactMap } from './compact-map.ts'
export { OwnPlaces } from './places.ts'
export type { Places } from './places.ts'
export { RecentMap } from './recent-map.ts'
export { Duration, Type, durationMs } from './schema.ts'
export type { Static } from './schema.ts'
export { errors } from '../jsonrpc/errors.ts'
export { decode } from '../jsonrpc/decode.ts'
export type { DecodeOptions } from '../jsonrpc/decode.ts'
export type { Frame } from '../jsonrpc/frame.ts'
