/** What runs of the AssemblyScript is what it says. `npm run docs` compiles it anew. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'

const scanFolder = fileURLToPath(new URL('../../core/jsonrpc/scan/', import.meta.url))
const OPTIONS = ['-O3', '--noAssert', '--runtime', 'stub', '--enable', 'simd', '--initialMemory', '2', '--maximumMemory', '2']

test('core/jsonrpc/scan/wasm.ts is core/jsonrpc/scan/assembly/large.ts', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tollgate-assembly-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  const compiled = join(dir, 'large.wasm')
  execFileSync('asc', ['assembly/large.ts', '--baseDir', scanFolder, ...OPTIONS, '--outFile', compiled], { stdio: 'inherit' })
  const file = [
    '/** Written by `npm run docs`: edit assembly/large.ts instead. A WebAssembly module, in base64. */',
    'export const LARGE_WASM =',
    `  '${readFileSync(compiled, 'base64')}'`,
  ]
  await expect(`${file.join('\n')}\n`).toMatchFileSnapshot(`${scanFolder}wasm.ts`)
})
