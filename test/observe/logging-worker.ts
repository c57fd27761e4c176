/** Writes 5 000 lines to standard output, as the worker that its argument says. */
import { openLog } from '../../core/observe/log.ts'

const log = openLog({ level: 'info', file: undefined, now: Date.now, worker: Number(process.argv[2]) })
for (let line = 0; line < 5000; line++) log.info({ line, filler: 'x'.repeat(line % 700) }, 'frame')
await log.close()
