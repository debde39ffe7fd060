/**
 * `matryoshka setup tensorflow`: builds the backend `tensorflow` for this machine.
 * @module
 */
import type { Command } from 'commander';
import { tensorflowRoot } from './cache-folder.ts';
import { setupDisplay } from './display.ts';
import { tensorflowVersion } from './pinned.ts';
import { driverWarning, nvidiaDriver } from './requirements.ts';
import { setUpTensorflow, uninstallTensorflow, weights } from './set-up.ts';

/** Exits with 0 when it is ready. */
export function addSetupCommand(program: Command): void {
  program
    .command('setup')
    .description('make a backend work that npm alone cannot install')
    .command('tensorflow')
    .description(
      `TensorFlow ${tensorflowVersion} on the CPU, or with --cuda on NVIDIA GPUs; Linux on x64, no root`,
    )
    .option('--cuda', `with CUDA and cuDNN (${weights('cuda')}; else ${weights('cpu')})`)
    .option('--uninstall', 'remove all that setup made; with --cuda, only that of CUDA')
    .addHelpText('after', examples())
    .action((options: { cuda?: true; uninstall?: true }) =>
      options.uninstall === true ? uninstall(options.cuda === true) : setUp(options.cuda === true),
    );
}

function examples(): string {
  return `
Needs python3 with pip, npm and a C++ compiler. Writes to ${tensorflowRoot()} and nowhere else
(XDG_CACHE_HOME chooses another cache). pip and npm use the index and the proxy they are configured for.
Run it again after an interruption: it goes on where it was.

Examples:
  matryoshka setup tensorflow && matryoshka doctor
  matryoshka setup tensorflow --cuda && matryoshka conformance --backend tensorflow
  matryoshka setup tensorflow --uninstall`;
}

async function setUp(cuda: boolean): Promise<void> {
  const start = performance.now();
  const display = setupDisplay(process.stderr);
  const warning = cuda ? driverWarning(nvidiaDriver()) : null;
  if (warning !== null) display.note(`warning: ${warning}`);
  const flavour = cuda ? 'cuda' : 'cpu';
  const { made, before } = await setUpTensorflow(tensorflowRoot(), flavour, display);
  const what = `TensorFlow ${made.version} (${cuda ? 'CUDA' : 'CPU'})`;
  const seconds = Math.round((performance.now() - start) / 1000);
  console.log(
    before
      ? `${what} is set up already, in ${made.folder}: nothing to do.`
      : `${what} is ready after ${seconds} s, in ${made.folder}. See it with: matryoshka doctor`,
  );
}

async function uninstall(cudaOnly: boolean): Promise<void> {
  const removed = await uninstallTensorflow(
    tensorflowRoot(),
    cudaOnly ? ['cuda'] : ['cpu', 'cuda'],
  );
  for (const folder of removed) console.log(`Removed ${folder}`);
  if (removed.length === 0) console.log('Nothing to remove.');
}
