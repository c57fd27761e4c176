/** Writes dist/package.json, the scope of the compiled files: Node strips no types inside node_modules, so a package ships JavaScript. */
import { readFileSync, writeFileSync } from 'node:fs'

const { version, type, imports } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string; type: string; imports: Record<string, string> }
const compiled = Object.fromEntries(Object.entries(imports).map(([name, path]) => [name, path.replace(/\.ts$/, '.js')]))
writeFileSync('dist/package.json', `${JSON.stringify({ version, type, imports: compiled }, null, 2)}\n`)
