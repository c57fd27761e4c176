/** Idle WebSockets, as many as the limit of open files allows. */
import { measureIdleSockets } from '../idle-sockets.ts'
import type { Scenario } from '../scenario.ts'

const AT_MOST_KIB = 20

export const idleSockets: Scenario = {
  name: 'idle-sockets',
  title: 'Idle WebSockets',
  run: async ({ nodePort }) => {
    const found = await measureIdleSockets(nodePort)
    const resident = found.residentBytesEach / 1024
    return {
      columns: ['sockets', 'resident KiB each', 'live objects KiB each'],
      rows: [[found.sockets.toString(), resident.toFixed(1), (found.heapBytesEach / 1024).toFixed(1)]],
      verdicts: [
        {
          work: `${found.sockets} idle WebSockets, memory each`,
          target: `≤ ${AT_MOST_KIB} KiB`,
          measured: `${resident.toFixed(1)} KiB`,
          isMet: resident <= AT_MOST_KIB,
        },
      ],
      bars: [],
      notes: [],
      raw: found,
    }
  },
}
