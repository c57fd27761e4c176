/** Digests: what tells one content from another. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import type { Content } from './snapshot.ts'

export function digestOf(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('base64url')
}

export function digestOfNames(names: string[]): string {
  return digestOf(names.sort().join('\n'))
}

/** The digest of a file of any size, or of the names in a directory; '' where there is nothing to read. */
export async function digestOfPath(path: string): Promise<string> {
  try {
    if ((await stat(path)).isDirectory()) return digestOfNames(await readdir(path))
    const hash = createHash('sha256')
    for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array)
    return hash.digest('base64url')
  } catch {
    return ''
  }
}

/** What tells one configuration from another, wherever its files lie. */
export function digestOfContent({ files, directories }: Content): string {
  const parts = [
    ...Array.from(files.values(), ({ digest }) => digest),
    ...Array.from(directories.values(), (entries) => digestOfNames(entries.map(({ name }) => name))),
  ]
  return digestOf(parts.toSorted().join('\n'))
}
