/**
 * A tree over the parts of a pattern: static parts before variables before `*`, with backtracking. The work of a
 * look-up grows with the parts of the path and not with the number of routes.
 */
import type { Part } from './pattern.ts'

export class PartTree<V> {
  private readonly children = new Map<string, PartTree<V>>()
  private readonly variables = new Map<string, PartTree<V>>()
  private rest: V | undefined
  private here: V | undefined

  /** The value at the end of these parts, made by `make` where there is none yet. */
  place(parts: readonly Part[], make: () => V, at = 0): V {
    const part = parts[at]
    if (part === undefined) return (this.here ??= make())
    if (part.kind === 'rest') return (this.rest ??= make())
    const branches = part.kind === 'static' ? this.children : this.variables
    const key = part.kind === 'static' ? part.text : part.name
    let child = branches.get(key)
    if (child === undefined) branches.set(key, (child = new PartTree<V>()))
    return child.place(parts, make, at + 1)
  }

  /** Walks all values that fit, the most specific first, until `accept` answers true; `bound` then holds the variables. */
  find(parts: readonly string[], bound: Record<string, string>, accept: (value: V) => boolean, at = 0): boolean {
    const part = parts[at]
    if (part === undefined) {
      if (this.here !== undefined && accept(this.here)) return true
    } else {
      if (this.children.get(part)?.find(parts, bound, accept, at + 1)) return true
      if (part !== '') {
        for (const [name, child] of this.variables) {
          const before = bound[name]
          if (before !== undefined && before !== part) continue // a variable bound by host and uri means one thing
          bound[name] = part
          if (child.find(parts, bound, accept, at + 1)) return true
          if (before === undefined) delete bound[name]
        }
      }
    }
    return this.rest !== undefined && accept(this.rest)
  }
}
