/**
 * matryoshka encode and decode: a trained SAE on activations from disk.
 * @module
 */
import type { Command } from 'commander';
import { SingleBar } from 'cli-progress';
import { computeNames, type ComputeName } from '../../gpu/choose.ts';
import { colours } from '../colours.ts';
import { interruptible } from '../interruption.ts';
import { oneOf, realNumber, wholeNumber } from '../option-values.ts';
import { decodeShards, type Decoded } from './decode.ts';
import { encodeShards, type Encoded, type Watching } from './encode.ts';

type Backend = ComputeName | 'auto' | 'reference';
const backends: readonly Backend[] = ['auto', ...computeNames, 'reference'];
const gates = ['threshold', 'batch'] as const;

interface EncodeOptions {
  readonly out: string;
  readonly tensor?: string;
  readonly gate: (typeof gates)[number];
  readonly threshold?: number;
  readonly k?: number;
  readonly backend: Backend;
  readonly batch: number;
  readonly rowsPerFile: number;
  readonly json?: true;
}

interface DecodeOptions {
  readonly out: string;
  readonly prefix?: number;
  readonly backend: Backend;
  readonly batch: number;
  readonly json?: true;
}

const status =
  '\nExit status: 0 done, 2 wrong usage, 130 stopped by Ctrl-C: whole files stay, the same command goes on.';

export function addEncodeCommand(program: Command): void {
  program
    .command('encode')
    .summary('latents of activations, by a trained SAE')
    .description(
      'Streams activations from safetensors shards (F16, BF16, F32, F64) through a trained SAE and writes its latents in compressed sparse rows, some thousand rows a file. Memory does not grow with the shards. Files that are there already are kept.',
    )
    .argument('<sae>', 'folder that matryoshka train wrote, or one that SAELens saved')
    .argument('<activations...>', 'shards: a matrix [rows, d_in] in each')
    .requiredOption('--out <folder>', 'where latents go')
    .option(
      '--tensor <name>',
      'the tensor in the shards (default: "activations", or the only matrix)',
    )
    .option(
      '--gate <name>',
      'threshold: acts above the trained one, each row by itself; batch: the k · rows largest of each batch, as in training',
      oneOf('--gate', gates),
      'threshold',
    )
    .option(
      '--threshold <number>',
      'in place of the trained one',
      realNumber('--threshold', -Infinity),
    )
    .option(
      '--k <number>',
      'mean latents of a row, with --gate batch (default: the trained one)',
      realNumber('--k', 0),
    )
    .option('--backend <name>', backends.join(', '), oneOf('--backend', backends), 'auto')
    .option('--batch <rows>', 'rows computed at once', wholeNumber('--batch', 1), 2048)
    .option(
      '--rows-per-file <n>',
      'rows of a file of latents',
      wholeNumber('--rows-per-file', 1),
      16384,
    )
    .option('--json', 'print the result as JSON; progress goes to stderr')
    .addHelpText(
      'after',
      `${status}\nExample: matryoshka encode runs/sae shard-*.safetensors --out runs/latents`,
    )
    .action(async (sae: string, activations: string[], options: EncodeOptions) => {
      await run(options.json === true, options.out, encodedLine, (watching) =>
        encodeShards({ sae, activations, ...options }, watching),
      );
    });
}

export function addDecodeCommand(program: Command): void {
  program
    .command('decode')
    .summary('activations back from latents')
    .description(
      'Reconstructs activations from the latents that matryoshka encode wrote, with the same SAE, and writes safetensors shards that train and encode read.',
    )
    .argument('<sae>', 'folder of the SAE that encoded')
    .argument('<latents>', 'folder that matryoshka encode wrote')
    .requiredOption('--out <folder>', 'where activations go')
    .option(
      '--prefix <m>',
      'only latents below m: one of the nested SAEs (default: all)',
      wholeNumber('--prefix', 1),
    )
    .option('--backend <name>', backends.join(', '), oneOf('--backend', backends), 'auto')
    .option('--batch <rows>', 'rows computed at once', wholeNumber('--batch', 1), 2048)
    .option('--json', 'print the result as JSON; progress goes to stderr')
    .addHelpText(
      'after',
      `${status}\nExample: matryoshka decode runs/sae runs/latents --prefix 1024 --out runs/restored`,
    )
    .action(async (sae: string, latents: string, options: DecodeOptions) => {
      await run(options.json === true, options.out, decodedLine, (watching) =>
        decodeShards({ sae, latents, ...options }, watching),
      );
    });
}

async function run<T extends Encoded | Decoded>(
  json: boolean,
  out: string,
  line: (result: T) => string,
  work: (watching: Watching) => Promise<T>,
): Promise<void> {
  const note = (text: string): void => void process.stderr.write(`${text}\n`);
  const bar = rowsBar(note);
  const interruption = interruptible(note, 'stopping after this batch; whole files stay');
  try {
    const { signal } = interruption;
    const started = performance.now();
    const result = await work({ onNote: note, onRows: bar.show, signal });
    bar.stop();
    const seconds = (performance.now() - started) / 1000;
    if (json) console.log(JSON.stringify({ ...result, out, seconds }));
    else console.log(`${line(result)}; ${result.files} files in ${out}, ${seconds.toFixed(1)} s`);
    if (result.status === 'interrupted') {
      note(`${colours.yellow('stopped')}: give the same command again to go on`);
      process.exitCode = interruption.status();
    }
  } finally {
    bar.stop();
    interruption.end();
  }
}

const number = (value: number): string => value.toLocaleString('en');

function encodedLine({ rows, l0, neverOn, emptyRows }: Encoded): string {
  return `${number(rows)} rows: L0 ${l0.toFixed(2)}, ${number(neverOn)} latents never on, ${number(emptyRows)} rows without a latent`;
}

function decodedLine({ rows, prefix }: Decoded): string {
  return `${number(rows)} rows from latents below ${number(prefix)}`;
}

/** Seconds between lines where there is no terminal. */
const LINE_SECONDS = 10;

/** Rows done: a bar on a terminal, a line now and then elsewhere; on standard error. */
function rowsBar(note: (line: string) => void): {
  readonly show: (done: number, all: number) => void;
  readonly stop: () => void;
} {
  const stream = process.stderr;
  let bar: SingleBar | undefined;
  let last = performance.now();
  return {
    show(done, all) {
      if (!stream.isTTY) {
        if (performance.now() - last < LINE_SECONDS * 1000) return;
        last = performance.now();
        note(`${number(done)} of ${number(all)} rows`);
        return;
      }
      if (bar === undefined) {
        const format = '{bar} {percentage}%  {value}/{total} rows  ETA {eta_formatted}';
        bar = new SingleBar({ stream, format, barsize: 20, hideCursor: true, linewrap: false });
        bar.start(all, done);
      } else bar.update(done);
    },
    stop() {
      bar?.stop();
      bar = undefined;
    },
  };
}
