/**
 * bussmann: the first author's earlier repository.
 * Read at commit c7c5787 of github.com/bartbussmann/matryoshka_sae.
 * @module
 */
import type { Dialect } from '../dialect.ts';

/**
 * GlobalBatchTopKMatryoshkaSAE in the loop main.py runs. b_enc exists there, is never used, and gets no gradient: here it
 * is neither used nor moved. The JumpReLU class trains log θ with the derivative for θ: a factor θ is missing in the
 * published gradient, which is a defect and is not imitated.
 */
export const bussmann: Dialect = {
  name: 'bussmann',
  source: 'github.com/bartbussmann/matryoshka_sae, sae.py, GlobalBatchTopKMatryoshkaSAE',
  readFrom: {
    input: 'sae.py BaseAutoencoder.preprocess_input, postprocess_output',
    encode: 'sae.py GlobalBatchTopKMatryoshkaSAE.compute_activations, forward',
    select: 'sae.py GlobalBatchTopKMatryoshkaSAE.compute_activations',
    inference: 'sae.py GlobalBatchTopKMatryoshkaSAE.compute_activations, eval mode',
    threshold: 'sae.py GlobalBatchTopKMatryoshkaSAE.update_threshold',
    prefixes: 'sae.py GlobalBatchTopKMatryoshkaSAE.__init__',
    loss: 'sae.py GlobalBatchTopKMatryoshkaSAE.get_loss_dict',
    penalty: 'sae.py GlobalBatchTopKMatryoshkaSAE.get_loss_dict',
    auxk: 'sae.py GlobalBatchTopKMatryoshkaSAE.get_auxiliary_loss',
    deadLatents: 'sae.py BaseAutoencoder.update_inactive_features, get_auxiliary_loss',
    jumpRelu: 'sae.py JumpReLUFunction, StepFunction; config.py get_default_cfg',
    decoderNorm: 'sae.py BaseAutoencoder.make_decoder_weights_and_grad_unit_norm',
    clip: 'training.py train_sae_group_seperate_wandb; config.py get_default_cfg',
    adam: 'training.py train_sae_group_seperate_wandb; config.py get_default_cfg',
    learningRate: 'config.py get_default_cfg',
    latentOrder: 'training.py train_sae_group_seperate_wandb',
    initialise: 'sae.py GlobalBatchTopKMatryoshkaSAE.__init__',
    defaults: 'config.py get_default_cfg',
  },
  input: {
    normaliser: 'each-row',
    epsilon: 1e-5,
    decay: 0,
    estimate: 'none',
    folds: 'into-biases',
  },
  encode: { subtractsDecoderBias: true, usesEncoderBias: false, refinement: 0 },
  select: { score: 'acts' },
  inference: { gate: 'threshold', values: 'acts' },
  threshold: { start: 0, first: 'average', decay: 0.99, whenEmpty: 'keep' },
  prefixes: { drawn: 'once', power: 0.5 },
  loss: {
    emptyPrefix: true,
    overDimensions: 'mean',
    overLevels: 'mean',
    defaultWeight: 'one',
    innerLevels: 'attached',
    tilt: 0,
  },
  penalty: {
    kind: 'l1',
    on: 'latents',
    overPrefixes: false,
    coefficient: 'constant',
    controllerStep: 0,
  },
  auxk: {
    values: 'acts',
    levels: 'last',
    residual: 'attached',
    normaliser: 'none',
    overDimensions: 'mean',
    k: 512,
    scale: 'none',
    whenNothingDecodes: 'is-zero',
  },
  deadLatents: { unit: 'steps', test: 'at-least', mask: 'this-step' },
  jumpRelu: {
    bandwidth: 0.001,
    start: 1,
    inputGradient: 'gate',
    keepsThresholds: 'as-trained',
    counts: 'latents',
  },
  decoderNorm: {
    project: 'after-clip',
    projectEpsilon: 0,
    normalise: 'before-update',
    normaliseEpsilon: 0,
  },
  clip: { maxNorm: 100_000 },
  adam: { beta1: 0.9, beta2: 0.99, epsilon: 1e-8 },
  learningRate: {
    base: 3e-4,
    scalesWithWidth: false,
    warmup: 't-over-w',
    decay: 'linear-to-zero',
  },
  latentOrder: { permute: 'never', decay: 0 },
  initialise: {
    draw: 'W_enc-uniform',
    decoderNorm: 1,
    normEpsilon: 0,
    encoder: 'as-drawn',
    b_dec: 'zero',
  },
  defaults: {
    selection: 'batch',
    auxkAlpha: 1 / 32,
    deadAfter: 20,
    thresholdStartStep: -1,
    warmupSteps: 0,
    decayFraction: 0,
    sparsityCoefficient: 0,
    sparsityWarmup: 0,
    targetL0: 32,
  },
};
