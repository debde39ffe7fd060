/**
 * The reference's hand-derived gradients against differences of its loss: a check that shares nothing with them but the
 * forward pass.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { prefixesOf } from '../../conformance/arbitraries.ts';
import { gamma } from '../../conformance/error-model.ts';
import type { Tensor, Tensors } from '../../conformance/kernel.ts';
import { gradients } from '../../conformance/kernels/gradients.ts';
import { levelWeightsOf } from '../../conformance/kernels/loss.ts';
import { fromMatrix, tensor, toMatrix, toParams } from '../../conformance/tensors.ts';
import { decode, decodePrefixes } from '../../reference/decode.ts';
import { dictionaryLearning } from '../../reference/dialects.ts';
import { preActivations } from '../../reference/encode.ts';
import {
  levelCoefficients,
  levelErrors,
  levelLosses,
  reconstructionLoss,
} from '../../reference/loss.ts';
import {
  columnMeans,
  dot,
  map,
  multiply,
  scale,
  subtract,
  type Matrix,
} from '../../reference/matrix.ts';
import type { SaeParams } from '../../reference/params.ts';

/**
 * With the selection held, latents are affine in W_enc, b_enc and b_dec, reconstructions affine in latents, in W_dec
 * and in b_dec, and the loss is a square: along a line in one parameter it is a parabola, whose central difference is
 * its derivative for any step. So nothing is approximate but float64.
 */
describe('the reference gradient is the slope of the reference loss', () => {
  const names = ['W_enc', 'b_enc', 'W_dec', 'b_dec'] as const;

  /** A step's inputs on small grids: parameters, x, which latents are selected, which of the dead auxk chose. */
  const steps = fc
    .record({
      rows: fc.integer({ min: 2, max: 4 }),
      d_in: fc.integer({ min: 1, max: 4 }),
      d_sae: fc.integer({ min: 1, max: 6 }),
    })
    .chain(({ rows, d_in, d_sae }) =>
      prefixesOf(d_sae).chain((prefixes) => {
        const grid = (...shape: number[]): fc.Arbitrary<Tensor> => {
          const length = shape.reduce((product, n) => product * n, 1);
          return fc
            .array(fc.integer({ min: -64, max: 64 }), { minLength: length, maxLength: length })
            .map((steps) =>
              tensor(
                shape,
                steps.map((n) => n / 32),
              ),
            );
        };
        return fc.record({
          prefixes: fc.constant(prefixes),
          level_weights: levelWeightsOf(prefixes.length),
          alpha: fc.constantFrom(1 / 32, 1, 0),
          // 0 unselected, 1 selected
          selection: fc.array(fc.boolean(), { minLength: rows * d_sae, maxLength: rows * d_sae }),
          dead: fc.array(fc.boolean(), { minLength: d_sae, maxLength: d_sae }),
          x: grid(rows, d_in),
          W_enc: grid(d_in, d_sae),
          b_enc: grid(d_sae),
          W_dec: grid(d_sae, d_in),
          b_dec: grid(d_in),
          direction: fc.record({
            W_enc: grid(d_in, d_sae),
            b_enc: grid(d_sae),
            W_dec: grid(d_sae, d_in),
            b_dec: grid(d_in),
          }),
        });
      }),
    );
  type Step = typeof steps extends fc.Arbitrary<infer T> ? T : never;
  type Params = Pick<Step, (typeof names)[number]>;

  const paramsOf = (params: Params): SaeParams => toParams({ ...params });
  const acts = (step: Step, params: Params): Matrix =>
    preActivations(toMatrix(step.x), paramsOf(params), dictionaryLearning);

  /** Latents of the live or of the dead, where selected and positive at the step's own parameters. */
  const held = (step: Step, params: Params, dead: boolean): Matrix => {
    const at = acts(step, step);
    return map(acts(step, params), (value, i) =>
      step.selection[i] && at.data[i] > 0 && step.dead[i % at.cols] === dead ? value : 0,
    );
  };

  /** Level weights over G times the levels, plus alpha times auxk: residual and normaliser are those of the step. */
  const lossAt = (step: Step, params: Params): number => {
    const x = toMatrix(step.x);
    const decoded = decodePrefixes(held(step, params, false), paramsOf(params), step.prefixes);
    const losses = levelLosses(levelErrors(x, params.b_dec.data, decoded));
    const coefficients = levelCoefficients(step.level_weights, x.cols, dictionaryLearning);
    const fit = multiply(held(step, params, true), toMatrix(params.W_dec));
    const miss = subtract(fit, residualOf(step));
    const auxk = dot(miss.data, miss.data) / miss.rows / varianceOf(step);
    return reconstructionLoss(losses, coefficients) + step.alpha * auxk;
  };

  const residualOf = (step: Step): Matrix => {
    const full = decode(held(step, step, false), paramsOf(step));
    return subtract(toMatrix(step.x), full);
  };

  const varianceOf = (step: Step): number => {
    const residual = residualOf(step);
    const mean = columnMeans(residual);
    const centred = map(residual, (value, i) => value - mean[i % residual.cols]);
    return dot(centred.data, centred.data) / residual.rows;
  };

  /** The operator's gradients at the step, auxk's own gradient being 2 alpha/(rows V) (ê - e). */
  const gradientsAt = (step: Step): Tensors => {
    const chosen = held(step, step, true);
    const residual = residualOf(step);
    const miss = subtract(multiply(chosen, toMatrix(step.W_dec)), residual);
    const { x, W_enc, b_enc, W_dec, b_dec, prefixes, level_weights, alpha } = step;
    const factor = (2 * alpha) / (miss.rows * varianceOf(step));
    return gradients.reference({
      config: { prefixes, level_weights },
      inputs: {
        ...{ x, W_enc, b_enc, W_dec, b_dec },
        latents: fromMatrix(held(step, step, false)),
        auxk_latents: fromMatrix(chosen),
        auxk_gradient: fromMatrix(map(miss, (value) => factor * value)),
      },
    });
  };

  /**
   * The loss with every term of every sum taken positive, at parameters as far out as the line goes: P(h). No loss
   * computed on the way is above it, and no slope, a derivative of P at most, above P(h)/h; each is within γ(n) of that.
   */
  const magnitude = (step: Step, name: (typeof names)[number], h: number): number => {
    const sized = (own: (typeof names)[number]): Tensor => {
      const { shape, data } = step[own];
      const { data: direction } = step.direction[own];
      return tensor(
        shape,
        data.map((v, i) => Math.abs(v) + (own === name ? h * Math.abs(direction[i]) : 0)),
      );
    };
    const params = paramsOf({
      W_enc: sized('W_enc'),
      b_enc: sized('b_enc'),
      W_dec: sized('W_dec'),
      b_dec: sized('b_dec'),
    });
    const x = map(toMatrix(step.x), Math.abs);
    const negative = { ...params, b_dec: params.b_dec.map((bias) => -bias) };
    const latents = preActivations(x, negative, dictionaryLearning); // (|x| + |b_dec|) |W_enc| + |b_enc|
    const decoded = decodePrefixes(latents, params, step.prefixes);
    const errors = levelErrors(scale(x, -1), params.b_dec, decoded);
    const coefficients = levelCoefficients(step.level_weights, x.cols, dictionaryLearning);
    const miss = subtract(
      multiply(latents, params.W_dec),
      map(residualOf(step), (e) => -Math.abs(e)),
    );
    const auxk = dot(miss.data, miss.data) / miss.rows / varianceOf(step);
    return reconstructionLoss(levelLosses(errors), coefficients) + step.alpha * auxk;
  };

  /** Operations that one term goes through: encode, decode, square, sums over rows, dimensions, latents and levels. */
  const roundingsOf = (step: Step): number => {
    const [[rows, d_in], d_sae] = [step.x.shape, step.b_enc.data.length];
    return 4 * (rows * d_in + d_in * d_sae + rows * d_sae + step.prefixes.length + 8);
  };

  test.each(names)('along %s', (name) => {
    fc.assert(
      fc.property(
        steps.filter((step) => varianceOf(step) > 2 ** -6),
        fc.constantFrom(1, 0.25, 4),
        (step, h) => {
          const moved = (sign: number): Step => {
            const { shape, data } = step[name];
            const direction = step.direction[name].data;
            const values = data.map((value, i) => value + sign * h * direction[i]);
            return { ...step, [name]: tensor(shape, values) };
          };
          const [up, down] = [moved(1), moved(-1)].map((params) => lossAt(step, params));
          const gradient = gradientsAt(step)[`grad.${name}`].data;
          const slope = dot(gradient, step.direction[name].data);
          const limit = (2 * gamma(roundingsOf(step), 2 ** -53) * magnitude(step, name, h)) / h;
          expect(Math.abs((up - down) / (2 * h) - slope)).toBeLessThanOrEqual(limit);
        },
      ),
      { numRuns: 300 },
    );
  });
});
