/**
 * matryoshka synthetic claims: the five claims of the paper as one experiment, a verdict each.
 * @module
 */
import { join } from 'node:path';
import type { Command } from 'commander';
import { colours } from '../training/colours.ts';
import { dialectHelp, readDialect } from '../training/dialect-file.ts';
import { oneOf, wholeNumber } from '../training/option-values.ts';
import {
  compute,
  experimentText,
  shardOf,
  writeExperiment,
  type ComputeFlags,
} from './experiment-output.ts';
import { claimSettings, planFor } from './experiments/claim-settings.ts';
import { claimPlans } from './experiments/claim-rows.ts';
import { allShown, claimVerdicts } from './experiments/claims.ts';
import type { Claim, ExperimentResults } from './experiments/results.ts';
import { kernelsBefore } from './experiments/store.ts';
import { resultsOf } from './experiments/summarise.ts';
import { chooseKernels } from './kernels/measure.ts';
import { stepBackends, type StepBackend } from './kernels/open.ts';
import { createWorld, openWorld } from './worlds/presets.ts';

interface ClaimsFlags extends ComputeFlags {
  readonly world: string;
  readonly seeds: number;
  readonly steps?: number;
  readonly dialect?: string;
  readonly backend: StepBackend;
  readonly kernel?: string;
}

/** `matryoshka synthetic claims`. */
export function addClaimsCommand(synthetic: Command): void {
  synthetic
    .command('claims')
    .summary('does a Matryoshka SAE do what the paper claims?')
    .description(
      'Trains baselines and Matryoshka SAEs and judges the five claims of Bussmann et al. 2025: less absorption, a disentangled decoder, better sparse probing, erasure by fewer latents, a small reconstruction cost.',
    )
    .option(
      '--world <name>',
      `${Object.keys(claimPlans).join(', ')}; another of \`synthetic describe\`, or FILE.json: nothing is published of those`,
      'tree',
    )
    .option('--seeds <n>', 'training seeds', wholeNumber('--seeds', 1), 5)
    .option('--steps <n>', 'in place of each run’s own', wholeNumber('--steps', 1))
    .option('--dialect <name>', `compares BatchTopK and Matryoshka in it alone: ${dialectHelp}`)
    .option(
      '--backend <name>',
      stepBackends.join(', '),
      oneOf('--backend', stepBackends),
      'auto' as const,
    )
    .option(
      '--kernel <command>',
      'a kernel of your own that offers train-step; in dialect dictionary_learning',
    )
    .option(
      '--threads <n>',
      'worker threads (default: one per processor, on a GPU one)',
      wholeNumber('--threads', 1),
    )
    .option('--shard <i/n>', 'one of n shares of the runs, merged later', shardOf)
    .option('--out <folder>', 'results, or those to go on with (default: runs/claims-<world>)')
    .option('--json', 'print the results as JSON instead of a table')
    .addHelpText(
      'after',
      '\nExit status: 0 every claim that published runs show on this world is shown, 1 one is not, 2 wrong usage. Of a world of\nyour own nothing is published: read its verdicts in the report or in --json.\nExample: matryoshka synthetic claims --out runs/claims',
    )
    .action(async (flags: ClaimsFlags) => {
      process.exitCode = await claims(flags);
    });
}

async function claims(flags: ClaimsFlags): Promise<number> {
  const named = flags.dialect ?? (flags.kernel === undefined ? undefined : 'dictionary_learning');
  const dialect = named === undefined ? undefined : await readDialect(named);
  const parameters = await openWorld(flags.world);
  const plan = planFor(parameters, dialect?.name);
  const { seeds, steps } = flags;
  const open = claimSettings(parameters, plan, {
    seeds,
    ...(steps !== undefined && { steps }),
    ...(dialect && { dialect }),
  });
  const world = createWorld(open.world.parameters, open.runs[0].worldSeed);
  const folder = flags.out ?? join('runs', `claims-${parameters.name}`);
  const wish = { ...flags, before: await kernelsBefore(folder, open) };
  const { kernels, notes } = await chooseKernels(open.architectures, world, wish);
  for (const note of notes) console.error(note);
  const settings = { ...open, kernels };
  const cells = await compute(settings, folder, flags, (line) => console.error(line));
  if (cells === null) return 0;
  const results = resultsOf(settings, cells, (facts) => claimVerdicts(facts, plan));
  await writeExperiment(results, folder, commandLine(flags));
  if (flags.json) console.log(JSON.stringify(results));
  else console.log(claimsText(results, folder));
  return allShown(results) ? 0 : 1;
}

const MARKS: Readonly<Record<Claim['verdict'], string>> = {
  shown: colours.green('✓ shown'),
  'not reproduced': colours.red('✗ not reproduced'),
  undecided: colours.yellow('? undecided'),
};

/** The table, a line for each claim with its evidence, and how much of the acceptance table holds. */
export function claimsText(results: ExperimentResults, folder: string): string {
  const { acceptance } = results;
  const known = results.claims.some(({ expected }) => expected);
  const missed = acceptance.filter(({ holds }) => !holds);
  return experimentText(results, folder, [
    ...results.claims.flatMap(({ number, claim, verdict, expected, evidence }) => [
      `${number} ${MARKS[verdict]}${known && !expected ? ' (nor elsewhere on this world)' : ''}: ${claim}`,
      ...evidence.map(({ metric, treatment, baseline, difference }) => {
        const found =
          difference === null
            ? 'not defined here'
            : `${signed(difference.mean)} [${signed(difference.low)}, ${signed(difference.high)}]`;
        return `    ${metric}: ${treatment} minus ${baseline} ${found}`;
      }),
    ]),
    '',
    ...(acceptance.length === 0
      ? []
      : [
          `${acceptance.length - missed.length} of ${acceptance.length} figures agree with other implementations'`,
          ...missed.map(
            ({ architecture, metric, ours, theirs, tolerance }) =>
              `    ${architecture}, ${metric}: ${ours?.toFixed(3) ?? 'none'}, theirs ${theirs} ± ${tolerance}`,
          ),
        ]),
  ]);
}

function signed(value: number): string {
  return `${value >= 0 ? '+' : '−'}${Math.abs(value).toFixed(3)}`;
}

/** A command that gives the same results again. */
function commandLine(flags: ClaimsFlags): string {
  const kept = ['world', 'seeds', 'steps', 'dialect', 'backend', 'kernel'] as const;
  const options = kept.flatMap((name) => {
    const value = flags[name];
    if (value === undefined) return [];
    const text = String(value);
    return [`--${name} ${text.includes(' ') ? JSON.stringify(text) : text}`];
  });
  return ['matryoshka synthetic claims', ...options].join(' ');
}
