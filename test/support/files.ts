/** Files of a configuration under test. */
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** A file's text; JSON is YAML, so it may be given as a value. */
export type File = string | Readonly<Record<string, unknown>>

/** Writes files into a directory, each in one step, as editors that rename do. */
export async function writeFiles(dir: string, files: Readonly<Record<string, File>>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    const path = join(dir, name)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(`${path}.new`, typeof content === 'string' ? content : JSON.stringify(content, null, 2))
    await rename(`${path}.new`, path)
  }
}
