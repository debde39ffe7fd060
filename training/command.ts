/**
 * matryoshka train: an SAE from activations on disk.
 * @module
 */
import { join } from 'node:path';
import type { Command } from 'commander';
import type { Dialect } from '../reference/dialects.ts';
import { colours } from './colours.ts';
import { computeNames, deterministicCompute, type ComputeName } from '../gpu/choose.ts';
import { dialectHelp, readDialect } from './dialect-file.ts';
import type { Evaluations } from './evaluate.ts';
import { SAE_CONFIG, SAE_WEIGHTS } from './formats/sae.ts';
import { interruptible } from './interruption.ts';
import { numberList, oneOf, realNumber, wholeNumber } from './option-values.ts';
import { createDisplay } from './progress.ts';
import type { RunSettings } from './run-settings.ts';
import { train, type Outcome } from './train.ts';

/** Options as commander hands them over. */
interface Options {
  readonly activations: readonly string[];
  readonly heldout?: readonly string[];
  readonly tensor?: string;
  readonly out: string;
  readonly backend: RunSettings['backend'];
  readonly deterministic?: true;
  readonly dialect: string;
  readonly arch: RunSettings['architecture'];
  readonly dSae?: number;
  readonly k: number;
  readonly prefixes?: readonly number[];
  readonly fractions?: readonly number[];
  readonly steps?: number;
  readonly tokens?: number;
  readonly batch: number;
  readonly lr?: number;
  readonly warmup?: number;
  readonly decayStart?: number;
  readonly auxkAlpha?: number;
  readonly thresholdStart?: number;
  readonly deadAfter?: number;
  readonly normalise: boolean;
  readonly seed: number;
  readonly checkpointEvery: number;
  readonly bufferRows?: number;
  readonly resume?: boolean;
  readonly json?: true;
}

const backends: readonly (ComputeName | 'auto' | 'reference')[] = [
  'auto',
  ...computeNames,
  'reference',
];
const architectures = ['matryoshka', 'batchtopk'] as const;

export function addTrainCommand(program: Command): void {
  program
    .command('train')
    .summary('train an SAE on activations from safetensors shards')
    .description(
      'Streams activations from safetensors shards (F16, BF16, F32, F64), trains a Matryoshka or plain BatchTopK SAE as dictionary_learning or another dialect does, and writes sae.safetensors and cfg.json. A run that was stopped or killed goes on where its last checkpoint is: give the same command again.',
    )
    .requiredOption('--activations <file...>', 'shards to train on: a matrix [rows, d_in] in each')
    .option('--heldout <file...>', 'shards to evaluate on afterwards')
    .option('--tensor <name>', 'the tensor in them (default: "activations", or the only matrix)')
    .requiredOption('--out <folder>', 'where the checkpoint and the SAE go')
    .option('--backend <name>', backends.join(', '), oneOf('--backend', backends), 'auto')
    .option(
      '--deterministic',
      'the same bits on any number of threads: no library’s products (auto takes threads)',
    )
    .option('--dialect <name>', dialectHelp, 'dictionary_learning')
    .option(
      '--arch <name>',
      architectures.join(' or '),
      oneOf('--arch', architectures),
      'matryoshka',
    )
    .option('--d-sae <n>', 'latents (default: 8 d_in)', wholeNumber('--d-sae', 1))
    .option('--k <number>', 'latents per row, on average', realNumber('--k', 0, true), 32)
    .option(
      '--prefixes <list>',
      'widths of the nested SAEs; the last is d_sae',
      numberList('--prefixes'),
    )
    .option(
      '--fractions <list>',
      'or the groups between them, as fractions of d_sae (default: 1/32,1/16,1/8,1/4,17/32)',
      numberList('--fractions'),
    )
    .option(
      '--steps <n>',
      'steps (default: one pass over the activations)',
      wholeNumber('--steps', 1),
    )
    .option('--tokens <n>', 'or rows to train on, repeats counted', wholeNumber('--tokens', 1))
    .option('--batch <rows>', 'rows per step', wholeNumber('--batch', 2), 2048)
    .option(
      '--lr <rate>',
      'learning rate (default: the dialect’s; 2e-4 / sqrt(d_sae / 16384))',
      realNumber('--lr', 0, true),
    )
    .option(
      '--warmup <steps>',
      'steps of rising rate (default: a tenth, at most 1000)',
      wholeNumber('--warmup', 0),
    )
    .option(
      '--decay-start <step>',
      'from here the rate falls to 0 (default: never)',
      wholeNumber('--decay-start', 0),
    )
    .option(
      '--auxk-alpha <number>',
      'weight of the loss that revives dead latents (default: the dialect’s; 1/32)',
      realNumber('--auxk-alpha', 0),
    )
    .option(
      '--dead-after <tokens>',
      'rows, or steps where the dialect counts them, without firing that make a latent dead (default: the dialect’s; 10 million rows)',
      wholeNumber('--dead-after', 1),
    )
    .option(
      '--threshold-start <step>',
      'the inference threshold is tracked after it (default: half the steps, at most 1000)',
      wholeNumber('--threshold-start', 0),
    )
    .option(
      '--no-normalise',
      'train on activations as they are, not scaled to mean squared length 1',
    )
    .option('--seed <n>', 'of the first weights and the order of rows', wholeNumber('--seed', 0), 0)
    .option(
      '--checkpoint-every <steps>',
      'steps between checkpoints',
      wholeNumber('--checkpoint-every', 1),
      500,
    )
    .option(
      '--buffer-rows <n>',
      'rows shuffled together (default: 256 MiB worth)',
      wholeNumber('--buffer-rows', 1),
    )
    .option('--resume', 'demand a checkpoint in --out (default: resume if there is one)')
    .option('--no-resume', 'start over, replacing a checkpoint in --out')
    .option('--json', 'print the result as JSON; progress goes to stderr')
    .addHelpText(
      'after',
      `
Exit status: 0 done, 2 wrong usage, 130 stopped by Ctrl-C and resumable.
Example: matryoshka train --activations shard-*.safetensors --heldout held.safetensors --out runs/a --d-sae 16384 --tokens 50000000`,
    )
    .action(async (options: Options) => {
      const settings = settingsOf(options, await readDialect(options.dialect));
      process.exitCode = await run(settings, options.json === true);
    });
}

function settingsOf(options: Options, dialect: Dialect): RunSettings {
  const {
    arch,
    dSae,
    batch,
    lr,
    warmup,
    thresholdStart,
    resume,
    heldout = [],
    ...others
  } = options;
  const { deterministic, ...rest } = others;
  return {
    ...rest,
    backend: deterministic ? deterministicCompute(rest.backend) : rest.backend,
    heldout,
    dialect,
    architecture: arch,
    d_sae: dSae,
    batchRows: batch,
    learningRate: lr,
    warmupSteps: warmup,
    thresholdStartStep: thresholdStart,
    resume: resume === undefined ? 'auto' : resume ? 'required' : 'never',
  };
}

/** @returns the exit status. */
async function run(settings: RunSettings, json: boolean): Promise<number> {
  const display = createDisplay(json ? process.stderr : process.stdout);
  const interruption = interruptible(
    display.note,
    'finishing the step, then saving; once more to quit without saving',
  );
  let outcome: Outcome;
  try {
    outcome = await train(settings, {
      onNote: display.note,
      onStep: display.show,
      signal: interruption.signal,
    });
  } finally {
    display.stop();
    interruption.end();
  }
  const { status, kernel, step, steps, evaluations } = outcome;
  if (json) {
    console.log(JSON.stringify({ status, out: settings.out, kernel, step, steps, evaluations }));
  }
  if (status === 'interrupted') {
    display.note(
      `${colours.yellow('stopped')} after step ${step} of ${steps}; all of it is saved in ${settings.out}: give the same command again to go on`,
    );
    return interruption.status();
  }
  if (evaluations !== null) for (const line of evaluationLines(evaluations)) display.note(line);
  display.note(
    `${colours.green('done')}: ${step} steps; wrote ${join(settings.out, SAE_WEIGHTS)} and ${SAE_CONFIG}`,
  );
  return 0;
}

function evaluationLines({ threshold, batch }: Evaluations): string[] {
  return (
    [
      ['threshold', threshold],
      ['BatchTopK', batch],
    ] as const
  ).map(
    ([name, { explainedVariance, l0, dead, rows }]) =>
      `held-out (${rows.toLocaleString('en')} rows, ${name}): explained variance ${explainedVariance.toFixed(4)}, L0 ${l0.toFixed(1)}, never active ${dead}`,
  );
}
