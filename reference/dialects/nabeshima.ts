/**
 * nabeshima: the second author's toy model of nested prefixes, without a top-k.
 * Read at commit 7b80f5f of github.com/noanabeshima/matryoshka-saes.
 * @module
 */
import type { Dialect } from '../dialect.ts';

/**
 * MatryoshkaSAE of sae.py. Its code means to re-order Adam's moments with the latents but never finds them, so moments
 * stay with positions, as does the average that orders latents: that changes numbers on ordinary input, and is kept.
 * A first batch of zeros divides by the average's start, 0, and leaves NaN for ever; here it is an error.
 */
export const nabeshima: Dialect = {
  name: 'nabeshima',
  source: 'github.com/noanabeshima/matryoshka-saes, sae.py, MatryoshkaSAE',
  readFrom: {
    input: 'sae.py RunningAvgNormalizer.normalize',
    encode: 'sae.py MatryoshkaSAE.step, get_acts',
    select: 'sae.py MatryoshkaSAE.step (none)',
    inference: 'sae.py MatryoshkaSAE.get_acts',
    threshold: 'sae.py MatryoshkaSAE.get_acts (none)',
    prefixes: 'sae.py sample_prefixes',
    loss: 'sae.py MatryoshkaSAE.step',
    penalty: 'sae.py MatryoshkaSAE.step, AdaptiveSparsityController.forward',
    auxk: 'sae.py MatryoshkaSAE.step (none)',
    deadLatents: 'sae.py MatryoshkaSAE.step (none)',
    jumpRelu: 'sae.py (none)',
    decoderNorm: 'sae.py MatryoshkaSAE.step (none)',
    clip: 'sae.py MatryoshkaSAE.step',
    adam: 'sae.py MatryoshkaSAE.__init__',
    learningRate: 'sae.py get_wsd_scheduler; rate in MatryoshkaSAE.__init__',
    latentOrder: 'sae.py MatryoshkaSAE.step',
    initialise: 'sae.py MatryoshkaSAE.__init__',
    defaults: 'sae.py MatryoshkaSAE.__init__; toy_model.py, train_saes_on_toy.ipynb',
  },
  input: {
    normaliser: 'running-mean-norm',
    epsilon: 0,
    decay: 0.99,
    estimate: 'none',
    folds: 'into-weights',
  },
  encode: { subtractsDecoderBias: false, usesEncoderBias: true, refinement: 0 },
  select: { score: 'acts' },
  inference: { gate: 'none', values: 'acts-times-decoder-norm' },
  threshold: { start: 0, first: 'average', decay: 0.99, whenEmpty: 'keep' },
  prefixes: { drawn: 'each-step', power: 0.5 },
  loss: {
    emptyPrefix: false,
    overDimensions: 'sum',
    overLevels: 'mean',
    defaultWeight: 'one',
    innerLevels: 'attached',
    tilt: 0,
  },
  penalty: {
    kind: 'l1',
    on: 'latents-times-decoder-norm',
    overPrefixes: true,
    coefficient: 'controlled',
    controllerStep: 3e-4,
  },
  auxk: {
    values: 'none',
    levels: 'last',
    residual: 'detached',
    normaliser: 'none',
    overDimensions: 'sum',
    k: 'half-d_in',
    scale: 'none',
    whenNothingDecodes: 'counts',
  },
  deadLatents: { unit: 'steps', test: 'at-least', mask: 'this-step' },
  jumpRelu: {
    bandwidth: 0.001,
    start: 0.001,
    inputGradient: 'gate',
    keepsThresholds: 'as-trained',
    counts: 'latents',
  },
  decoderNorm: {
    project: 'never',
    projectEpsilon: 0,
    normalise: 'never',
    normaliseEpsilon: 0,
  },
  clip: { maxNorm: 1 },
  adam: { beta1: 0.5, beta2: 0.9375, epsilon: 1e-8 },
  learningRate: { base: 3e-2, scalesWithWidth: false, warmup: 't-over-w', decay: 'cool-down' },
  latentOrder: { permute: 'by-mean-square', decay: 0.95 },
  initialise: {
    draw: 'W_enc-normal',
    decoderNorm: 0.1,
    normEpsilon: 0,
    encoder: 'as-drawn',
    b_dec: 'zero',
  },
  defaults: {
    selection: 'all',
    auxkAlpha: 0,
    deadAfter: 1000,
    thresholdStartStep: -1,
    warmupSteps: 100,
    decayFraction: 0.2,
    sparsityCoefficient: 1.2,
    sparsityWarmup: 0.2,
    targetL0: 1.2338,
  },
};
