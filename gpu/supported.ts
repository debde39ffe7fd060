/**
 * Refuses what this port would compute differently from the reference.
 * @module
 */
import type { Section } from '../reference/decisions.ts';
import type { Dialect } from '../reference/dialects.ts';
import type { TrainConfig } from '../reference/train-step.ts';
import { UsageError } from '../training/usage-error.ts';
import { mostSinceFired } from './dead-latents.ts';

/**
 * The values each decision may have here; null where any number or switch will do. A decision added to `Dialect` does not
 * compile until it is listed, and so looked at, here.
 */
const supported: {
  readonly [S in Section]: { readonly [D in keyof Dialect[S]]: readonly Dialect[S][D][] | null };
} = {
  input: { normaliser: ['none'], epsilon: null, decay: null, estimate: null, folds: null },
  encode: {
    subtractsDecoderBias: [true, false],
    usesEncoderBias: [true, false],
    refinement: [0],
  },
  select: { score: ['acts', 'acts-times-decoder-norm'] },
  inference: { gate: null, values: null },
  threshold: {
    start: null,
    first: ['assign', 'average'],
    decay: null,
    whenEmpty: ['decay', 'keep'],
  },
  prefixes: { drawn: ['once'], power: null },
  loss: {
    emptyPrefix: [true, false],
    overDimensions: ['sum', 'mean'],
    overLevels: ['sum', 'mean'],
    defaultWeight: ['one-over-levels', 'one'],
    innerLevels: ['attached'],
    tilt: [0],
  },
  penalty: {
    kind: ['none'],
    on: null,
    overPrefixes: null,
    coefficient: null,
    controllerStep: null,
  },
  auxk: {
    values: ['acts', 'pre-activations'],
    levels: ['last'],
    residual: ['detached', 'attached'],
    normaliser: ['residual-variance', 'none'],
    overDimensions: ['sum', 'mean'],
    k: null,
    scale: ['dead-fraction', 'none'],
    whenNothingDecodes: ['counts', 'is-zero'],
  },
  deadLatents: {
    unit: ['tokens', 'steps'],
    test: ['at-least', 'above'],
    mask: ['this-step', 'previous-steps'],
  },
  jumpRelu: {
    bandwidth: null,
    start: null,
    inputGradient: null,
    keepsThresholds: null,
    counts: null,
  },
  decoderNorm: {
    project: ['before-clip', 'after-clip', 'never'],
    projectEpsilon: null,
    normalise: ['after-update', 'before-update', 'never'],
    normaliseEpsilon: null,
  },
  clip: { maxNorm: null },
  adam: { beta1: null, beta2: null, epsilon: null },
  learningRate: {
    base: null,
    scalesWithWidth: [true, false],
    warmup: ['t-over-w', 't-plus-one-over-w'],
    decay: ['linear-to-zero', 'cool-down'],
  },
  latentOrder: { permute: ['never'], decay: null },
  initialise: {
    draw: null,
    decoderNorm: null,
    normEpsilon: null,
    encoder: null,
    b_dec: ['geometric-median', 'zero'],
  },
  defaults: {
    selection: null,
    auxkAlpha: null,
    deadAfter: null,
    thresholdStartStep: null,
    warmupSteps: null,
    decayFraction: null,
    sparsityCoefficient: null,
    sparsityWarmup: null,
    targetL0: null,
  },
};

/**
 * A dialect may decide in a way that this port does not know; guessing would train another model.
 * @param more - values of decisions, such as auxk.levels, that an engine supports beside the port's.
 * @throws {@link UsageError} naming the decision and its value.
 */
export function requireSupported(
  config: TrainConfig,
  more: Readonly<Record<string, readonly unknown[]>> = {},
): void {
  const sections: Readonly<Record<string, unknown>> = { ...config.dialect };
  for (const [section, decisions] of Object.entries(sections)) {
    if (['name', 'source', 'readFrom'].includes(section)) continue;
    for (const [decision, value] of Object.entries(decisions as Record<string, unknown>)) {
      const values = more[`${section}.${decision}`] ?? valuesOf(section, decision);
      if (values === null || values?.includes(value) === true) continue;
      if (section === 'penalty' && isWithoutPenalty(config)) continue;
      const known = values === undefined ? 'no such decision' : values.join(', ');
      throw new UsageError(
        `gpu: dialect ${config.dialect.name} decides ${section}.${decision} = ${JSON.stringify(value)}, which this port does not support; it supports ${known}`,
      );
    }
  }
  if (config.selection !== 'batch' && config.selection !== 'row') {
    throw new UsageError(
      `gpu: selection: this port supports batch and row, got ${JSON.stringify(config.selection)}`,
    );
  }
  if (config.inputScale !== 1) {
    throw new UsageError(
      `gpu: inputScale: this port expects inputs that are scaled already, 1, got ${config.inputScale}`,
    );
  }
  if (config.deadAfter >= mostSinceFired) {
    throw new UsageError(
      `gpu: deadAfter: expected less than ${mostSinceFired}, which counts stop at, got ${config.deadAfter}`,
    );
  }
}

/**
 * As {@link requireSupported}, for the engine of own kernels: it knows an auxiliary loss for each level and detached inner
 * levels, where errors are not part of what it fits. @throws {@link UsageError} likewise.
 */
export function requireSupportedByThreads(config: TrainConfig): void {
  const detached = config.dialect.auxk.residual === 'detached';
  requireSupported(
    config,
    detached
      ? { 'auxk.levels': ['last', 'each'], 'loss.innerLevels': ['attached', 'detached'] }
      : {},
  );
}

/** A penalty times a constant 0, as bm's is unless a run says otherwise. */
function isWithoutPenalty({ sparsityCoefficient, dialect }: TrainConfig): boolean {
  return sparsityCoefficient === 0 && dialect.penalty.coefficient === 'constant';
}

/** undefined for a decision that is not listed. */
function valuesOf(section: string, decision: string): readonly unknown[] | null | undefined {
  const listed: Readonly<Record<string, Readonly<Record<string, readonly unknown[] | null>>>> =
    supported;
  return listed[section]?.[decision];
}
