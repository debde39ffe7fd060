/**
 * Compiles kernels/ to kernels.generated.ts, with and without relaxed SIMD. `--check` says whether that file is what it
 * would write. Run by `npm run build:kernels`.
 */
import asc from 'assemblyscript/asc';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('kernels/', import.meta.url));
const target = fileURLToPath(new URL('kernels.generated.ts', import.meta.url));

async function compile(...features) {
  let binary;
  const { error, stderr } = await asc.main(
    [
      'index.ts',
      ...['--baseDir', folder, '-O3', '--runtime', 'stub', '--noAssert'],
      ...['--importMemory', '--sharedMemory', '--maximumMemory', '65536', '--noExportMemory'],
      ...['--disableWarning', '112'], // v128 passes between these functions alone
      ...['threads', 'simd', ...features].flatMap((feature) => ['--enable', feature]),
      ...['--outFile', 'kernels.wasm'],
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
  return Buffer.from(binary).toString('base64');
}

const [relaxed, plain] = [await compile('relaxed-simd'), await compile()];
const text = `/**
 * Made from kernels/ by build-kernels.mjs: WebAssembly, base64.
 * @module
 */

/** With fused products and sums. */
export const relaxed: string =
  '${relaxed}';

/** Without. */
export const plain: string =
  '${plain}';
`;
if (!process.argv.includes('--check')) writeFileSync(target, text);
else if (readFileSync(target, 'utf8') !== text) {
  console.error('kernels.generated.ts is not what kernels/ compiles to: npm run build:kernels');
  process.exitCode = 1;
}
