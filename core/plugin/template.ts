/**
 * Templates in configuration: APISIX-style variables, compiled once. `$consumer_name`, `$remote_addr`, `$host`,
 * `$network`, `$rpc_method`, `$rpc_is_batch`, `$cu`, `$http_<header>`, and every slot that has a variable name.
 */
import { slotOfVariable } from './slots.ts'
import type { Call, Session } from './session.ts'
import type { Slot } from './slots.ts'

/** A compiled template; undefined when one of its variables has no value. */
export type Template<On> = (on: On) => string | undefined

type Reader<On> = (on: On) => string | undefined

const sessionReaders: Readonly<Record<string, Reader<Session>>> = {
  remote_addr: (session) => session.remoteAddr,
  host: (session) => session.host,
  route_id: (session) => session.routeId,
  request_id: (session) => session.requestId,
  scheme: (session) => session.scheme,
}

const callReaders: Readonly<Record<string, Reader<Call>>> = {
  rpc_method: (call) => call.method,
  rpc_is_batch: (call) => (call.frame.isBatch ? '1' : '0'),
}

/** What is wrong with a template: the variable that nobody knows. Undefined when all is well. */
export function unknownVariable(template: string, scope: 'session' | 'call'): string | undefined {
  for (const [, name] of template.matchAll(VARIABLE)) {
    if (sessionReader(name!) === undefined && (scope === 'session' || callReader(name!) === undefined)) return name
  }
  return undefined
}

/** What is wrong with a template that tells callers apart, as a clause; undefined when nothing is. Text without a variable is one key for all. */
export function keyProblem(template: string, scope: 'session' | 'call'): string | undefined {
  const unknown = unknownVariable(template, scope)
  if (unknown !== undefined) return `there is no variable $${unknown}`
  const isVariable = /^[a-z][a-z0-9_]*$/.test(template) && unknownVariable(`$${template}`, scope) === undefined
  return isVariable ? `is the same for every caller: write $${template}` : undefined
}

/** Compiles a template over sessions. Throws RangeError on an unknown variable: validate with `unknownVariable`. */
export function sessionTemplate(template: string): Template<Session> {
  return compile(template, sessionReader)
}

/** Compiles a template over calls. Throws RangeError on an unknown variable: validate with `unknownVariable`. */
export function callTemplate(template: string): Template<Call> {
  return compile<Call>(template, (name) => {
    const ofSession = sessionReader(name)
    return ofSession === undefined ? callReader(name) : (call) => ofSession(call.session)
  })
}

const VARIABLE = /\$([a-z][a-z0-9_]*)/g

function sessionReader(name: string): Reader<Session> | undefined {
  if (name.startsWith('http_')) {
    const header = name.slice('http_'.length).replaceAll('_', '-')
    return (session) => session.header(header)
  }
  const slot = slotOfVariable(name)
  if (slot?.scope === 'session') {
    return (session) => {
      const value = session.get(slot as Slot<unknown, 'session'>)
      return value === undefined ? undefined : slot.show(value)
    }
  }
  return Object.hasOwn(sessionReaders, name) ? sessionReaders[name] : undefined
}

function callReader(name: string): Reader<Call> | undefined {
  const slot = slotOfVariable(name)
  if (slot?.scope === 'call') {
    return (call) => {
      const value = call.get(slot as Slot<unknown, 'call'>)
      return value === undefined ? undefined : slot.show(value)
    }
  }
  return Object.hasOwn(callReaders, name) ? callReaders[name] : undefined
}

function compile<On>(template: string, reader: (name: string) => Reader<On> | undefined): Template<On> {
  const parts: (string | Reader<On>)[] = []
  let at = 0
  for (const match of template.matchAll(VARIABLE)) {
    if (match.index > at) parts.push(template.slice(at, match.index))
    const read = reader(match[1]!)
    if (read === undefined) throw new RangeError(`unknown variable $${match[1]}`)
    parts.push(read)
    at = match.index + match[0].length
  }
  if (at < template.length) parts.push(template.slice(at))
  const [only] = parts
  if (parts.length === 1 && typeof only === 'function') return only
  return (on) => {
    let text = ''
    for (const part of parts) {
      const value = typeof part === 'string' ? part : part(on)
      if (value === undefined) return undefined
      text += value
    }
    return text
  }
}
