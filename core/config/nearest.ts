/** "Did you mean": the known word that a mistyped one is nearest to. */

/** A hint that names the nearest of the words, else all of them where they are few; undefined where neither helps. */
export function nearestHint(word: string, words: Iterable<string>): string | undefined {
  const known = [...words]
  let nearest: string | undefined
  let least = Math.floor(Math.max(word.length, 3) / 3) + 1
  for (const candidate of known) {
    const distance = editDistance(normal(word), normal(candidate), least)
    if (distance < least) {
      least = distance
      nearest = candidate
    }
  }
  if (nearest !== undefined) return `did you mean ${nearest}?`
  return known.length > 0 && known.length <= MAX_LISTED ? `known: ${known.join(', ')}` : undefined
}

/** More words than this are no help in a hint. */
const MAX_LISTED = 12
/** Longer words are not compared: nothing that people type. */
const MAX_COMPARED = 64

function normal(word: string): string {
  return word.toLowerCase().replaceAll('-', '_')
}

/** Insertions, deletions, replacements and swaps of neighbours (optimal string alignment); `enough` where it is no less. */
function editDistance(a: string, b: string, enough: number): number {
  if (Math.abs(a.length - b.length) >= enough || a.length > MAX_COMPARED || b.length > MAX_COMPARED) return enough
  let older: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      row[j] = Math.min(previous[j]! + 1, row[j - 1]! + 1, replaced)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) row[j] = Math.min(row[j]!, older[j - 2]! + 1)
    }
    older = previous
    previous = row
  }
  return previous[b.length]!
}
