import { describe, expect, test } from 'vitest'
import { consumer, draw, refuse, respond } from '#plugin'
import { fixture, note, rpc } from './fixture.ts'
import type { Member } from './fixture.ts'

function recording(name: string, priority: number, log: string[], extra: Member['instance'] = {}): Member {
  return {
    name,
    priority,
    instance: {
      open: () => void log.push(`open ${name}`),
      access: () => void log.push(`access ${name}`),
      reply: () => void log.push(`reply ${name}`),
      log: () => void log.push(`log ${name}`),
      close: () => void log.push(`close ${name}`),
      ...extra,
    },
  }
}

describe('the order of hooks', () => {
  test('is phase first, then priority; reply and close run in reverse', async () => {
    const log: string[] = []
    const { open, run, close } = fixture({ members: [recording('low', 1, log), recording('high', 9, log)] })
    await open()
    await run(rpc('a'))
    close()
    expect(log).toEqual(['open high', 'open low', 'access high', 'access low', 'reply low', 'reply high', 'log high', 'log low', 'close low', 'close high'])
  })

  test('stays with the call: the first is judged by all plugins before the second is asked about', async () => {
    const log: string[] = []
    const named = (name: string, priority: number): Member => ({ name, priority, instance: { access: (call) => void log.push(`${name} ${call.method}`) } })
    const { run } = fixture({ members: [named('p', 1), named('q', 2)] })
    await run([rpc('a', 1), rpc('b', 2)])
    expect(log).toEqual(['q a', 'p a', 'q b', 'p b'])
  })
})

describe('what opens closes', () => {
  test('once, in reverse, only as far as it was opened, when a plugin refuses', async () => {
    const log: string[] = []
    const refusing = recording('middle', 5, log, { open: () => refuse('blocked', 'test') })
    const { open, run, close } = fixture({ members: [recording('high', 9, log), refusing, recording('low', 1, log)] })
    await open()
    const answer = await run(rpc('a', 7))
    close()
    close()
    expect(answer.status).toBe(403)
    expect(answer.json.id).toBe(7)
    expect(log.filter((line) => /^(open|close)/.test(line))).toEqual(['open high', 'close middle', 'close high'])
  })

  test('also when a hook throws, and a throw in one close hook does not keep the next from running', async () => {
    const log: string[] = []
    const throwing = recording('middle', 5, log, {
      open: () => {
        throw new Error('open')
      },
      close: () => {
        log.push('close middle')
        throw new Error('close')
      },
    })
    const { open, close, run } = fixture({ members: [recording('high', 9, log), throwing] })
    await open()
    expect((await run(rpc('a'))).json.error.data.reason).toBe('plugin-fault')
    close()
    expect(log.filter((line) => line.startsWith('close'))).toEqual(['close middle', 'close high'])
  })

  test('an HTTP answer in open ends the session before any frame', async () => {
    const { open } = fixture({ members: [{ name: 'p', priority: 1, instance: { open: () => respond(204, { A: 'b' }) } }] })
    expect(await open()).toEqual({ kind: 'http', status: 204, headers: { A: 'b' } })
  })
})

describe("a consumer's own plugins", () => {
  const identify: Member = {
    name: 'auth',
    priority: 100,
    instance: { open: (session) => session.set(consumer, { username: 'ann', plan: undefined, secondsQuota: undefined, monthlyQuota: undefined }) },
  }

  test('join once the consumer is known, and each instance opens and closes once', async () => {
    const log: string[] = []
    const shared = recording('shared', 50, log)
    const { open, run, close } = fixture({
      members: [identify, shared, recording('route', 10, log)],
      own: { ann: [identify, shared, recording('own', 10, log)] },
    })
    await open()
    await run(rpc('a'))
    close()
    expect(log.filter((line) => /^(open|access|close)/.test(line))).toEqual([
      'open shared',
      'open route',
      'open own',
      'access shared',
      'access own',
      'close own',
      'close route',
      'close shared',
    ])
  })
})

describe('a batch', () => {
  const blockB: Member = { name: 'block', priority: 5, instance: { access: (call) => (call.method === 'b' ? refuse('blocked', 'test') : undefined) } }

  test('is refused member by member, in order, and a refused notification is met with silence', async () => {
    const { run, sent } = fixture({ members: [blockB] })
    const { json, status } = await run([rpc('a', 1), rpc('b', 2), note('b'), note('c'), 5, rpc('d', 'x')])
    expect(json.map((answer) => [answer.id, answer.error?.code])).toEqual([
      [1, undefined],
      [2, -32003],
      [null, -32600],
      ['x', undefined],
    ])
    expect(status).toBe(200)
    expect(sent).toEqual(['a', 'c', 'd'])
  })

  test('is refused as a whole where the route says so, and nothing is drawn', async () => {
    const drawn: number[] = []
    const charging: Member = {
      name: 'charge',
      priority: 1,
      instance: {
        charge: (call) => {
          drawn.push(1)
          return draw('charge', call.method, 10, { kind: 'fixed', ms: 1000 }, 1, () => refuse('limited', 'x'))
        },
      },
    }
    const { run, sent } = fixture({ members: [blockB, charging], refuseTogether: true })
    const { json } = await run([rpc('a', 1), rpc('b', 2)])
    expect(json.map((answer) => answer.error.data.reason)).toEqual(['batch-refused', 'test'])
    expect(sent).toEqual([])
    expect(drawn).toEqual([])
  })

  test('of notifications alone is answered with 204 and nothing, and every call reaches the node', async () => {
    const { run, sent } = fixture()
    expect(await run([note('a'), note('b')])).toMatchObject({ status: 204, document: undefined })
    expect(sent).toEqual(['a', 'b'])
  })

  test('takes the HTTP status of the table only when all were refused alike', async () => {
    const all: Member = {
      name: 'p',
      priority: 1,
      instance: { access: (call) => refuse(call.method === 'x' ? 'limited' : 'blocked', 'test', { retryAfterMs: 1500 }) },
    }
    const { run } = fixture({ members: [all] })
    expect((await run([rpc('a', 1), rpc('b', 2)])).status).toBe(403)
    expect(await run([rpc('x', 1), rpc('x', 2)])).toMatchObject({ status: 429, headers: { 'Retry-After': '2' } })
    expect((await run([rpc('a', 1), rpc('x', 2)])).status).toBe(200)
  })
})

describe('charging', () => {
  const charging = (limit = 10): Member => ({
    name: 'budget',
    priority: 1,
    instance: { charge: () => draw('budget', 'k', limit, { kind: 'fixed', ms: 1000 }, 5, () => refuse('limited', 'over')) },
  })

  test('is given back when the upstream never did the call', async () => {
    const { run, refunded } = fixture({
      members: [charging()],
      upstream: (requests) => Promise.resolve(requests.map(() => refuse('upstreamUnavailable', 'gone'))),
    })
    expect((await run(rpc('a'))).status).toBe(502)
    expect(refunded).toEqual([5])
  })

  test('stays when the node answered with an error', async () => {
    const { run, refunded } = fixture({
      members: [charging()],
      upstream: (requests) =>
        Promise.resolve(requests.map(() => ({ kind: 'error' as const, payload: '{"code":3,"message":"execution reverted","data":"0x"}' }))),
    })
    expect((await run(rpc('a'))).text).toContain('"error":{"code":3,"message":"execution reverted","data":"0x"}')
    expect(refunded).toEqual([])
  })

  test('is settled to what the call turned out to cost', async () => {
    const settling: Member = { name: 's', priority: 2, instance: { reply: (call) => call.settle(2) } }
    const { run, refunded } = fixture({ members: [charging(), settling] })
    await run(rpc('a'))
    expect(refunded).toEqual([3])
  })

  test('refuses with what the budget says, and nothing reaches the node', async () => {
    const { run, sent } = fixture({ members: [charging()], meter: { draw: (wants) => wants.map(() => 0) } })
    expect((await run(rpc('a'))).json.error).toMatchObject({ code: -32005, data: { reason: 'over' } })
    expect(sent).toEqual([])
  })

  test('that fails is the gateway’s fault, not a free call', async () => {
    const { run, sent } = fixture({ members: [charging()], meter: { draw: () => Promise.reject(new Error('store')) } })
    expect((await run(rpc('a'))).json.error.code).toBe(-32603)
    expect(sent).toEqual([])
  })
})

describe('a plugin at fault', () => {
  const cases: Record<string, Member['instance']> = {
    throws: {
      access: () => {
        throw new Error('x')
      },
    },
    rejects: { access: () => Promise.reject(new Error('x')) },
    'never resolves': { access: () => new Promise(() => undefined) },
  }
  for (const [how, instance] of Object.entries(cases)) {
    test(`that ${how} refuses where it guards, is skipped where it observes, and is counted either way`, async () => {
      const guarding = fixture({ members: [{ name: 'g', priority: 1, instance }] })
      expect((await guarding.run(rpc('a'))).json.error).toMatchObject({ code: -32603, data: { reason: 'plugin-fault' } })
      expect(guarding.sent).toEqual([])
      const observing = fixture({ members: [{ name: 'o', priority: 1, instance, onFault: 'pass' }] })
      expect((await observing.run(rpc('a'))).json.result).toBe('a')
      expect(await observing.metrics.text()).toContain('tollgate_plugin_faults_total{plugin="o",phase="access"} 1')
    })
  }

  test('does not keep the next check from running', async () => {
    const faulty: Member = { name: 'f', priority: 9, onFault: 'pass', instance: { access: () => Promise.reject(new Error('x')) } }
    const guard: Member = { name: 'g', priority: 1, instance: { access: () => refuse('blocked', 'test') } }
    const { run, sent } = fixture({ members: [faulty, guard] })
    expect((await run(rpc('a'))).json.error.code).toBe(-32003)
    expect(sent).toEqual([])
  })
})

describe('an upstream at fault', () => {
  test('that rejects or leaves out an outcome becomes a clean error', async () => {
    const rejecting = fixture({ upstream: () => Promise.reject(new Error('x')) })
    expect((await rejecting.run(rpc('a'))).json.error.code).toBe(-32603)
    const short = fixture({ upstream: () => Promise.resolve([]) })
    expect((await short.run(rpc('a'))).json.error.code).toBe(-32603)
  })
})

test('a client that has gone before the call is forwarded costs the node nothing', async () => {
  let release = (): void => undefined
  const waiting: Member = { name: 'w', priority: 1, instance: { access: () => new Promise<undefined>((resolve) => (release = () => resolve(undefined))) } }
  const { run, sent } = fixture({ members: [waiting], hookTimeoutMs: 5000 })
  const answered = run(rpc('a'), (frame) => {
    setImmediate(() => {
      frame.cancel()
      release()
    })
  })
  await answered
  expect(sent).toEqual([])
})

describe('a hook that never answers', () => {
  const never = (): Promise<never> => new Promise(() => undefined)
  const silent = (phase: string, onFault: 'refuse' | 'pass'): Member => ({ name: 'silent', priority: 2, onFault, instance: { [phase]: never } })
  const seen: string[] = []
  const witness: Member = { name: 'witness', priority: 1, instance: { access: (call) => void seen.push(call.method) } }

  test.each(['open', 'access', 'charge', 'reply'])('in %s is given up: a guard refuses, an observer is passed over, the next check runs', async (phase) => {
    for (const [onFault, served] of [
      ['refuse', false],
      ['pass', true],
    ] as const) {
      // prettier-ignore
      seen.length = 0
      const { open, run, metrics, close } = fixture({ members: [silent(phase, onFault), witness] })
      await open()
      const { json } = await run(rpc('a'))
      expect(json).toMatchObject(served ? { result: 'a' } : { error: { code: -32603, data: { reason: 'plugin-fault' } } })
      expect(await metrics.text()).toContain(`tollgate_plugin_faults_total{plugin="silent",phase="${phase}"} 1`)
      expect(seen).toEqual(served || phase === 'charge' || phase === 'reply' ? ['a'] : [])
      close()
    }
  })

  test.each(['log', 'close'])('in %s keeps nobody waiting', async (phase) => {
    const { open, run, close } = fixture({ members: [silent(phase, 'refuse')] })
    await open()
    expect((await run(rpc('a'))).json.result).toBe('a')
    close()
  })
})
