/**
 * Operators of `matryoshka run`: from latents to losses.
 * @module
 */
import { auxk } from '../../reference/auxk.ts';
import { deadMask, updateSinceFired } from '../../reference/dead-latents.ts';
import { decodePrefixes } from '../../reference/decode.ts';
import {
  levelCoefficients,
  levelErrors,
  levelLosses,
  reconstructionLoss,
} from '../../reference/loss.ts';
import { matrix } from '../../reference/matrix.ts';
import { type SaeParams } from '../../reference/params.ts';
import { controlSparsity, penaltyCoefficient, sparsityPenalty } from '../../reference/penalty.ts';
import { smallestSelected, updateThreshold } from '../../reference/threshold.ts';
import {
  aNumber,
  aWhole,
  decisionNumber,
  has,
  matricesOf,
  numberOf,
  numbers,
  optional,
  requireTensor,
  restored,
  rowsOf,
  scalarOf,
  stacked,
  vectorOf,
  type Given,
  type RunOperator,
} from './operator.ts';
import { fromMatrix, fromVector, scalar } from '../tensors.ts';
import { prefixesOf, prefixesSetting, scoresOf, weightsOf, scoresInput } from './forward.ts';

export const losses: readonly RunOperator[] = [
  {
    name: 'update-threshold',
    summary: 'moving average of the smallest positive latent that was selected',
    inputs: {
      threshold: { words: '(): negative for never set' },
      latents: { words: '(…, d_sae): >= 0' },
      scores: { ...scoresInput, optional: 'latents, in dialects that rank acts' },
    },
    outputs: { threshold: '()' },
    config: { decay: decisionNumber('threshold.decay') },
    run: (given) => {
      const latents = rowsOf(given, 'latents');
      const smallest = smallestSelected(latents, scoresOf(given, latents));
      const next = updateThreshold(scalarOf(given, 'threshold'), smallest, given.dialect);
      return { threshold: scalar(next) };
    },
  },
  {
    name: 'decode',
    summary: 'a reconstruction from every prefix: b_dec + latents[…, :m_g] · W_dec[:m_g]',
    inputs: {
      latents: { words: '(…, d_sae)' },
      W_dec: { words: '(d_sae, d_in)' },
      b_dec: { words: '(d_in)' },
    },
    outputs: { reconstructions: '(prefixes, …, d_in)' },
    config: { prefixes: prefixesSetting },
    run: (given) => {
      const W_dec = rowsOf(given, 'W_dec');
      const params: SaeParams = {
        W_dec,
        b_dec: vectorOf(given, 'b_dec'),
        W_enc: matrix(W_dec.cols, W_dec.rows),
        b_enc: new Float64Array(W_dec.rows),
      };
      const all = decodePrefixes(rowsOf(given, 'latents'), params, prefixesOf(given));
      return { reconstructions: stacked(given, all) };
    },
  },
  {
    name: 'loss',
    summary: 'squared error of each level, and their weighted sum or mean as the dialect has it',
    inputs: {
      x: { words: '(…, d_in)' },
      reconstructions: { words: '(levels, …, d_in)' },
      b_dec: { words: '(d_in)', optional: 'in dialects without loss.emptyPrefix' },
    },
    outputs: {
      level_losses: '(levels): not weighted',
      empty_prefix_loss: '(): of b_dec alone, where it is given',
      loss: '()',
    },
    config: {
      level_weights: optional(
        numbers('one weight >= 0 for each level'),
        'the dialect’s loss.defaultWeight',
      ),
    },
    run: (given) => {
      const { dialect } = given;
      if (dialect.loss.emptyPrefix) {
        requireTensor(given, 'b_dec', `dialect ${dialect.name} counts it as a level of its own`);
      }
      const x = rowsOf(given, 'x');
      const all = matricesOf(given, 'reconstructions');
      const b_dec = has(given, 'b_dec') ? vectorOf(given, 'b_dec') : new Float64Array(x.cols);
      const losses = levelLosses(levelErrors(x, b_dec, all), dialect.loss.tilt);
      const weights = weightsOf(given, all.length);
      if (weights.length !== all.length) {
        throw new RangeError(
          `levelWeights: expected one for each of ${all.length} levels, got ${weights.length}`,
        );
      }
      const coefficients = levelCoefficients(weights, x.cols, dialect);
      return {
        level_losses: fromVector(losses.slice(1)),
        ...(has(given, 'b_dec') && { empty_prefix_loss: scalar(losses[0]) }),
        loss: scalar(reconstructionLoss(losses, coefficients)),
      };
    },
  },
  {
    name: 'since-fired',
    summary: 'counts since each latent fired, and which are dead',
    inputs: {
      since_fired: { words: '(d_sae): tokens or steps' },
      latents: { words: '(…, d_sae)' },
    },
    outputs: { since_fired: '(d_sae)', dead: '(d_sae): 0 or 1' },
    config: { dead_after: decisionNumber('defaults.deadAfter') },
    run: (given) => {
      const { dialect } = given;
      const before = vectorOf(given, 'since_fired');
      const after = updateSinceFired(before, rowsOf(given, 'latents'), dialect);
      const counts = dialect.deadLatents.mask === 'this-step' ? after : before;
      return {
        since_fired: fromVector(after),
        dead: fromVector(deadMask(counts, numberOf(given, 'dead_after'), dialect)),
      };
    },
  },
  {
    name: 'auxk',
    summary: 'the loss that revives dead latents, fitted to what one prefix leaves over',
    inputs: {
      residual: { words: '(…, d_in): x - x̂_G' },
      acts: { words: '(…, d_sae): acts, or pre-activations where auxk.values says so' },
      W_dec: { words: '(d_sae, d_in)' },
      dead: { words: '(d_sae): 0 or 1' },
    },
    outputs: {
      loss: '(): before alpha',
      latents: '(…, d_sae): chosen values, 0 elsewhere',
      chosen: '(…, d_sae): 1 where chosen',
      gradient: '(…, d_in): of alpha · loss for the auxiliary reconstruction',
    },
    config: {
      alpha: optional(
        aNumber('weight of the loss; scales the gradient alone'),
        'the dialect’s defaults.auxkAlpha',
        ({ defaults }) => defaults.auxkAlpha,
      ),
    },
    run: (given) => {
      const { dialect } = given;
      if (dialect.auxk.values === 'none') {
        throw new RangeError(`dialect ${dialect.name} has no auxiliary loss (auxk.values is none)`);
      }
      const acts = rowsOf(given, 'acts');
      const dead = vectorOf(given, 'dead');
      const wrong = dead.find((flag) => flag !== 0 && flag !== 1);
      if (wrong !== undefined) throw new RangeError(`tensor "dead": expected 0 or 1, got ${wrong}`);
      const term = auxk(
        rowsOf(given, 'residual'),
        acts,
        rowsOf(given, 'W_dec'),
        Uint8Array.from(dead),
        numberOf(given, 'alpha'),
        dialect,
      );
      const chosen = matrix(acts.rows, acts.cols, Float64Array.from(term.chosen));
      return {
        loss: scalar(term.loss),
        latents: restored(given, term.latents),
        chosen: restored(given, chosen),
        gradient: restored(given, term.gradient),
      };
    },
  },
  {
    name: 'penalty',
    summary: 'the sparsity penalty before its coefficient, and its gradients',
    inputs: {
      latents: { words: '(…, d_sae)' },
      W_dec: { words: '(d_sae, d_in)' },
      l0: {
        words: '(): mean latents per row that it counts',
        optional: 'in dialects whose penalty.kind is no l0',
      },
    },
    outputs: {
      penalty: '()',
      'grad.latents': '(…, d_sae)',
      'grad.W_dec': '(d_sae, d_in)',
      'grad.count': '(): at each latent that is counted',
    },
    config: { prefixes: prefixesSetting, target_l0: decisionNumber('defaults.targetL0') },
    run: (given) => {
      const penalty = penaltyOf(given);
      return {
        penalty: scalar(penalty.loss),
        'grad.latents': restored(given, penalty.latents),
        'grad.W_dec': fromMatrix(penalty.W_dec),
        'grad.count': scalar(penalty.count),
      };
    },
  },
  {
    name: 'penalty-coefficient',
    summary: 'what the penalty is multiplied by: constant, or warmed up',
    inputs: {},
    outputs: { coefficient: '()' },
    config: {
      step: aWhole('updates done before this one'),
      sparsity_coefficient: decisionNumber('defaults.sparsityCoefficient'),
      sparsity_warmup_steps: aWhole('warm-up of it'),
    },
    run: (given) => ({
      coefficient: scalar(
        penaltyCoefficient(
          numberOf(given, 'step'),
          numberOf(given, 'sparsity_coefficient'),
          numberOf(given, 'sparsity_warmup_steps'),
          given.dialect,
        ),
      ),
    }),
  },
  {
    name: 'control-sparsity',
    summary: 'the penalty’s controller: its scale, and what the penalty is multiplied by',
    inputs: { sparsity_scale: { words: '()' }, l0: { words: '(): of this step' } },
    outputs: { sparsity_scale: '()', coefficient: '()' },
    config: {
      step: aWhole('updates done before this one'),
      target_l0: decisionNumber('defaults.targetL0'),
      sparsity_warmup_steps: aWhole('steps before it steers', 1),
    },
    run: (given) => {
      const { scale, coefficient } = controlSparsity(
        scalarOf(given, 'sparsity_scale'),
        numberOf(given, 'step'),
        scalarOf(given, 'l0'),
        numberOf(given, 'target_l0'),
        numberOf(given, 'sparsity_warmup_steps'),
        given.dialect,
      );
      return { sparsity_scale: scalar(scale), coefficient: scalar(coefficient) };
    },
  },
];

/** The sparsity penalty of a call's latents. */
export function penaltyOf(given: Given): ReturnType<typeof sparsityPenalty> {
  const { dialect } = given;
  const { kind } = dialect.penalty;
  if (kind === 'l0' || kind === 'l0-to-target') {
    requireTensor(given, 'l0', `dialect ${dialect.name} penalises it`);
  }
  return sparsityPenalty(
    rowsOf(given, 'latents'),
    rowsOf(given, 'W_dec'),
    prefixesOf(given),
    has(given, 'l0') ? scalarOf(given, 'l0') : 0,
    numberOf(given, 'target_l0'),
    dialect,
  );
}
