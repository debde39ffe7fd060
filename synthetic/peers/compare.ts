/**
 * A peer's runs beside ours, from a checkout: `npx tsx synthetic/peers/compare.ts FOLDER`. See docs/peers.md.
 * @module
 */
import { writeFile } from 'node:fs/promises';
import { Command, InvalidArgumentError } from 'commander';
import { UsageError } from '../../training/usage-error.ts';
import { metricList } from '../evaluate.ts';
import { openSteps } from '../kernels/open.ts';
import {
  compareWithPeer,
  FOLLOWED_STEPS,
  judgedMetrics,
  type Comparison,
  type SeedComparison,
} from './comparison.ts';
import type { PeerMetric, PeerMetrics } from './peer-metrics.ts';
import { meanOf } from './spread.ts';

interface Options {
  readonly seeds: number;
  readonly own: boolean;
  readonly following: boolean;
  readonly kernel: string;
  readonly json?: string;
}

const command = new Command('compare')
  .description('Trains ours on the batches that saelens_runs.py or nabeshima_runs.py wrote.')
  .argument('<folder>', 'what the script wrote')
  .option('--seeds <n>', 'how many of its seeds', wholeNumber, 5)
  .option('--no-own', 'leave out training from our own initial weights')
  .option('--no-following', 'leave out training from its initial weights')
  .option(
    '--kernel <name>',
    'that trains ours: reference, threads, or as in synthetic run',
    'reference',
  )
  .option('--json <file>', 'write everything there')
  .action(async (folder: string, { kernel: name, json, ...options }: Options) => {
    const onStep = (what: string, step: number, steps: number): void => {
      if (step % 500 === 0 || step === steps) {
        process.stderr.write(`${what}: step ${step} of ${steps}\n`);
      }
    };
    const kernel = await openSteps(name);
    const onSeed = ({ seed, theirs, ours }: SeedComparison): void => {
      const line = (metrics: PeerMetrics): string =>
        judgedMetrics.map((name) => `${labelOf(name)} ${metrics[name]?.toFixed(4)}`).join(', ');
      process.stderr.write(`seed ${seed}: its ${line(theirs)}\n`);
      if (ours !== null) process.stderr.write(`seed ${seed}: our ${line(ours)}\n`);
    };
    const comparison = await compareWithPeer(folder, { ...options, kernel, onStep, onSeed });
    await kernel.close();
    process.stdout.write(report(comparison));
    if (json !== undefined) await writeFile(json, `${JSON.stringify(comparison, null, 2)}\n`);
    if (comparison.metrics.some(({ within }) => within === false)) process.exitCode = 1;
  });

try {
  await command.parseAsync();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`error: ${error.message}\n`);
  process.exitCode = 2;
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) {
    throw new InvalidArgumentError('expected a whole number from 1');
  }
  return value;
}

function report({ runs, seeds, metrics }: Comparison): string {
  const { settings } = runs;
  const lines = [
    `${runs.peer} on ${runs.world}, ${settings.architecture}: ${settings.steps} steps of ${settings.batch}, ${seeds.length} seeds`,
  ];
  if (metrics.length > 0) {
    lines.push('', columns('', 'its seeds', 'ours, mean and range', 'its spread', ''));
    for (const { metric, theirs, ours, spread, within } of metrics) {
      const verdict = within === null ? '' : within ? 'within' : 'OUTSIDE';
      const { low, high } = spread;
      const range = `${low.toFixed(4)} to ${high.toFixed(4)}`;
      lines.push(columns(labelOf(metric), summary(theirs), summary(ours), range, verdict));
    }
  }
  lines.push('');
  for (const { seed, metricDifference, following } of seeds) {
    lines.push(
      `seed ${seed}: our metrics of its weights differ from its own by at most ${metricDifference.toExponential(1)}`,
    );
    if (following === null) continue;
    const { earlyLoss, loss, metricDifference: difference, metric } = following;
    lines.push(
      `  from its weights: losses differ by ${earlyLoss.toExponential(1)} in ${FOLLOWED_STEPS} steps, ${loss.toExponential(1)} in all; final metrics by at most ${difference.toExponential(1)} (${labelOf(metric)})`,
    );
  }
  return `${lines.join('\n')}\n`;
}

function labelOf(metric: PeerMetric): string {
  return metricList.find(({ name }) => name === metric)?.label ?? metric;
}

function summary(values: readonly number[]): string {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return `${meanOf(values).toFixed(4)} [${low.toFixed(4)}, ${high.toFixed(4)}]`;
}

function columns(...cells: readonly string[]): string {
  return cells
    .map((cell, i) => cell.padEnd(i === 0 ? 30 : 26))
    .join('')
    .trimEnd();
}
