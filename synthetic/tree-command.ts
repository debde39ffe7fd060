/**
 * matryoshka synthetic tree: BatchTopK against Matryoshka BatchTopK on a tree of features.
 * @module
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Presets, SingleBar } from 'cli-progress';
import type { Command } from 'commander';
import { colours } from '../training/colours.ts';
import { requireWritableFolder, writeTextAtomically } from '../training/atomic-file.ts';
import { dialectHelp, readDialect } from '../training/dialect-file.ts';
import { realNumber, wholeNumber } from '../training/option-values.ts';
import { treeMetrics, type TreeMetric } from './experiments/tree-cell.ts';
import { treeSettings, type TreeOptions, type TreeSettings } from './experiments/tree-settings.ts';
import { runTree, type TreeProgress, type TreeResults } from './experiments/tree.ts';
import { formatNumber } from './page.ts';
import { intervalLabel, intervalText, verdictSentence } from './report-words.ts';
import { treeReport } from './report.ts';

interface TreeFlags {
  readonly seeds: number;
  readonly seed: number;
  readonly worlds: number;
  readonly dialect: string;
  readonly k?: number;
  readonly steps?: number;
  readonly batch?: number;
  readonly prefixes?: readonly number[];
  readonly threads?: number;
  readonly out?: string;
  readonly json?: true;
}

/** What the terminal's table shows; report and JSON hold all of them. */
const TABLE: readonly TreeMetric[] = [
  'fullAbsorption',
  'mainRecall',
  'cleanGap',
  'mcc',
  'matchedF1',
  'explainedVariance',
  'maxDecoderCosine',
  'l0',
  'thresholdL0',
  'deadLatents',
];

/** `matryoshka synthetic tree`. */
export function addTreeCommand(synthetic: Command): void {
  synthetic
    .command('tree')
    .summary('does nesting reduce absorption?')
    .description(
      'Trains BatchTopK and Matryoshka BatchTopK on a tree of features at equal k and measures absorption.',
    )
    .option('--seeds <n>', 'training seeds, for each architecture', wholeNumber('--seeds', 1), 5)
    .option('--seed <n>', 'first training seed and first world', wholeNumber('--seed', 0), 0)
    .option('--worlds <n>', 'draws of the directions', wholeNumber('--worlds', 1), 1)
    .option('--dialect <name>', dialectHelp, 'dictionary_learning')
    .option(
      '--k <number>',
      'mean latents per row (default: 1.12, the expected L0)',
      realNumber('--k', 0, true),
    )
    .option('--steps <n>', 'training steps (default: 4000)', wholeNumber('--steps', 1))
    .option('--batch <n>', 'rows per step (default: 512)', wholeNumber('--batch', 1))
    .option('--prefixes <list>', 'widths, up to 20 (default: 3,5,8,12,16,20)', widths)
    .option(
      '--threads <n>',
      'worker threads (default: one per processor)',
      wholeNumber('--threads', 1),
    )
    .option('--out <folder>', 'for results.json and report.html (default: runs/tree-<date>)')
    .option('--json', 'print the results as JSON instead of a table')
    .addHelpText(
      'after',
      '\nExit status: 0 the effect is shown, 1 it is not, 2 wrong usage.\nExample: matryoshka synthetic tree --seeds 3 --out runs/tree',
    )
    .action(async (flags: TreeFlags) => {
      process.exitCode = await tree(flags);
    });
}

async function tree(flags: TreeFlags): Promise<number> {
  const dialect = await readDialect(flags.dialect);
  const settings = treeSettings({ ...optionsOf(flags), dialect });
  const folder = flags.out ?? join('runs', `tree-${dateStamp(new Date())}`);
  await requireWritableFolder(folder, '--out');
  const threads = flags.threads ?? availableParallelism();
  const cells = 2 * settings.seeds.length * settings.worldSeeds.length;
  console.error(
    `tree: ${cells} runs of ${settings.steps} steps on ${Math.min(threads, cells)} threads, k ${settings.k}, --seed ${flags.seed}`,
  );

  const progress = showProgress(settings, cells);
  const results = await runTree(settings, { threads, onProgress: progress.show }).finally(
    progress.end,
  );
  const [json, report] = ['results.json', 'report.html'].map((name) => join(folder, name));
  await writeTextAtomically(json, `${JSON.stringify(results, null, 1)}\n`);
  await writeTextAtomically(report, treeReport(results, commandLine(flags, settings)));

  if (flags.json) console.log(JSON.stringify(results));
  else console.log(summary(results, json, report));
  return results.verdict.shown ? 0 : 1;
}

/** Only what was given: the rest has its defaults in treeSettings. */
function optionsOf({
  threads: _threads,
  out: _out,
  json: _json,
  dialect: _dialect,
  ...options
}: TreeFlags): TreeOptions {
  return options;
}

/** A command that gives the same results again. */
function commandLine(flags: TreeFlags, settings: TreeSettings): string {
  const { k, steps, batch, prefixes } = settings;
  const values = [
    ['--seeds', flags.seeds],
    ['--seed', flags.seed],
    ['--worlds', flags.worlds],
    ['--dialect', flags.dialect],
    ['--k', k],
    ['--steps', steps],
    ['--batch', batch],
    ['--prefixes', prefixes.join(',')],
  ];
  return ['matryoshka synthetic tree', ...values.map((pair) => pair.join(' '))].join(' ');
}

interface Progress {
  readonly show: (progress: TreeProgress) => void;
  readonly end: () => void;
}

/** On stderr: a bar on a terminal, one line per finished run elsewhere. */
function showProgress(settings: TreeSettings, cells: number): Progress {
  const steps = new Array<number>(cells).fill(0);
  const done = (): number => steps.filter((each) => each === settings.steps).length;
  if (!process.stderr.isTTY) {
    return {
      show: (progress) => {
        steps[progress.cell] = progress.steps;
        if (progress.steps < settings.steps) return;
        const { architecture, seed, worldSeed } = progress;
        console.error(
          `${done()}/${cells} trained: ${architecture}, seed ${seed}, world ${worldSeed}`,
        );
      },
      end: () => undefined,
    };
  }
  const bar = new SingleBar(
    {
      format: '{bar} {percentage} %  {done}/{cells} runs  {eta_formatted} left',
      stream: process.stderr,
    },
    Presets.shades_classic,
  );
  bar.start(cells * settings.steps, 0, { done: 0, cells });
  return {
    show: (progress) => {
      steps[progress.cell] = progress.steps;
      bar.update(
        steps.reduce((sum, each) => sum + each, 0),
        { done: done() },
      );
    },
    end: () => bar.stop(),
  };
}

function summary(results: TreeResults, json: string, report: string): string {
  const { architectures, differences, verdict } = results;
  const rows = [
    [`mean [${intervalLabel(results)}]`, ...architectures.map(({ name }) => name), 'difference'],
    ...TABLE.map((metric) => [
      treeMetrics[metric],
      ...architectures.map(({ metrics }) => intervalText(metrics[metric], 3)),
      intervalText(differences[metric], 3),
    ]),
  ];
  const widthOf = (column: number): number => Math.max(...rows.map((row) => row[column].length));
  const lines = rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widthOf(i)))
      .join('  ')
      .trimEnd(),
  );
  const mark = verdict.shown ? colours.green('✓ shown') : colours.red('✗ not shown');
  const { k } = results.settings;
  const notes = [
    verdict.equalL0 ? [] : [`note: a measured L0 is further than 3 % from k = ${formatNumber(k)}`],
    verdict.controlsHold
      ? []
      : [colours.red('a control misses its exact value: do not trust these numbers')],
    architectures
      .filter(({ unconverged }) => unconverged > 0)
      .map(({ name, unconverged }) => `note: ${unconverged} runs of ${name} were still moving`),
  ].flat();
  return [
    '',
    ...lines,
    '',
    `${mark}: Matryoshka reduces absorption. ${verdictSentence(results)}`,
    ...notes,
    '',
    `results  ${json}`,
    `report   ${report}`,
  ].join('\n');
}

/** 2026-03-31T23-59-59: sorts by time and is a legal file name everywhere. */
function dateStamp(date: Date): string {
  return date.toISOString().slice(0, 19).replaceAll(':', '-');
}

function widths(text: string): number[] {
  return text.split(',').map((part) => wholeNumber('--prefixes', 1)(part));
}
