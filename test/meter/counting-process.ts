/** A process that draws one CU after the other and says how far it is, and how its store is, until it is killed. */
import { writeSync } from 'node:fs'
import { MemoryMeter } from '../../core/meter/memory.ts'
import { UsageBook } from '../../core/meter/usage.ts'
import { UsageStore } from '../../core/meter/usage-store.ts'
import { draw } from '../../core/plugin/budget.ts'
import { refuse } from '../../core/plugin/outcome.ts'

const [dataDir = '', cycle = '', endsAt = '', keys = '1'] = process.argv.slice(2)
const say = (what: unknown): number => writeSync(1, `${JSON.stringify(what)}\n`)
const usage = new UsageBook({ store: UsageStore.open(dataDir), now: Date.now, onStore: (error) => say(error?.message ?? 'written again') })
const meter = new MemoryMeter(Date.now, usage)

setInterval(() => {
  const draws = Array.from({ length: Number(keys) }, (_, at) =>
    draw('limit-monthly-cu', keys === '1' ? 'alice' : `alice ${at}`, Infinity, { kind: 'cycle', id: cycle, endsAt: Number(endsAt) }, 1, () =>
      refuse('limited', 'rate'),
    ),
  )
  meter.draw([draws], false)
  say([Date.now(), draws[0]!.used])
}, 2)
