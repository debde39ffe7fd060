/**
 * Every decision in which published trainers of Matryoshka and BatchTopK SAEs differ, with the values it may take and its
 * one meaning. A dialect is a value for each; operators read the field and nothing else.
 *
 * Abbreviations of sources: dl = saprmarks/dictionary_learning, bm = bartbussmann/matryoshka_sae, sl = SAELens,
 * nb = noanabeshima/matryoshka-saes. Where each dialect's value was read is in reference/dialects/.
 * @module
 */
import type { Dialect } from './dialect.ts';

/** What may be decided, and what it means. V: the type of its values. */
export interface Decision<V = unknown> {
  /** The words or switches it may be. */
  readonly values: readonly V[];
  /** The numbers it may be, if any. */
  readonly number?: NumberRange;
  /** Where it shows, given equal state: at Inference, in the Loss, in Gradients, or in Training only. */
  readonly seen: string;
  readonly meaning: string;
  /** It changes nothing unless another decision is one of these; of several conditions one is enough. */
  readonly onlyIf?: readonly Condition[];
}

export type NumberRange = 'any' | '>= 0' | '> 0' | '0 to 1' | 'whole >= 0' | 'whole >= -1';

/** A decision's path, and values of it. */
export interface Condition {
  readonly decision: string;
  readonly is: readonly (string | boolean)[];
}

/** A section of decisions, such as `loss`. */
export type Section = Exclude<keyof Dialect, 'name' | 'source' | 'readFrom'>;

type Catalogue = {
  readonly [S in Section]: { readonly [D in keyof Dialect[S]]: Decision<Dialect[S][D]> };
};

const hasAuxk: readonly Condition[] = [
  { decision: 'auxk.values', is: ['acts', 'pre-activations'] },
];
const hasPenalty: readonly Condition[] = [
  {
    decision: 'penalty.kind',
    is: ['l1', 'log', 'l0', 'l0-to-target'],
  },
];
const hasThreshold: readonly Condition[] = [
  { decision: 'defaults.selection', is: ['batch', 'row'] },
];
const isJumpRelu: readonly Condition[] = [{ decision: 'defaults.selection', is: ['jump'] }];

export const decisions: Catalogue = {
  input: {
    normaliser: {
      values: ['none', 'each-row', 'running-mean-norm'],
      seen: 'IT',
      meaning:
        'What every step does to x: nothing; each row minus its mean, over its deviation; or x · √d_in over a running mean of row norms.',
    },
    epsilon: {
      values: [],
      number: '>= 0',
      seen: 'IT',
      meaning: 'Added to each row’s deviation before dividing by it.',
      onlyIf: [{ decision: 'input.normaliser', is: ['each-row'] }],
    },
    decay: {
      values: [],
      number: '0 to 1',
      seen: 'IT',
      meaning: 'Weight of the old value in the running mean of row norms, which starts at 0.',
      onlyIf: [{ decision: 'input.normaliser', is: ['running-mean-norm'] }],
    },
    estimate: {
      values: ['root-mean-square-norm', 'mean-norm-to-sqrt-d_in', 'none'],
      seen: 'IT',
      meaning:
        'A scale estimated once, before training: x over the root of the mean squared row norm, x times √d_in over the mean row norm, or none offered.',
    },
    folds: {
      values: ['into-biases', 'into-weights'],
      seen: 'I',
      meaning:
        'Where that scale goes after training: into both biases and the threshold, or into W_enc, W_dec, b_dec and a threshold in units of rescaled acts.',
      onlyIf: [
        {
          decision: 'input.estimate',
          is: ['root-mean-square-norm', 'mean-norm-to-sqrt-d_in'],
        },
      ],
    },
  },
  encode: {
    subtractsDecoderBias: {
      values: [true, false],
      seen: 'ILG',
      meaning: 'Whether pre = (x - b_dec) W_enc + b_enc, or x W_enc + b_enc.',
    },
    usesEncoderBias: {
      values: [true, false],
      seen: 'ILG',
      meaning: 'Whether b_enc is added and trained.',
    },
    refinement: {
      values: [],
      number: '>= 0',
      seen: 'ILG',
      meaning:
        'η of a second encoding: after a first selection z, η times what z leaves of the encoder’s input is encoded too, without b_enc, and added, and latents are selected anew; 0 for none.',
      onlyIf: [{ decision: 'defaults.selection', is: ['batch', 'row', 'all'] }],
    },
  },
  select: {
    score: {
      values: ['acts', 'acts-times-decoder-norm'],
      seen: 'ILG',
      meaning:
        'What is ranked: acts, or acts times their decoder row’s norm, so that a free norm does not decide who is selected.',
      onlyIf: [...hasThreshold, ...hasAuxk],
    },
  },
  inference: {
    gate: {
      values: ['threshold', 'latent-thresholds', 'none'],
      seen: 'I',
      meaning:
        'Which acts are latents at inference: those strictly above the threshold, above their own, or all.',
    },
    values: {
      values: ['acts', 'acts-times-decoder-norm'],
      seen: 'I',
      meaning:
        'What a latent is at inference: the act, or the act times its decoder row’s norm (with unit decoder rows).',
    },
  },
  threshold: {
    start: {
      values: [],
      number: 'any',
      seen: 'I',
      meaning: 'Value before the first update; a negative one makes inference a plain ReLU.',
      onlyIf: hasThreshold,
    },
    first: {
      values: ['assign', 'average'],
      seen: 'I',
      meaning:
        'First update of a threshold below 0, which was never set: the batch’s smallest positive latent as it is, or averaged with the start.',
      onlyIf: hasThreshold,
    },
    decay: {
      values: [],
      number: '0 to 1',
      seen: 'I',
      meaning: 'Weight of the old value in the moving average.',
      onlyIf: hasThreshold,
    },
    whenEmpty: {
      values: ['decay', 'keep'],
      seen: 'I',
      meaning:
        'A batch without a positive latent: shrink the threshold as if its smallest were 0, or keep it.',
      onlyIf: hasThreshold,
    },
  },
  prefixes: {
    drawn: {
      values: ['once', 'each-step'],
      seen: 'LG',
      meaning: 'Prefixes are settings of the run, or drawn anew for every batch.',
    },
    power: {
      values: [],
      number: '> 0',
      seen: 'LG',
      meaning:
        'p of the law drawn from: P(length <= v) = ((v - least + 1) / (d_sae - least))^p for v < d_sae.',
      onlyIf: [{ decision: 'prefixes.drawn', is: ['each-step'] }],
    },
  },
  loss: {
    emptyPrefix: {
      values: [true, false],
      seen: 'LG',
      meaning: 'Whether b_dec alone (the prefix of no latents) is a level of its own.',
    },
    overDimensions: {
      values: ['sum', 'mean'],
      seen: 'LG',
      meaning: 'Squared error of a row: summed or averaged over d_in.',
    },
    overLevels: {
      values: ['sum', 'mean'],
      seen: 'LG',
      meaning:
        'Weighted levels: summed or averaged. Averaging after weights of 1/G leaves 1/G² each.',
    },
    defaultWeight: {
      values: ['one-over-levels', 'one'],
      seen: 'LG',
      meaning: 'Weight of each level unless the run gives weights.',
    },
    innerLevels: {
      values: ['attached', 'detached'],
      seen: 'G',
      meaning:
        'Whether later levels train the latents of earlier ones, or take what those reconstruct as a constant. b_dec hears of every level.',
    },
    tilt: {
      values: [],
      number: '>= 0',
      seen: 'LG',
      meaning:
        'Squared errors e of rows are averaged with weights softmax(tilt · e / mean e), constants to the gradient; 0 weighs rows alike.',
    },
  },
  penalty: {
    kind: {
      values: ['none', 'l1', 'log', 'l0', 'l0-to-target'],
      seen: 'LG',
      meaning:
        'Sparsity penalty, a mean over rows: Σ v; Σ ln(v + 0.1) - ln 0.1; the number of latents above their thresholds; or (that number / target - 1)².',
    },
    on: {
      values: ['latents', 'latents-times-decoder-norm'],
      seen: 'LG',
      meaning:
        'v: latents, or latents times their decoder row’s norm, through which W_dec is trained too.',
      onlyIf: [{ decision: 'penalty.kind', is: ['l1', 'log'] }],
    },
    overPrefixes: {
      values: [true, false],
      seen: 'LG',
      meaning:
        'Whether it is averaged over prefixes, so that early latents, which belong to more of them, pay more often.',
      onlyIf: [{ decision: 'penalty.kind', is: ['l1', 'log'] }],
    },
    coefficient: {
      values: ['constant', 'warmed-up', 'controlled'],
      seen: 'LG',
      meaning:
        'Its factor: the run’s, times min(step / warm-up, 1), or steered towards a target L0.',
      onlyIf: hasPenalty,
    },
    controllerStep: {
      values: [],
      number: '0 to 1',
      seen: 'LG',
      meaning:
        'After its warm-up the controller shrinks the factor by this share when L0 is below the target, else grows it.',
      onlyIf: [{ decision: 'penalty.coefficient', is: ['controlled'] }],
    },
  },
  auxk: {
    values: {
      values: ['acts', 'pre-activations', 'none'],
      seen: 'LG',
      meaning:
        'What dead latents are ranked by and decode: acts (after ReLU), or scores before ReLU, where negative ones count too; none for no auxiliary loss.',
    },
    levels: {
      values: ['last', 'each'],
      seen: 'LG',
      meaning:
        'Dead latents are fitted to what the full prefix leaves over, or each group’s to what its own prefix does.',
      onlyIf: hasAuxk,
    },
    residual: {
      values: ['detached', 'attached'],
      seen: 'G',
      meaning:
        'Whether the residual is a constant for the gradient. If not, live latents get a gradient from auxk too.',
      onlyIf: hasAuxk,
    },
    normaliser: {
      values: ['residual-variance', 'none'],
      seen: 'LG',
      meaning:
        'What the squared error is divided by: the residual’s variance about its batch mean, or nothing.',
      onlyIf: hasAuxk,
    },
    overDimensions: {
      values: ['sum', 'mean'],
      seen: 'LG',
      meaning: 'Squared error of a row: summed or averaged over d_in.',
      onlyIf: hasAuxk,
    },
    k: {
      values: ['half-d_in'],
      number: 'whole >= 0',
      seen: 'LG',
      meaning: 'Dead latents used per row, at most: floor(d_in / 2), or a number.',
      onlyIf: hasAuxk,
    },
    scale: {
      values: ['dead-fraction', 'none'],
      seen: 'LG',
      meaning: 'Extra factor min(dead latents / floor(d_in / 2), 1), or none.',
      onlyIf: hasAuxk,
    },
    whenNothingDecodes: {
      values: ['counts', 'is-zero'],
      seen: 'LG',
      meaning:
        'Dead latents whose chosen values are all 0: the loss is the residual’s own, or exactly 0 without a gradient.',
      onlyIf: hasAuxk,
    },
  },
  deadLatents: {
    unit: {
      values: ['tokens', 'steps'],
      seen: 'LG',
      meaning: 'What is counted since a latent fired.',
      onlyIf: hasAuxk,
    },
    test: {
      values: ['at-least', 'above'],
      seen: 'LG',
      meaning: 'Dead when the count is at least the limit, or above it.',
      onlyIf: hasAuxk,
    },
    mask: {
      values: ['this-step', 'previous-steps'],
      seen: 'LG',
      meaning: 'Whether auxk reads the counts updated by this step’s latents, or those before.',
      onlyIf: hasAuxk,
    },
  },
  jumpRelu: {
    bandwidth: {
      values: [],
      number: '> 0',
      seen: 'G',
      meaning: 'Width h of the window |pre - θ| < h/2 in which a threshold receives gradient.',
      onlyIf: isJumpRelu,
    },
    start: {
      values: [],
      number: 'any',
      seen: 'T',
      meaning: 'Every latent’s threshold before the first step.',
      onlyIf: isJumpRelu,
    },
    inputGradient: {
      values: ['gate', 'gate-and-window'],
      seen: 'G',
      meaning:
        'Pre-activations receive gradient where they are above θ, or also the negated gradient of θ inside the window.',
      onlyIf: isJumpRelu,
    },
    keepsThresholds: {
      values: ['as-trained', 'at-least-zero'],
      seen: 'ILG',
      meaning: 'Whether thresholds below 0 are set to 0 before each step.',
      onlyIf: isJumpRelu,
    },
    counts: {
      values: ['pre-activations', 'latents'],
      seen: 'LG',
      meaning:
        'What the L0 penalty compares with θ: pre-activations, or latents, of which those above θ lie in the window, and zeros where |θ| < h/2.',
      onlyIf: isJumpRelu,
    },
  },
  decoderNorm: {
    project: {
      values: ['before-clip', 'after-clip', 'never'],
      seen: 'T',
      meaning: 'When the gradient of W_dec loses its part parallel to each row.',
    },
    projectEpsilon: {
      values: [],
      number: '>= 0',
      seen: 'T',
      meaning: 'Added to the row norm when projecting.',
      onlyIf: [{ decision: 'decoderNorm.project', is: ['before-clip', 'after-clip'] }],
    },
    normalise: {
      values: ['after-update', 'before-update', 'never'],
      seen: 'IT',
      meaning: 'When rows of W_dec are rescaled to unit norm.',
    },
    normaliseEpsilon: {
      values: [],
      number: '>= 0',
      seen: 'IT',
      meaning: 'Added to the row norm when rescaling.',
      onlyIf: [{ decision: 'decoderNorm.normalise', is: ['after-update', 'before-update'] }],
    },
  },
  clip: {
    maxNorm: {
      values: [],
      number: '> 0',
      seen: 'T',
      meaning: 'Largest 2-norm of all gradients together.',
    },
  },
  adam: {
    beta1: { values: [], number: '0 to 1', seen: 'T', meaning: 'Decay of the first moment.' },
    beta2: { values: [], number: '0 to 1', seen: 'T', meaning: 'Decay of the second moment.' },
    epsilon: {
      values: [],
      number: '> 0',
      seen: 'T',
      meaning: 'Added to the root of the second moment.',
    },
  },
  learningRate: {
    base: {
      values: [],
      number: '> 0',
      seen: 'T',
      meaning: 'Learning rate unless the run gives one.',
    },
    scalesWithWidth: {
      values: [true, false],
      seen: 'T',
      meaning: 'Whether that default is divided by √(d_sae / 16384).',
    },
    warmup: {
      values: ['t-over-w', 't-plus-one-over-w'],
      seen: 'T',
      meaning:
        'Multiplier of update t while warming up over w steps: t / w, so that update 0 has rate 0, or (t + 1) / w.',
    },
    decay: {
      values: ['linear-to-zero', 'cool-down'],
      seen: 'T',
      meaning:
        'From decayStart s on, of T steps: (T - t) / (T - s), or 1 - 0.9 min(t - s, s) / (T - s + 0.01).',
    },
  },
  latentOrder: {
    permute: {
      values: ['never', 'by-mean-square', 'by-frequency'],
      seen: 'LGT',
      meaning:
        'Whether latents are sorted by a moving average, largest first: after every step by their mean square times squared decoder norm, where Adam’s moments and the average itself stay where they were; or after every selection, before prefixes are sliced, by how often they are not 0, where all that belongs to a latent goes with it.',
    },
    decay: {
      values: [],
      number: '0 to 1',
      seen: 'LGT',
      meaning:
        'Weight of the old value in that average, which starts at 0, or, of frequencies, as the first batch’s.',
      onlyIf: [{ decision: 'latentOrder.permute', is: ['by-mean-square', 'by-frequency'] }],
    },
  },
  initialise: {
    draw: {
      values: ['W_dec-uniform', 'W_enc-uniform', 'W_enc-normal'],
      seen: 'T',
      meaning:
        'What is drawn: W_dec from ±√(6 / d_in), W_enc from ±√(6 / d_sae), or W_enc from a normal of variance 1 / d_in.',
    },
    decoderNorm: {
      values: [],
      number: '> 0',
      seen: 'T',
      meaning: 'Norm of each row of W_dec.',
    },
    normEpsilon: {
      values: [],
      number: '>= 0',
      seen: 'T',
      meaning: 'Added to the drawn norm that a row is divided by.',
    },
    encoder: {
      values: ['decoder-transposed', 'as-drawn'],
      seen: 'T',
      meaning: 'W_enc: the transpose of W_dec after its rows are rescaled, or of what was drawn.',
    },
    b_dec: {
      values: ['geometric-median', 'zero'],
      seen: 'T',
      meaning: 'b_dec before the first step: the first batch’s geometric median, or zero.',
    },
  },
  defaults: {
    selection: {
      values: ['batch', 'row', 'all', 'jump'],
      seen: 'ILG',
      meaning:
        'Unless the run says otherwise, latents are the k largest per row of the whole batch (BatchTopK), of each row (TopK), all positive ones (ReLU), or those above their own threshold (JumpReLU).',
    },
    auxkAlpha: {
      values: [],
      number: '>= 0',
      seen: 'LG',
      meaning: 'Weight of the auxiliary loss.',
      onlyIf: hasAuxk,
    },
    deadAfter: {
      values: [],
      number: '>= 0',
      seen: 'LG',
      meaning: 'Limit of the count since a latent fired, in the unit of deadLatents.unit.',
      onlyIf: hasAuxk,
    },
    thresholdStartStep: {
      values: [],
      number: 'whole >= -1',
      seen: 'I',
      meaning: 'The threshold is updated in steps after this one; -1 for every step.',
      onlyIf: hasThreshold,
    },
    warmupSteps: {
      values: [],
      number: 'whole >= 0',
      seen: 'T',
      meaning: 'Steps of learning-rate warm-up.',
    },
    decayFraction: {
      values: [],
      number: '0 to 1',
      seen: 'T',
      meaning: 'Last share of the run in which the rate decays; 0 for none.',
    },
    sparsityCoefficient: {
      values: [],
      number: '>= 0',
      seen: 'LG',
      meaning: 'Factor of the sparsity penalty; where it is controlled, its start.',
      onlyIf: hasPenalty,
    },
    sparsityWarmup: {
      values: [],
      number: '>= 0',
      seen: 'LG',
      meaning:
        'Warm-up of that factor: a number of steps, or, below 1, a share of the run, truncated.',
      onlyIf: [{ decision: 'penalty.coefficient', is: ['warmed-up', 'controlled'] }],
    },
    targetL0: {
      values: [],
      number: '> 0',
      seen: 'LG',
      meaning: 'Mean number of latents per row that the penalty or its controller aims for.',
      onlyIf: [
        { decision: 'penalty.kind', is: ['l0-to-target'] },
        { decision: 'penalty.coefficient', is: ['controlled'] },
      ],
    },
  },
};
