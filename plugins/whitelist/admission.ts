/** What a list of patterns admits, quickly, and in no spelling what it denies. */
import { isPlainMethod, methodList } from '#plugin'

export type Admits = (method: string) => boolean

/** Compiles a list. Lists that say the same are one in `shared`. */
export function admission(patterns: readonly string[], shared: Map<string, Admits>): Admits {
  const key = patterns.join(' ')
  let admits = shared.get(key)
  if (admits === undefined) shared.set(key, (admits = compile(patterns)))
  return admits
}

function compile(patterns: readonly string[]): Admits {
  const exactly = methodList(patterns)
  if (!patterns.some((pattern) => pattern.endsWith('*'))) return (method) => exactly(method) === true
  // Nodes have looked methods up in any letter case (Nethermind), so where a wildcard admits, a denial holds in any.
  const inAnyCase = methodList(patterns.map((pattern) => pattern.toLowerCase()))
  return remembering((method) => exactly(method) === true && isPlainMethod(method) && inAnyCase(method.toLowerCase()) === true)
}

/** Methods that are remembered of a list with wildcards. A node has a few hundred; more are a client's inventions. */
const MAX_REMEMBERED = 1024

/** Judges a method once: going through the wildcards of a long list takes some 3 µs. */
function remembering(admits: Admits): Admits {
  const judged = new Map<string, boolean>()
  return (method) => {
    let verdict = judged.get(method)
    if (verdict === undefined) {
      verdict = admits(method)
      if (judged.size >= MAX_REMEMBERED) judged.clear()
      judged.set(method, verdict)
    }
    return verdict
  }
}
