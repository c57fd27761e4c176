/** Calls that a plugin answers in the node's place: judged, charged and refunded like those that a node answers. */
import { describe, expect, test } from 'vitest'
import { answer, draw, refuse } from '#plugin'
import { fixture, note, rpc } from './fixture.ts'
import type { Outcome } from '#plugin'
import type { Member } from './fixture.ts'

/** Answers `hit`, and nothing else. */
const cache: Member = {
  name: 'cache',
  priority: 5,
  instance: { access: (call) => (call.method === 'hit' ? answer('"kept"') : undefined) },
}

const budget = (costs: number[] = []): Member => ({
  name: 'budget',
  priority: 9,
  instance: {
    charge: () => {
      costs.push(5)
      return draw('budget', 'k', 10, { kind: 'fixed', ms: 1000 }, 5, () => refuse('limited', 'over'))
    },
  },
})

const refusing = (priority: number): Member => ({ name: 'guard', priority, instance: { access: () => refuse('blocked', 'guarded') } })

describe('an answered call', () => {
  test('reaches no node, while the rest of its batch does', async () => {
    const { run, sent } = fixture({ members: [cache] })
    const { json } = await run([rpc('a', 1), rpc('hit', 2), note('hit'), rpc('b', 3)])
    expect(json.map(({ id, result }) => [id, result])).toEqual([
      [1, 'a'],
      [2, 'kept'],
      [3, 'b'],
    ])
    expect(sent).toEqual(['a', 'b'])
  })

  test('is charged', async () => {
    const costs: number[] = []
    const { run, refunded } = fixture({ members: [cache, budget(costs)] })
    expect((await run(rpc('hit'))).json.result).toBe('kept')
    expect(costs).toEqual([5])
    expect(refunded).toEqual([])
  })

  test('is refused where the budget has no room', async () => {
    const { run } = fixture({ members: [cache, budget()], meter: { draw: (wants) => wants.map(() => 0) } })
    expect((await run(rpc('hit'))).json.error.data.reason).toBe('over')
  })

  test('is refused by a charge hook', async () => {
    const broke: Member = { name: 'broke', priority: 1, instance: { charge: () => refuse('limited', 'no-quota') } }
    const { run } = fixture({ members: [cache, broke] })
    expect((await run(rpc('hit'))).json.error.data.reason).toBe('no-quota')
  })

  test.each([
    ['before', 9],
    ['after', 1],
  ])('is refused by a guard that is asked %s the plugin that answers', async (_when, priority) => {
    const { run } = fixture({ members: [cache, refusing(priority), budget()] })
    expect((await run(rpc('hit'))).json.error.data.reason).toBe('guarded')
  })

  test('is refused by a guard that has to wait', async () => {
    const slow: Member = { name: 'slow', priority: 1, instance: { access: () => Promise.resolve(refuse('blocked', 'guarded')) } }
    const { run } = fixture({ members: [cache, slow] })
    expect((await run(rpc('hit'))).json.error.data.reason).toBe('guarded')
  })

  test('keeps its first answer', async () => {
    const second: Member = { name: 'second', priority: 1, instance: { access: () => answer('"other"') } }
    const { run } = fixture({ members: [cache, second] })
    expect((await run(rpc('hit'))).json.result).toBe('kept')
  })

  test('is seen by reply hooks with the name of the plugin that answered', async () => {
    const seen: unknown[] = []
    const watching: Member = { name: 'watch', priority: 1, instance: { reply: (call, outcome) => void seen.push([call.decidedBy, outcome]) } }
    const { run } = fixture({ members: [cache, watching] })
    await run(rpc('hit'))
    expect(seen).toEqual([['cache', { kind: 'result', payload: '"kept"' }]])
  })

  test('is refused with the rest of a batch that is refused as a whole, and gives back what it drew', async () => {
    const { run, sent, refunded } = fixture({
      members: [cache, budget(), { name: 'late', priority: 1, instance: { charge: (call) => (call.method === 'b' ? refuse('limited', 'late') : undefined) } }],
      refuseTogether: true,
    })
    const { json } = await run([rpc('hit', 1), rpc('b', 2)])
    expect(json.map((each) => each.error.data.reason)).toEqual(['batch-refused', 'late'])
    expect(sent).toEqual([])
    expect(refunded).toEqual([])
  })

  test('is not charged when the client has gone', async () => {
    let release = (): void => undefined
    const waiting: Member = { name: 'w', priority: 1, instance: { access: () => new Promise<undefined>((resolve) => (release = () => resolve(undefined))) } }
    const costs: number[] = []
    const { run } = fixture({ members: [cache, budget(costs), waiting], hookTimeoutMs: 5000 })
    const { json } = await run(rpc('hit'), (frame) => {
      setImmediate(() => {
        frame.cancel()
        release()
      })
    })
    expect(json.error.data.reason).toBe('client-gone')
    expect(costs).toEqual([])
  })
})

describe('params that a plugin replaces', () => {
  test('are what the node is asked and what later plugins see, and the id stays', async () => {
    const texts: unknown[] = []
    const seen: unknown[] = []
    const { run } = fixture({
      members: [
        { name: 'replace', priority: 9, instance: { access: (call) => call.replaceParams([{ b: 'é', a: null }]) } },
        { name: 'see', priority: 1, instance: { access: (call) => void seen.push(call.params, call.paramsText) } },
      ],
      upstream: (requests) => {
        texts.push(...requests.map(({ method, paramsText }) => [method, paramsText]))
        return Promise.resolve(requests.map(() => answer('1')))
      },
    })
    const { json } = await run('{"jsonrpc":"2.0","id":"x","method":"a","params":[ 1 ]}')
    expect(json.id).toBe('x')
    expect(texts).toEqual([['a', '[{"b":"Ã©","a":null}]']])
    expect(seen).toEqual([[{ b: 'é', a: null }], '[{"b":"Ã©","a":null}]'])
  })
})

test('a meter that fails refuses the calls that draw, and the others go on', async () => {
  const some: Member = {
    name: 'some',
    priority: 1,
    instance: { charge: (call) => (call.method === 'a' ? draw('some', 'k', 1, { kind: 'fixed', ms: 1 }, 1, () => refuse('limited', 'x')) : undefined) },
  }
  const { run, sent } = fixture({ members: [some], meter: { draw: () => Promise.reject(new Error('store')) } })
  const { json } = await run([rpc('a', 1), rpc('b', 2)])
  expect(json.map(({ error, result }) => error?.data.reason ?? result)).toEqual(['meter-fault', 'b'])
  expect(sent).toEqual(['b'])
})

describe('a call that is asked in parts', () => {
  const splitting: Member = {
    name: 'split',
    priority: 9,
    instance: { access: (call) => (call.method === 'long' ? call.askInParts([[1], [2], [3]]) : undefined) },
  }

  /** Runs frames before a node that answers each request with what `node` makes of its method and params. */
  function before(node: (method: string, params: string | undefined) => Outcome | undefined) {
    const asked: string[] = []
    const made = fixture({
      members: [splitting],
      upstream: (requests) => {
        asked.push(...requests.map(({ method, paramsText }) => `${method} ${paramsText}`))
        return Promise.resolve(requests.map(({ method, paramsText }) => node(method, paramsText)!))
      },
    })
    return { ...made, asked }
  }
  const list = (_method: string, params: string | undefined) => answer(params ?? '["whole"]')

  test('is several requests, and the client’s answer is one, in its place', async () => {
    const { run, asked } = before(list)
    const { json } = await run([rpc('a', 1), rpc('long', 2), note('long'), rpc('b', 3)])
    expect(json.map(({ id, result }) => [id, result])).toEqual([
      [1, ['whole']],
      [2, [1, 2, 3]],
      [3, ['whole']],
    ])
    expect(asked).toEqual(['a undefined', 'long [1]', 'long [2]', 'long [3]', 'long [1]', 'long [2]', 'long [3]', 'b undefined'])
  })

  test('fails with the first part that failed, and leaves the rest of its batch alone', async () => {
    const { run } = before((method, params) => {
      if (params === '[2]') return { kind: 'error', payload: '{"code":-32000,"message":"two"}' }
      return params === '[3]' ? refuse('upstreamTimeout', 'x') : list(method, params)
    })
    const { json } = await run([rpc('long', 1), rpc('a', 2)])
    expect(json.map(({ error, result }) => error?.code ?? result)).toEqual([-32_000, ['whole']])
  })

  test('fails where a part is no list', async () => {
    const { run } = before((method, params) => (params === '[2]' ? answer('null') : list(method, params)))
    expect((await run(rpc('long'))).json.error.data.reason).toBe('no-list')
  })

  test('fails where the upstream leaves a part out', async () => {
    const { run } = before((method, params) => (params === '[3]' ? undefined : list(method, params)))
    expect((await run(rpc('long'))).json.error.data.reason).toBe('upstream-fault')
  })
})
