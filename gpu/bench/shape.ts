/**
 * What is trained in a benchmark: its sizes, and the settings that both sides of a comparison share.
 * @module
 */
import { dictionaryLearning, saelens, type Dialect } from '../../reference/dialects.ts';
import { trainConfig } from '../../reference/train-config.ts';
import type { TrainConfig } from '../../reference/train-step.ts';
import { UsageError } from '../../training/usage-error.ts';

export interface Shape {
  readonly d_in: number;
  readonly d_sae: number;
  /** Rows of a batch. */
  readonly batch: number;
  readonly k: number;
}

/** The dialects that a published trainer is timed in, by name. */
export const benchDialects: Readonly<Record<DialectName, Dialect>> = {
  dictionary_learning: dictionaryLearning,
  saelens,
};

export type DialectName = 'dictionary_learning' | 'saelens';

/** From a toy to a small language model's residual stream. */
export const standardShapes: readonly Shape[] = [
  { d_in: 20, d_sae: 20, batch: 200, k: 1 },
  { d_in: 64, d_sae: 256, batch: 512, k: 8 },
  { d_in: 128, d_sae: 1024, batch: 1024, k: 16 },
  { d_in: 384, d_sae: 6144, batch: 2048, k: 32 },
  { d_in: 768, d_sae: 4096, batch: 1024, k: 25 },
];

/** One size grows, all others stay. */
export const growthShapes: readonly { readonly axis: 'd_sae' | 'batch'; readonly shape: Shape }[] =
  [
    ...powers(1024, 65536).map((d_sae) => ({
      axis: 'd_sae' as const,
      shape: { d_in: 64, d_sae, batch: 256, k: 16 },
    })),
    ...powers(64, 4096).map((batch) => ({
      axis: 'batch' as const,
      shape: { d_in: 64, d_sae: 4096, batch, k: 16 },
    })),
  ];

/** Powers of two, both ends included. */
function powers(least: number, most: number): number[] {
  const found: number[] = [];
  for (let value = least; value <= most; value *= 2) found.push(value);
  return found;
}

/** As the command line and the tables write it. */
export function shapeName({ d_in, d_sae, batch, k }: Shape): string {
  return [d_in, d_sae, batch, k].join('/');
}

/** What can be run here. @throws {@link UsageError} as {@link shapeFrom}, and where acts alone fill a typed array. */
export function parseShape(text: string): Shape {
  const shape = shapeFrom(text, '--shape');
  requireRunnable(shape);
  return shape;
}

/** @throws {@link UsageError} unless the text is four whole numbers that a training step accepts. */
export function shapeFrom(text: string, name: string): Shape {
  const numbers = text.split('/').map((part) => (/^\d+$/.test(part) ? Number(part) : NaN));
  if (numbers.length !== 4 || !numbers.every((n) => Number.isSafeInteger(n) && n > 0)) {
    throw new UsageError(
      `${name}: expected d_in/d_sae/B/k, whole numbers above 0 such as 64/256/512/8, got ${JSON.stringify(text)}`,
    );
  }
  const [d_in, d_sae, batch, k] = numbers;
  if (k > d_sae) {
    throw new UsageError(`${name} ${text}: k: expected at most d_sae = ${d_sae}, got ${k}`);
  }
  if (batch < 2) {
    throw new UsageError(`${name} ${text}: batch: expected at least 2 rows, got ${batch}`);
  }
  return { d_in, d_sae, batch, k };
}

/** @throws {@link UsageError} on a shape whose matrix of acts alone fills a typed array. */
function requireRunnable(shape: Shape): void {
  const { d_in, d_sae, batch } = shape;
  if (batch * d_sae <= 2 ** 31 && d_in * d_sae <= 2 ** 31) return;
  throw new UsageError(
    `--shape ${shapeName(shape)}: expected batch · d_sae and d_in · d_sae up to 2^31 values, got ${batch * d_sae} and ${d_in * d_sae}`,
  );
}

/** The paper's five prefixes, 1/32, 3/32, 7/32, 15/32 and all of d_sae, rounded up; fewer where they coincide. */
export function benchPrefixes(d_sae: number): number[] {
  return [...new Set([1, 3, 7, 15, 32].map((share) => Math.ceil((share / 32) * d_sae)))];
}

/** Steps without firing that make a latent dead: few, so that AuxK works in the steps that are timed. */
const DEAD_AFTER_STEPS = 3;
const WARMUP_STEPS = 10;
/** More than any benchmark takes. */
const STEPS = 1_000_000;

/**
 * The settings of one dialect at one shape: its defaults, but AuxK and the threshold update set to work from the start.
 * @param auxk - whether latents can count as dead.
 */
export function benchConfig(
  { d_in, d_sae, batch, k }: Shape,
  name: DialectName,
  auxk: boolean,
): TrainConfig {
  const dialect = benchDialects[name];
  const perStep = dialect.deadLatents.unit === 'tokens' ? batch : 1;
  return trainConfig({
    dialect,
    d_in,
    d_sae,
    k,
    prefixes: benchPrefixes(d_sae),
    steps: STEPS,
    warmupSteps: WARMUP_STEPS,
    thresholdStartStep: Math.min(dialect.defaults.thresholdStartStep, 0),
    deadAfter: auxk ? DEAD_AFTER_STEPS * perStep : 2 ** 29,
  });
}
