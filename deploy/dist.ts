/**
 * Builds dist/, what the package ships: JavaScript, because Node strips no types inside node_modules, and the types of
 * the contract for whoever writes plugins.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'

const { version, type, imports } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string; type: string; imports: Record<string, string> }

rmSync('dist', { recursive: true, force: true })
for (const project of ['tsconfig.build.json', 'tsconfig.contract.json']) execFileSync('tsc', ['-p', project], { stdio: 'inherit' })

const compiled = Object.fromEntries(Object.entries(imports).map(([name, path]) => [name, path.replace(/\.ts$/, '.js')]))
writeFileSync('dist/package.json', `${JSON.stringify({ version, type, imports: compiled }, null, 2)}\n`)
