/**
 * Refuses what this port would compute differently from the reference.
 * @module
 */
import type { TrainConfig } from '../reference/train-step.ts';
import { UsageError } from '../training/usage-error.ts';
import { mostSinceFired } from './dead-latents.ts';

/** The values each decision of a dialect may have here. Numbers and decisions not listed may have any. */
const supported: readonly [
  decision: string,
  values: readonly unknown[],
  read: (config: TrainConfig) => unknown,
][] = [
  ['select.score', ['acts', 'acts-times-decoder-norm'], (c) => c.dialect.select.score],
  ['threshold.first', ['assign', 'average'], (c) => c.dialect.threshold.first],
  ['threshold.whenEmpty', ['decay', 'keep'], (c) => c.dialect.threshold.whenEmpty],
  ['auxk.values', ['acts', 'pre-activations'], (c) => c.dialect.auxk.values],
  ['auxk.residual', ['detached', 'attached'], (c) => c.dialect.auxk.residual],
  ['auxk.normaliser', ['residual-variance', 'none'], (c) => c.dialect.auxk.normaliser],
  ['auxk.overDimensions', ['sum', 'mean'], (c) => c.dialect.auxk.overDimensions],
  ['auxk.scale', ['dead-fraction', 'none'], (c) => c.dialect.auxk.scale],
  ['deadLatents.unit', ['tokens', 'steps'], (c) => c.dialect.deadLatents.unit],
  ['deadLatents.test', ['at-least', 'above'], (c) => c.dialect.deadLatents.test],
  ['deadLatents.mask', ['this-step', 'previous-steps'], (c) => c.dialect.deadLatents.mask],
  [
    'decoderNorm.project',
    ['before-clip', 'after-clip', 'never'],
    (c) => c.dialect.decoderNorm.project,
  ],
  [
    'decoderNorm.normalise',
    ['after-update', 'before-update', 'never'],
    (c) => c.dialect.decoderNorm.normalise,
  ],
  ['initialise.b_dec', ['geometric-median', 'zero'], (c) => c.dialect.initialise.b_dec],
  ['selection', ['batch', 'row'], (c) => c.selection],
];

/**
 * A dialect from a later version may decide in a way this port does not know; guessing would train another model.
 * @throws {@link UsageError} naming the decision and its value.
 */
export function requireSupported(config: TrainConfig): void {
  for (const [decision, values, read] of supported) {
    const value = read(config);
    if (!values.includes(value)) {
      throw new UsageError(
        `gpu: dialect ${config.dialect.name} decides ${decision} = ${JSON.stringify(value)}, which this port does not support; it supports ${values.join(', ')}`,
      );
    }
  }
  if (config.deadAfter >= mostSinceFired) {
    throw new UsageError(
      `gpu: deadAfter: expected less than ${mostSinceFired}, which counts stop at, got ${config.deadAfter}`,
    );
  }
}
