/** What can be told of a JSON text without building its value. The text is known to be valid, as the params of a request are. */
import { fromWire } from './wire.ts'
import type { Wire } from './wire.ts'

/** Strings are whole, so that nothing in them is taken for structure. */
const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]:]|[ \t\r\n]+/g
const SPACE = /[ \t\r\n]/

/** The text without white space between its tokens. Numbers, escapes and the order of members stay as they are, so texts that mean different things never become one. */
export function compact(text: Wire): Wire {
  return SPACE.test(text) ? text.replaceAll(TOKENS, (token) => (SPACE.test(token.charAt(0)) ? '' : token)) : text
}

/** At least as many values as the text holds, up to a bound; quicker than building them. */
export function countValues(text: Wire, upTo: number): number {
  let count = 1
  for (const mark of [',', '[', '{']) {
    for (let at = text.indexOf(mark); at !== -1 && count <= upTo; at = text.indexOf(mark, at + 1)) count++
  }
  return count
}

/** Whether an object in the text has two members of one name, however they are escaped. Readers do not agree which of them counts. */
export function hasTwins(text: Wire): boolean {
  const open: Set<string>[] = []
  let last = ''
  for (const [token] of text.matchAll(TOKENS)) {
    if (token === ':') {
      const names = open.at(-1)!
      if (names.size === names.add(JSON.parse(fromWire(last)) as string).size) return true
    } else if (token === '{' || token === '[') open.push(new Set())
    else if (token === '}' || token === ']') open.pop()
    else if (token.startsWith('"')) last = token
  }
  return false
}

/** Whether one of these names may be that of two members of one object. Quicker than `hasTwins` where none is: most texts hold each name once. */
export function mayStandTwice(text: Wire, names: readonly string[]): boolean {
  const isOnce = (quoted: string): boolean => text.indexOf(quoted, text.indexOf(quoted) + 1) === -1
  return (text.includes('\\') || !names.every((name) => isOnce(`"${name}"`))) && hasTwins(text)
}
