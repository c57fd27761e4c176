/**
 * Builds dist/, what the package ships: JavaScript in few files, because Node strips no types inside node_modules and takes
 * half a millisecond for each file, and the types of the contract for whoever writes plugins.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { build } from 'rolldown'

const { version, type, imports } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string; type: string; imports: Record<string, string> }

rmSync('dist', { recursive: true, force: true })
await build({
  input: Object.fromEntries(Object.values(imports).map((path) => [path.replace(/^\.\/|\.ts$/g, ''), path])),
  platform: 'node',
  external: /^[^.#/]/, // what the package depends on
  preserveEntrySignatures: 'strict',
  output: { dir: 'dist', chunkFileNames: 'core/[name].js' },
  logLevel: 'warn',
})
execFileSync('tsc', ['-p', 'tsconfig.contract.json'], { stdio: 'inherit' })

const compiled = Object.fromEntries(Object.entries(imports).map(([name, path]) => [name, path.replace(/\.ts$/, '.js')]))
writeFileSync('dist/package.json', `${JSON.stringify({ version, type, imports: compiled }, null, 2)}\n`)
