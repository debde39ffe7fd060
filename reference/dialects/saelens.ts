/**
 * saelens: the library most SAEs are trained and shared with.
 * Read in version 6.54.12 of the package sae_lens, paths below its `sae_lens/`.
 * @module
 */
import type { Dialect } from '../dialect.ts';

/**
 * MatryoshkaBatchTopKTrainingSAE in SAETrainer, as by default: acts rescaled by decoder norm, one auxiliary loss.
 * A decoder row of norm 0 gives NaN in every row there; here it is an error.
 */
export const saelens: Dialect = {
  name: 'saelens',
  source: 'SAELens, saes/matryoshka_batchtopk_sae.py, MatryoshkaBatchTopKTrainingSAE',
  readFrom: {
    input:
      'training/activation_scaler.py estimate_scaling_factor; saes/sae.py, saes/batchtopk_sae.py fold_activation_norm_scaling_factor',
    encode: 'saes/topk_sae.py TopKTrainingSAE.encode_with_hidden_pre; saes/sae.py process_sae_in',
    select:
      'saes/topk_sae.py TopKTrainingSAE.encode_with_hidden_pre; saes/batchtopk_sae.py BatchTopK',
    inference: 'saes/jumprelu_sae.py JumpReLUSAE.encode; saes/topk_sae.py _fold_norm_topk',
    threshold: 'saes/batchtopk_sae.py update_topk_threshold',
    prefixes: 'saes/matryoshka_batchtopk_sae.py _validate_matryoshka_config',
    loss: 'saes/matryoshka_batchtopk_sae.py training_forward_pass; saes/sae.py training_forward_pass',
    penalty: 'saes/topk_sae.py TopKTrainingSAE.calculate_aux_loss',
    auxk: 'saes/topk_sae.py calculate_topk_aux_loss, calculate_topk_aux_acts; saes/matryoshka_batchtopk_sae.py calculate_matryoshka_aux_loss',
    deadLatents: 'training/sae_trainer.py _train_step, dead_neurons',
    jumpRelu: 'saes/jumprelu_sae.py JumpReLU, Step, JumpReLUTrainingSAE.training_forward_pass',
    decoderNorm: 'training/sae_trainer.py _train_step (none)',
    clip: 'training/sae_trainer.py _train_step',
    adam: 'training/sae_trainer.py __init__; config.py SAETrainerConfig',
    learningRate: 'training/optim.py get_lr_scheduler; config.py',
    latentOrder: 'training/sae_trainer.py _train_step (none)',
    initialise: 'saes/sae.py SAE.initialize_weights, TrainingSAE.initialize_weights',
    defaults: 'config.py; saes/topk_sae.py TopKTrainingSAEConfig; saes/batchtopk_sae.py',
  },
  input: {
    normaliser: 'none',
    epsilon: 0,
    decay: 0,
    estimate: 'mean-norm-to-sqrt-d_in',
    folds: 'into-weights',
  },
  encode: { subtractsDecoderBias: true, usesEncoderBias: true, refinement: 0 },
  select: { score: 'acts-times-decoder-norm' },
  inference: { gate: 'threshold', values: 'acts-times-decoder-norm' },
  threshold: { start: 0, first: 'average', decay: 0.99, whenEmpty: 'keep' },
  prefixes: { drawn: 'once', power: 0.5 },
  loss: {
    emptyPrefix: false,
    overDimensions: 'sum',
    overLevels: 'sum',
    defaultWeight: 'one',
    innerLevels: 'attached',
    tilt: 0,
  },
  penalty: {
    kind: 'none',
    on: 'latents',
    overPrefixes: false,
    coefficient: 'constant',
    controllerStep: 0,
  },
  auxk: {
    values: 'pre-activations',
    levels: 'last',
    residual: 'detached',
    normaliser: 'none',
    overDimensions: 'sum',
    k: 'half-d_in',
    scale: 'dead-fraction',
    whenNothingDecodes: 'counts',
  },
  deadLatents: { unit: 'steps', test: 'above', mask: 'previous-steps' },
  jumpRelu: {
    bandwidth: 0.05,
    start: 0.01,
    inputGradient: 'gate',
    keepsThresholds: 'at-least-zero',
    counts: 'pre-activations',
  },
  decoderNorm: {
    project: 'never',
    projectEpsilon: 0,
    normalise: 'never',
    normaliseEpsilon: 0,
  },
  clip: { maxNorm: 1 },
  adam: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
  learningRate: {
    base: 3e-4,
    scalesWithWidth: false,
    warmup: 't-plus-one-over-w',
    decay: 'linear-to-zero',
  },
  latentOrder: { permute: 'never', decay: 0 },
  initialise: {
    draw: 'W_dec-uniform',
    decoderNorm: 0.1,
    normEpsilon: 0,
    encoder: 'decoder-transposed',
    b_dec: 'zero',
  },
  defaults: {
    selection: 'batch',
    auxkAlpha: 1,
    deadAfter: 1000,
    thresholdStartStep: -1,
    warmupSteps: 0,
    decayFraction: 0,
    sparsityCoefficient: 0,
    sparsityWarmup: 0,
    targetL0: 100,
  },
};

/** JumpReLUTrainingSAE in its default mode, `step`: thresholds trained by a straight-through gradient, L0 penalised. */
export const saelensJumpRelu: Dialect = {
  ...saelens,
  name: 'saelens_jumprelu',
  source: 'SAELens, saes/jumprelu_sae.py, JumpReLUTrainingSAE',
  readFrom: {
    ...saelens.readFrom,
    encode: 'saes/jumprelu_sae.py JumpReLUTrainingSAE.encode_with_hidden_pre',
    select: 'saes/jumprelu_sae.py JumpReLUTrainingSAE.encode_with_hidden_pre',
    inference: 'saes/jumprelu_sae.py JumpReLUSAE.encode',
    loss: 'saes/sae.py TrainingSAE.training_forward_pass',
    penalty: 'saes/jumprelu_sae.py JumpReLUTrainingSAE.calculate_aux_loss, get_coefficients',
    auxk: 'saes/jumprelu_sae.py JumpReLUTrainingSAE.calculate_aux_loss',
    defaults: 'config.py; saes/jumprelu_sae.py JumpReLUTrainingSAEConfig',
  },
  select: { score: 'acts' },
  inference: { gate: 'latent-thresholds', values: 'acts' },
  penalty: { ...saelens.penalty, kind: 'l0', coefficient: 'warmed-up' },
  auxk: { ...saelens.auxk, values: 'none' },
  defaults: { ...saelens.defaults, selection: 'jump', sparsityCoefficient: 1 },
};

/** StandardTrainingSAE: ReLU, and an L1 penalty on latents times decoder norm. */
export const saelensRelu: Dialect = {
  ...saelens,
  name: 'saelens_relu',
  source: 'SAELens, saes/standard_sae.py, StandardTrainingSAE',
  readFrom: {
    ...saelens.readFrom,
    encode: 'saes/standard_sae.py StandardTrainingSAE.encode_with_hidden_pre',
    select: 'saes/standard_sae.py StandardTrainingSAE.encode_with_hidden_pre',
    inference: 'saes/standard_sae.py StandardSAE.encode',
    loss: 'saes/sae.py TrainingSAE.training_forward_pass',
    penalty: 'saes/standard_sae.py StandardTrainingSAE.calculate_aux_loss, get_coefficients',
    auxk: 'saes/standard_sae.py StandardTrainingSAE.calculate_aux_loss',
    defaults: 'config.py; saes/standard_sae.py StandardTrainingSAEConfig',
  },
  select: { score: 'acts' },
  inference: { gate: 'none', values: 'acts' },
  penalty: {
    ...saelens.penalty,
    kind: 'l1',
    on: 'latents-times-decoder-norm',
    coefficient: 'warmed-up',
  },
  auxk: { ...saelens.auxk, values: 'none' },
  defaults: { ...saelens.defaults, selection: 'all', sparsityCoefficient: 1 },
};
