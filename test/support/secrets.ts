/** The secrets of consumers that a configuration holds, looked for in all that the gateways of all tests emit. */
import { load } from 'js-yaml'

/** Shorter words could stand anywhere. */
const MIN_LENGTH = 8
const SECRET = /^(?:key|secret)$/

/** Fails when a key or secret under `consumers[].plugins` stands in what a gateway emitted. Whatever a test is about, this holds. */
export function expectNoSecret(config: string | Readonly<Record<string, unknown>>, emitted: string): void {
  const secrets: string[] = []
  collect(parse(config), false, secrets)
  for (const secret of secrets) if (emitted.includes(secret)) throw new Error(`a gateway showed a secret: ${secret}`)
}

function parse(config: string | Readonly<Record<string, unknown>>): unknown {
  if (typeof config !== 'string') return config['consumers']
  try {
    return (load(config) as { consumers?: unknown } | undefined)?.consumers
  } catch {
    return undefined
  }
}

function collect(value: unknown, isSecret: boolean, secrets: string[]): void {
  if (typeof value === 'string' && isSecret && value.length >= MIN_LENGTH) secrets.push(value)
  else if (Array.isArray(value)) for (const item of value) collect(item, isSecret, secrets)
  else if (value !== null && typeof value === 'object') for (const [name, item] of Object.entries(value)) collect(item, SECRET.test(name), secrets)
}
