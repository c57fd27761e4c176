/**
 * The log: pino, one JSON object per line, to standard output or a file. Writing never blocks a request: lines wait
 * in a bounded buffer, and what does not fit is dropped and counted. Nothing that is logged carries a key; should
 * a field of a tell-tale name ever do so, its value is replaced by `[redacted]`.
 *
 * Fields of every line: `level`, `time` (ISO 8601, UTC), `msg`; `worker` where several processes serve; `plugin` where a plugin wrote it; `err` with type,
 * message and stack for an error. The other fields are the writer's own.
 */
import { pino } from 'pino'
import { LineFile } from './line-file.ts'
import type { PluginLog } from '../plugin/define.ts'

type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent'

export interface LogOptions {
  readonly level: LogLevel
  /** Path of the file, its directory made when missing; undefined writes to standard output. */
  readonly file: string | undefined
  readonly now: () => number
  /** The number of the worker process that writes, in every line; undefined where there is one process. */
  readonly worker?: number
  /** Bytes that wait for a slow destination. */
  readonly maxBufferBytes?: number
  /** Called for every line that found the buffer full. */
  readonly onDropped?: () => void
}

/** The log of one gateway. A `PluginLog` itself, for the core's own lines. */
export interface Log extends PluginLog {
  /** The log of a plugin: every line carries its name. */
  forPlugin(name: string): PluginLog
  setLevel(level: LogLevel): void
  /** Goes on in another file; undefined is standard output. Throws, and goes on with the old one, when that fails. */
  moveTo(file: string | undefined): void
  /** Takes on the level, and goes on in the file where that is another one. Throws, and goes on in the old one, when that fails. */
  follow(settings: { readonly level: LogLevel; readonly file: string | undefined }): void
  /** Opens the file anew after logrotate moved it. Goes on with the old one, and says so, when that fails. */
  reopen(): void
  /** Writes what waits at once: for the exit of the process, and nothing after it. */
  flush(): void
  /** Writes what waits and ends; resolves once it is written. Lines after that are lost. */
  close(): Promise<void>
}

/** 4 MiB: seconds of a full log at any rate that a disk should keep up with. */
const MAX_BUFFER_BYTES = 4 * 1024 * 1024

/** Names of fields that would hold a secret. Nobody logs them; this is the net. */
const SECRET_FIELDS = [
  'apikey',
  'api_key',
  'x-api-key',
  'key',
  'secret',
  'password',
  'token',
  'jwt',
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
]

/** Objects in which those names are looked for, beside the line itself. A wildcard costs 60 µs a line, these names nothing. */
const CONTAINERS = ['headers', 'config', 'credential', 'query']

/** Opens the log. Throws when the file cannot be opened. */
export function openLog({ level, file, now, worker, maxBufferBytes = MAX_BUFFER_BYTES, onDropped = () => undefined }: LogOptions): Log {
  const lines = new LineFile(file, maxBufferBytes, onDropped, worker !== undefined)
  const root = pino(
    {
      level,
      base: worker === undefined ? null : { worker },
      timestamp: timestamps(now),
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: redactedPaths(), censor: '[redacted]' },
    },
    lines,
  )
  return {
    ...pluginLog(root),
    forPlugin: (plugin) => pluginLog(root, { plugin }),
    setLevel: (level) => void (root.level = level),
    moveTo: (to) => lines.moveTo(to),
    follow: (settings) => {
      if (settings.file !== lines.path) lines.moveTo(settings.file)
      root.level = settings.level
    },
    reopen: () => {
      try {
        lines.reopen()
      } catch (error) {
        root.error({ err: error }, 'the log file cannot be opened anew')
      }
    },
    flush: () => lines.flush(),
    close: () => lines.close(),
  }
}

/** The time as pino wants it; lines of one millisecond share the text. */
function timestamps(now: () => number): () => string {
  let at = Number.NaN
  let text = ''
  return () => {
    const ms = now()
    if (ms !== at) text = `,"time":"${new Date((at = ms)).toISOString()}"`
    return text
  }
}

function pluginLog(logger: pino.Logger, always: Readonly<Record<string, unknown>> = {}): PluginLog {
  return {
    isEnabled: (level) => logger.isLevelEnabled(level),
    debug: (fields, message) => logger.debug({ ...always, ...fields }, message),
    info: (fields, message) => logger.info({ ...always, ...fields }, message),
    warn: (fields, message) => logger.warn({ ...always, ...fields }, message),
    error: (fields, message) => logger.error({ ...always, ...fields }, message),
  }
}

function redactedPaths(): string[] {
  return ['', ...CONTAINERS].flatMap((container) => SECRET_FIELDS.map((field) => `${container}["${field}"]`))
}
