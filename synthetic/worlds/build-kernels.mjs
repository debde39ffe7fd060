/**
 * Compiles kernels/ to kernels.generated.ts. `--check` says whether that file is what it would write. Run by
 * `npm run build:kernels`.
 */
import asc from 'assemblyscript/asc';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('kernels/', import.meta.url));
const target = fileURLToPath(new URL('kernels.generated.ts', import.meta.url));

let binary;
const { error, stderr } = await asc.main(
  [
    'rows.ts',
    ...['--baseDir', folder, '-O3', '--runtime', 'stub', '--noAssert'],
    ...['--importMemory', '--sharedMemory', '--maximumMemory', '65536', '--noExportMemory'],
    ...['--disableWarning', '112'], // v128 passes between these functions alone
    ...['--enable', 'threads', '--enable', 'simd'],
    ...['--outFile', 'rows.wasm'],
  ],
  {
    readFile: (name, base) => {
      try {
        return readFileSync(`${base}/${name}`, 'utf8');
      } catch {
        return null;
      }
    },
    writeFile: (_name, contents) => {
      binary = contents;
    },
  },
);
if (error || stderr.toString() !== '') throw new Error(`${stderr.toString()}${error ?? ''}`);
const text = `/**
 * Made from kernels/ by build-kernels.mjs: WebAssembly, base64.
 * @module
 */

export const rows: string =
  '${Buffer.from(binary).toString('base64')}';
`;
if (!process.argv.includes('--check')) writeFileSync(target, text);
else if (readFileSync(target, 'utf8') !== text) {
  console.error('kernels.generated.ts is not what kernels/ compiles to: npm run build:kernels');
  process.exitCode = 1;
}
