/**
 * dictionary_learning: the paper's own training code, and this project's canonical dialect.
 * Read at commit 60ec6bf of github.com/saprmarks/dictionary_learning, paths below its `dictionary_learning/`.
 * @module
 */
import type { Dialect } from '../dialect.ts';

/** MatryoshkaBatchTopKTrainer with MatryoshkaBatchTopKSAE. */
export const dictionaryLearning: Dialect = {
  name: 'dictionary_learning',
  source:
    'github.com/saprmarks/dictionary_learning, trainers/matryoshka_batch_top_k.py, MatryoshkaBatchTopKTrainer',
  readFrom: {
    input: 'training.py get_norm_factor; trainers/matryoshka_batch_top_k.py scale_biases',
    encode: 'trainers/matryoshka_batch_top_k.py MatryoshkaBatchTopKSAE.encode',
    select: 'trainers/matryoshka_batch_top_k.py MatryoshkaBatchTopKSAE.encode',
    inference: 'trainers/matryoshka_batch_top_k.py MatryoshkaBatchTopKSAE.encode',
    threshold:
      'trainers/matryoshka_batch_top_k.py update_threshold; start in MatryoshkaBatchTopKSAE.__init__',
    prefixes: 'trainers/matryoshka_batch_top_k.py MatryoshkaBatchTopKTrainer.__init__',
    loss: 'trainers/matryoshka_batch_top_k.py MatryoshkaBatchTopKTrainer.loss',
    penalty: 'trainers/matryoshka_batch_top_k.py MatryoshkaBatchTopKTrainer.loss',
    auxk: 'trainers/matryoshka_batch_top_k.py get_auxiliary_loss',
    deadLatents: 'trainers/matryoshka_batch_top_k.py MatryoshkaBatchTopKTrainer.loss',
    jumpRelu:
      'trainers/jumprelu.py JumpReLUFunction, StepFunction; dictionary.py JumpReluAutoEncoder',
    decoderNorm:
      'trainers/trainer.py remove_gradient_parallel_to_decoder_directions, set_decoder_norm_to_unit_norm',
    clip: 'trainers/matryoshka_batch_top_k.py MatryoshkaBatchTopKTrainer.update',
    adam: 'trainers/matryoshka_batch_top_k.py MatryoshkaBatchTopKTrainer.__init__',
    learningRate:
      'trainers/trainer.py get_lr_schedule; default in MatryoshkaBatchTopKTrainer.__init__',
    latentOrder: 'trainers/matryoshka_batch_top_k.py MatryoshkaBatchTopKTrainer.update',
    initialise:
      'trainers/matryoshka_batch_top_k.py MatryoshkaBatchTopKSAE.__init__, geometric_median',
    defaults: 'trainers/matryoshka_batch_top_k.py MatryoshkaBatchTopKTrainer.__init__',
  },
  input: {
    normaliser: 'none',
    epsilon: 0,
    decay: 0,
    estimate: 'root-mean-square-norm',
    folds: 'into-biases',
  },
  encode: { subtractsDecoderBias: true, usesEncoderBias: true, refinement: 0 },
  select: { score: 'acts' },
  inference: { gate: 'threshold', values: 'acts' },
  threshold: { start: -1, first: 'assign', decay: 0.999, whenEmpty: 'decay' },
  prefixes: { drawn: 'once', power: 0.5 },
  loss: {
    emptyPrefix: false,
    overDimensions: 'sum',
    overLevels: 'mean',
    defaultWeight: 'one-over-levels',
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
    values: 'acts',
    levels: 'last',
    residual: 'detached',
    normaliser: 'residual-variance',
    overDimensions: 'sum',
    k: 'half-d_in',
    scale: 'none',
    whenNothingDecodes: 'counts',
  },
  deadLatents: { unit: 'tokens', test: 'at-least', mask: 'this-step' },
  jumpRelu: {
    bandwidth: 0.001,
    start: 0.001,
    inputGradient: 'gate',
    keepsThresholds: 'as-trained',
    counts: 'latents',
  },
  decoderNorm: {
    project: 'before-clip',
    projectEpsilon: 1e-6,
    normalise: 'after-update',
    // torch.finfo(float32).eps: the published code runs in float32, and the constant stays in float64.
    normaliseEpsilon: 2 ** -23,
  },
  clip: { maxNorm: 1 },
  adam: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
  learningRate: {
    base: 2e-4,
    scalesWithWidth: true,
    warmup: 't-over-w',
    decay: 'linear-to-zero',
  },
  latentOrder: { permute: 'never', decay: 0 },
  initialise: {
    draw: 'W_dec-uniform',
    decoderNorm: 1,
    normEpsilon: 2 ** -23,
    encoder: 'decoder-transposed',
    b_dec: 'geometric-median',
  },
  defaults: {
    selection: 'batch',
    auxkAlpha: 1 / 32,
    deadAfter: 10_000_000,
    thresholdStartStep: 1000,
    warmupSteps: 1000,
    decayFraction: 0,
    sparsityCoefficient: 0,
    sparsityWarmup: 0,
    targetL0: 20,
  },
};

/** JumpReluTrainer with JumpReluAutoEncoder: thresholds trained by a straight-through gradient towards a target L0. */
export const dictionaryLearningJumpRelu: Dialect = {
  ...dictionaryLearning,
  name: 'dictionary_learning_jumprelu',
  source: 'github.com/saprmarks/dictionary_learning, trainers/jumprelu.py, JumpReluTrainer',
  readFrom: {
    ...dictionaryLearning.readFrom,
    encode: 'dictionary.py JumpReluAutoEncoder.encode',
    inference: 'dictionary.py JumpReluAutoEncoder.encode',
    penalty:
      'trainers/jumprelu.py JumpReluTrainer.loss; trainers/trainer.py get_sparsity_warmup_fn',
    auxk: 'trainers/jumprelu.py JumpReluTrainer.loss',
    deadLatents: 'trainers/jumprelu.py JumpReluTrainer.loss',
    clip: 'trainers/jumprelu.py JumpReluTrainer.update',
    adam: 'trainers/jumprelu.py JumpReluTrainer.__init__',
    initialise: 'dictionary.py JumpReluAutoEncoder.__init__',
    defaults: 'trainers/jumprelu.py JumpReluTrainer.__init__',
  },
  encode: { subtractsDecoderBias: false, usesEncoderBias: true, refinement: 0 },
  inference: { gate: 'latent-thresholds', values: 'acts' },
  loss: { ...dictionaryLearning.loss, overLevels: 'sum', defaultWeight: 'one' },
  penalty: {
    ...dictionaryLearning.penalty,
    kind: 'l0-to-target',
    coefficient: 'warmed-up',
  },
  auxk: { ...dictionaryLearning.auxk, values: 'none' },
  deadLatents: { ...dictionaryLearning.deadLatents, test: 'above' },
  adam: { beta1: 0, beta2: 0.999, epsilon: 1e-8 },
  learningRate: { ...dictionaryLearning.learningRate, base: 7e-5, scalesWithWidth: false },
  initialise: { ...dictionaryLearning.initialise, normEpsilon: 0, b_dec: 'zero' },
  defaults: {
    ...dictionaryLearning.defaults,
    selection: 'jump',
    sparsityCoefficient: 1,
    sparsityWarmup: 2000,
  },
};

/**
 * StandardTrainerAprilUpdate with AutoEncoder: ReLU, and an L1 penalty on latents times decoder norm. Its b_enc keeps
 * torch's random initialisation, which is not imitated: b_enc starts at 0.
 */
export const dictionaryLearningRelu: Dialect = {
  ...dictionaryLearning,
  name: 'dictionary_learning_relu',
  source:
    'github.com/saprmarks/dictionary_learning, trainers/standard.py, StandardTrainerAprilUpdate',
  readFrom: {
    ...dictionaryLearning.readFrom,
    encode: 'dictionary.py AutoEncoder.encode',
    inference: 'dictionary.py AutoEncoder.encode',
    penalty:
      'trainers/standard.py StandardTrainerAprilUpdate.loss; trainers/trainer.py get_sparsity_warmup_fn',
    auxk: 'trainers/standard.py StandardTrainerAprilUpdate.loss',
    decoderNorm: 'trainers/standard.py StandardTrainerAprilUpdate.update',
    clip: 'trainers/standard.py StandardTrainerAprilUpdate.update',
    adam: 'trainers/standard.py StandardTrainerAprilUpdate.__init__',
    initialise: 'dictionary.py AutoEncoder.__init__',
    defaults: 'trainers/standard.py StandardTrainerAprilUpdate.__init__',
  },
  inference: { gate: 'none', values: 'acts' },
  loss: { ...dictionaryLearning.loss, overLevels: 'sum', defaultWeight: 'one' },
  penalty: {
    ...dictionaryLearning.penalty,
    kind: 'l1',
    on: 'latents-times-decoder-norm',
    coefficient: 'warmed-up',
  },
  auxk: { ...dictionaryLearning.auxk, values: 'none' },
  decoderNorm: {
    project: 'never',
    projectEpsilon: 0,
    normalise: 'never',
    normaliseEpsilon: 0,
  },
  learningRate: { ...dictionaryLearning.learningRate, base: 1e-3, scalesWithWidth: false },
  initialise: {
    draw: 'W_enc-normal',
    decoderNorm: 0.1,
    normEpsilon: 0,
    encoder: 'decoder-transposed',
    b_dec: 'zero',
  },
  defaults: {
    ...dictionaryLearning.defaults,
    selection: 'all',
    sparsityCoefficient: 0.1,
    sparsityWarmup: 2000,
  },
};
