import { describe, expect, test } from 'vitest'
import { RemoteMeter, answerDraws } from '../../core/meter/remote.ts'
import { NOVEMBER, heldMeter, want } from './held-clock.ts'
import type { DrawRequest } from '../../core/meter/remote.ts'
import type { Meter } from '../../core/pipeline/ports.ts'

/** Workers whose messages travel as they do between processes, and the meter that answers them. */
function workersOf(meter: Meter, count: number): { readonly workers: readonly RemoteMeter[]; readonly messages: DrawRequest[] } {
  const messages: DrawRequest[] = []
  const workers = Array.from({ length: count }, () => {
    const worker: RemoteMeter = new RemoteMeter((request) => {
      messages.push(request)
      const sent = structuredClone(request)
      setImmediate(() => {
        const reply = answerDraws(meter, sent)
        if (reply !== undefined) worker.receive(structuredClone(reply))
      })
    })
    return worker
  })
  return { workers, messages }
}

describe('budgets that another process holds', () => {
  test('a budget of 50 admits exactly 50 of 400 draws of two workers', async () => {
    const { workers } = workersOf(heldMeter().meter, 2)
    const verdicts = await Promise.all(Array.from({ length: 400 }, async (_, at) => (await workers[at % 2]!.draw([[want(1, 50)]], false))[0]))
    expect(verdicts.filter((verdict) => verdict === -1)).toHaveLength(50)
  })

  test('what all frames of one turn want goes in one message', async () => {
    const { workers, messages } = workersOf(heldMeter().meter, 1)
    await Promise.all([workers[0]!.draw([[want(1, 50)], [want(2, 50)]], false), workers[0]!.draw([[want(3, 50)]], true)])
    expect(messages).toMatchObject([
      {
        frames: [
          { together: false, calls: [[{}], [{}]] },
          { together: true, calls: [[{}]] },
        ],
      },
    ])
  })

  test('a draw is filled in as the meter itself would', async () => {
    const { workers } = workersOf(heldMeter().meter, 1)
    const here = heldMeter().meter
    const frames = () => [
      [[want(7, 20), want(7, 100, NOVEMBER)], [want(15, 20)], [want(25, 20)], [want(3, 20), want(300, Infinity, NOVEMBER)]],
      [[want(5, 20)], [want(90, 100, NOVEMBER), want(1, 20)]],
    ]
    for (const together of [false, true]) {
      for (const [at, near] of frames().entries()) {
        const far = frames()[at]!
        expect(await workers[0]!.draw(far, together)).toEqual(here.draw(near, together))
        expect(JSON.stringify(far)).toBe(JSON.stringify(near))
        expect(far.flat().map(({ retryAfterMs }) => retryAfterMs)).toEqual(near.flat().map(({ retryAfterMs }) => retryAfterMs))
      }
    }
  })

  test('what comes back can be drawn again, by another worker too', async () => {
    const { workers } = workersOf(heldMeter().meter, 2)
    const first = want(50, 50)
    await workers[0]!.draw([[first]], false)
    workers[0]!.refund(first, 20)
    expect(first.held).toBe(30)
    await workers[0]!.draw([[]], false)
    expect(await workers[1]!.draw([[want(21, 50)]], false)).toEqual([0])
    expect(await workers[1]!.draw([[want(20, 50)]], false)).toEqual([-1])
  })

  test('no more comes back than is held, however often it is asked for', async () => {
    const { workers } = workersOf(heldMeter().meter, 1)
    const first = want(30, 50)
    await workers[0]!.draw([[first], [want(20, 50)]], false)
    for (const amount of [1000, 30, -5, NaN]) workers[0]!.refund(first, amount)
    const next = want(0, 50)
    await workers[0]!.draw([[next]], false)
    expect(next.used).toBe(20)
  })

  test('a call that turned out to cost more is recorded beyond the limit', async () => {
    const { workers } = workersOf(heldMeter().meter, 1)
    const first = want(40, 50)
    await workers[0]!.draw([[first]], false)
    workers[0]!.overdraw(first, 25)
    workers[0]!.overdraw(first, Infinity)
    expect(first.held).toBe(65)
    const next = want(0, 50)
    await workers[0]!.draw([[next]], false)
    expect(next).toMatchObject({ used: 65, remaining: 0 })
  })

  test('a frame whose draw fails there fails here, and the others are served', async () => {
    const { meter } = heldMeter()
    const failing: Meter = {
      draw(wants, together) {
        if (wants.length === 2) throw new Error('the disk is on fire')
        return meter.draw(wants, together)
      },
      refund: () => undefined,
      overdraw: () => undefined,
    }
    const { workers } = workersOf(failing, 1)
    const broken = workers[0]!.draw([[want(1, 50)], [want(1, 50)]], false)
    const served = workers[0]!.draw([[want(1, 50)]], false)
    await expect(broken).rejects.toThrow('the disk is on fire')
    expect(await served).toEqual([-1])
  })
})
