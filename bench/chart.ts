/** A chart as SVG: bars of a ratio with their spread, a line at 1. Readable on a light and on a dark page. */
import type { Bar } from './scenario.ts'

const WIDTH = 860
const LABEL_WIDTH = 190
const VALUE_WIDTH = 60
const ROW = 24
const BAR = 14
const TOP = 36

/** Draws bars. `title` says what a length of 1 is. */
export function drawChart(title: string, bars: readonly Bar[]): string {
  const highest = Math.max(1, ...bars.map(({ ratio }) => ratio.most))
  const x = (ratio: number): number => LABEL_WIDTH + ((WIDTH - LABEL_WIDTH - VALUE_WIDTH) * ratio) / highest
  const height = TOP + ROW * bars.length + 8
  const rows = bars.map(({ label, ratio, isOurs }, i) => {
    const y = TOP + ROW * i
    const middle = y + BAR / 2
    return [
      `<text x="${LABEL_WIDTH - 8}" y="${y + BAR - 2}" text-anchor="end">${label}</text>`,
      `<rect x="${LABEL_WIDTH}" y="${y}" width="${round(x(ratio.median) - LABEL_WIDTH)}" height="${BAR}" rx="2" fill="${isOurs ? '#2f81f7' : '#8b949e'}"/>`,
      `<path d="M${round(x(ratio.least))} ${middle}H${round(x(ratio.most))}" stroke="#d29922" stroke-width="2"/>`,
      `<text x="${round(x(ratio.most) + 6)}" y="${y + BAR - 2}">${ratio.median.toFixed(2)}</text>`,
    ].join('\n')
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="13" fill="#8b949e" role="img" aria-label="${title}">
<text x="8" y="18" font-weight="600">${title}</text>
<path d="M${round(x(1))} ${TOP - 8}V${height - 4}" stroke="#8b949e" stroke-dasharray="3 3"/>
${rows.join('\n')}
</svg>
`
}

function round(n: number): number {
  return Math.round(n * 10) / 10
}
