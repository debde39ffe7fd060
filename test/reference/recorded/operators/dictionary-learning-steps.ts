import { levelCoefficients } from '../../../../reference/loss.ts';
import { deadMask } from '../../../../reference/dead-latents.ts';
import { withDecision } from '../../../../reference/dialects.ts';
import { dictionaryLearning } from '../../../../reference/dialects/dictionary-learning.ts';
import { paramNames, valuesOf, zeroParams } from '../../../../reference/params.ts';
import { batchTopK } from '../../../../reference/select.ts';
import { trainConfig } from '../../../../reference/train-config.ts';
import { trainStep, type StepResult, type TrainConfig } from '../../../../reference/train-step.ts';
import { wholeMatrix, wholeParams, type Recording } from '../../golden-vectors.ts';
import { auxkLoss, selected, stacked, type Change, type Quantity } from '../source.ts';
import { composed, firstLatents, refused, replacedParams, type Case } from './case.ts';

import type { Config, StepCase } from './dictionary-learning-config.ts';

/** Published: a normaliser of 0, made the largest finite number or 0; ours refuses. */
const noVariance: ReadonlySet<string> = new Set(['one-row', 'zero-residual', 'identical-rows']);

/** One step in one setting. */
export function oneStep(recording: Recording, all: Config, step: StepCase): Case {
  const name = `step.${step.id}`;
  const prefixes = all.step.group_sizes.reduce<number[]>(
    (ends, size) => [...ends, (ends.at(-1) ?? 0) + size],
    [],
  );
  const run = (change: Change): TrainConfig =>
    trainConfig({
      dialect: change(dictionaryLearning),
      d_in: recording.shape('step.W_enc')[0],
      d_sae: prefixes[prefixes.length - 1],
      k: all.step.k,
      steps: 2_000,
      prefixes,
      levelWeights: step.group_weights,
      auxkAlpha: all.step.auxk_alpha,
      deadAfter: all.step.dead_feature_threshold,
    });
  return {
    id: name,
    *compare(change): Generator<Quantity> {
      const config = run(change);
      const params = replacedParams(wholeParams(recording, 'step.'), step.changed);
      const x = wholeMatrix(recording, `${name}.x`);
      const one = (what: string): Float64Array => recording.values(`${name}.${what}`);
      const latents = one('latents');
      const sinceFired = one('tokens_since_fired');
      const zero = zeroParams(config.d_in, config.d_sae);
      const state = { step: 1, params, m: zero, v: zero, threshold: -1, sinceFired };
      if (noVariance.has(step.id)) {
        yield refused(() => trainStep(state, x, config));
        // All but the auxiliary loss is as ever.
        const without = { ...config, dialect: withDecision(config.dialect, 'auxk.values', 'none') };
        yield* forward(trainStep(state, x, without), one);
        const isNaN = paramNames.map((param) => one(`grad.${param}`).some(Number.isNaN));
        yield ['published gradients are NaN', [Number(isNaN.includes(true))], [1]];
        // 0 / 0 made 0, or something over 0 or a rounding error.
        const [auxk] = one('auxk');
        yield ['published auxk', [Number(auxk > 1e3)], [Number(step.id !== 'zero-residual')]];
        const [l2] = one('l2');
        yield ['published loss', [l2 + config.auxkAlpha * auxk], one('loss')];
        return;
      }
      if (step.active_groups < prefixes.length) {
        const active = prefixes[step.active_groups - 1];
        const weights = step.group_weights.slice(0, step.active_groups);
        const coefficients = [...levelCoefficients(weights, config.d_in, config.dialect), 0];
        const counts = one('tokens_since_fired_after');
        const got = composed(
          x,
          params,
          (acts) => firstLatents(batchTopK(acts, config.k), active),
          {
            prefixes,
            coefficients: Float64Array.from(coefficients),
            dead: deadMask(counts, config.deadAfter, config.dialect),
            alpha: config.auxkAlpha,
          },
          config.dialect,
        );
        yield ['latents', got.latents.data, latents];
        yield [
          'level losses',
          got.levelLosses.slice(1, step.active_groups + 1),
          one('level_losses'),
        ];
        yield ['reconstruction loss', [got.reconstructionLoss], one('l2')];
        yield ['auxk', [auxkLoss(got.auxk)], one('auxk')];
        yield ['x̂', stacked(got.reconstructions.slice(0, step.active_groups)), one('x_hat')];
        const total = got.reconstructionLoss + config.auxkAlpha * auxkLoss(got.auxk);
        yield ['loss', [total], one('loss')];
        for (const param of paramNames) {
          yield [`gradient ${param}`, valuesOf(got.gradients, param), one(`grad.${param}`)];
        }
        return;
      }
      const result = trainStep(state, x, config);
      yield* forward(result, one);
      yield ['auxk', [auxkLoss(result.auxk)], one('auxk')];
      yield ['loss', [result.loss], one('loss')];
      for (const param of paramNames) {
        yield [`gradient ${param}`, valuesOf(result.gradients, param), one(`grad.${param}`)];
      }
    },
  };
}

function* forward(result: StepResult, one: (what: string) => Float64Array): Generator<Quantity> {
  yield ['latents', result.latents.data, one('latents')];
  yield ['selection', selected(result.latents.data), selected(one('latents'))];
  yield ['counts', result.state.sinceFired, one('tokens_since_fired_after')];
  yield ['x̂', stacked(result.reconstructions), one('x_hat')];
  yield ['level losses', result.levelLosses.slice(1), one('level_losses')];
  yield ['reconstruction loss', [result.reconstructionLoss], one('l2')];
}
