/**
 * Dialects: the published trainers as records of choices.
 *
 * Implementations of the same paper differ in decisions that change numbers. Each decision is one field here, with one
 * meaning; the operators read the field and nothing else, so a trainer is data and not a branch spread over files.
 * Abbreviations of sources: dl = saprmarks/dictionary_learning, bm = bartbussmann/matryoshka_sae, sl = SAELens.
 * @module
 */

/** One published trainer's decisions. Sizes, k and learning rate belong to a run: see `TrainConfig` in train-step.ts. */
export interface Dialect {
  readonly name: string;
  /** Repository, file and class the decisions were read from. */
  readonly source: string;
  readonly encode: {
    /** pre = (x - b_dec) W_enc + b_enc if true, x W_enc + b_enc if false. */
    readonly subtractsDecoderBias: boolean;
    /** Whether b_enc is added and trained. bm declares b_enc and never uses it. */
    readonly usesEncoderBias: boolean;
  };
  readonly select: {
    /** What is ranked. sl trains with acts times decoder norm, so that a free norm does not decide who is selected. */
    readonly score: 'acts' | 'acts-times-decoder-norm';
  };
  readonly threshold: {
    /** Value before the first update; -1 (dl) makes inference a plain ReLU. */
    readonly start: number;
    /** First update: take the batch's value as it is, or average it with `start`. */
    readonly first: 'assign' | 'average';
    /** Weight of the old value in the moving average. */
    readonly decay: number;
    /** A batch without a positive latent: shrink the threshold as if its value were 0, or keep it. */
    readonly whenEmpty: 'decay' | 'keep';
  };
  readonly loss: {
    /** Whether b_dec alone (the prefix of no latents) is a level of its own. */
    readonly emptyPrefix: boolean;
    /** Squared error of a row: summed or averaged over d_in. */
    readonly overDimensions: 'sum' | 'mean';
    /** Weighted levels: summed or averaged. dl averages after weighting, so equal weights 1/G give 1/G². */
    readonly overLevels: 'sum' | 'mean';
    /** Weight of each level unless the run gives weights: 1/G or 1. */
    readonly defaultWeight: 'one-over-levels' | 'one';
  };
  readonly auxk: {
    /** What dead latents are ranked by and decode: acts (after ReLU), or pre-activations, where negative ones count. */
    readonly values: 'acts' | 'pre-activations';
    /** Whether the residual is a constant for the gradient. If not, live latents get a gradient from auxk too. */
    readonly residual: 'detached' | 'attached';
    /** What the squared error is divided by: the residual's variance about its batch mean, or nothing. */
    readonly normaliser: 'residual-variance' | 'none';
    readonly overDimensions: 'sum' | 'mean';
    /** Dead latents used per row, at most: floor(d_in / 2), or a number. */
    readonly k: 'half-d_in' | number;
    /** Extra factor min(dead / floor(d_in / 2), 1), or none. */
    readonly scale: 'dead-fraction' | 'none';
  };
  readonly deadLatents: {
    /** What is counted since a latent fired. */
    readonly unit: 'tokens' | 'steps';
    /** Dead when the count is at least the limit, or above it. */
    readonly test: 'at-least' | 'above';
    /** Whether auxk reads the counts updated by this step's latents, or those before. */
    readonly mask: 'this-step' | 'previous-steps';
  };
  readonly decoderNorm: {
    /** When the W_dec gradient loses its part parallel to each row. */
    readonly project: 'before-clip' | 'after-clip' | 'never';
    /** Added to the row norm when projecting. */
    readonly projectEpsilon: number;
    /** When rows of W_dec are rescaled to unit norm. */
    readonly normalise: 'after-update' | 'before-update' | 'never';
    /** Added to the row norm when rescaling. */
    readonly normaliseEpsilon: number;
  };
  readonly clip: { readonly maxNorm: number };
  readonly adam: { readonly beta1: number; readonly beta2: number; readonly epsilon: number };
  readonly learningRate: {
    /** Unless the run gives one: a number, or `base / sqrt(d_sae / 16384)`. */
    readonly base: number;
    readonly scalesWithWidth: boolean;
    /** Multiplier of update t while warming up over w steps: t / w (so update 0 has rate 0), or (t + 1) / w. */
    readonly warmup: 't-over-w' | 't-plus-one-over-w';
  };
  readonly initialise: {
    /** Norm of each W_dec row; W_enc starts as its transpose. */
    readonly decoderNorm: number;
    /** b_dec before the first step: the first batch's geometric median, or zero. */
    readonly b_dec: 'geometric-median' | 'zero';
  };
  /** Run settings taken where the run does not give its own. */
  readonly defaults: {
    readonly auxkAlpha: number;
    /** In the unit of `deadLatents.unit`. */
    readonly deadAfter: number;
    readonly thresholdStartStep: number;
    readonly warmupSteps: number;
  };
}

/**
 * The paper's own training code and this project's canonical dialect: dictionary_learning,
 * `trainers/matryoshka_batch_top_k.py` (MatryoshkaBatchTopKTrainer, MatryoshkaBatchTopKSAE) and `trainers/trainer.py`.
 */
export const dictionaryLearning: Dialect = {
  name: 'dictionary_learning',
  source:
    'github.com/saprmarks/dictionary_learning, trainers/matryoshka_batch_top_k.py, MatryoshkaBatchTopKTrainer',
  encode: { subtractsDecoderBias: true, usesEncoderBias: true },
  select: { score: 'acts' },
  threshold: { start: -1, first: 'assign', decay: 0.999, whenEmpty: 'decay' },
  loss: {
    emptyPrefix: false,
    overDimensions: 'sum',
    overLevels: 'mean',
    defaultWeight: 'one-over-levels',
  },
  auxk: {
    values: 'acts',
    residual: 'detached',
    normaliser: 'residual-variance',
    overDimensions: 'sum',
    k: 'half-d_in',
    scale: 'none',
  },
  deadLatents: { unit: 'tokens', test: 'at-least', mask: 'this-step' },
  decoderNorm: {
    project: 'before-clip',
    projectEpsilon: 1e-6,
    normalise: 'after-update',
    // torch.finfo(float32).eps: the published code runs in float32, and the constant stays in float64.
    normaliseEpsilon: 2 ** -23,
  },
  clip: { maxNorm: 1 },
  adam: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
  learningRate: { base: 2e-4, scalesWithWidth: true, warmup: 't-over-w' },
  initialise: { decoderNorm: 1, b_dec: 'geometric-median' },
  defaults: {
    auxkAlpha: 1 / 32,
    deadAfter: 10_000_000,
    thresholdStartStep: 1000,
    warmupSteps: 1000,
  },
};

/** Every dialect by name. */
export const dialects: Readonly<Record<string, Dialect>> = {
  [dictionaryLearning.name]: dictionaryLearning,
};

/** @throws {@link RangeError} listing the known names. */
export function dialectNamed(name: string): Dialect {
  const found = Object.hasOwn(dialects, name) ? dialects[name] : undefined;
  if (found === undefined) {
    throw new RangeError(
      `dialect: expected one of ${Object.keys(dialects).join(', ')}, got ${JSON.stringify(name)}`,
    );
  }
  return found;
}
