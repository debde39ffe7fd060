/**
 * Laws of what a trained SAE does: scales and norms folded into it, and exported as a JumpReLU SAE.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { foldDecoderNorm, rowNorms } from '../../reference/decoder-norm.ts';
import {
  dialects,
  dictionaryLearning,
  paper,
  saelens,
  saelensJumpRelu,
  withDecision,
  type Dialect,
} from '../../reference/dialects.ts';
import { infer } from '../../reference/infer.ts';
import { foldInputScale } from '../../reference/input-norm.ts';
import { scale, type Matrix } from '../../reference/matrix.ts';
import { namesOf, valuesOf, type SaeParams } from '../../reference/params.ts';
import { d_sae, difference, worldOf } from './worlds.ts';

const published = Object.values(dialects);

describe('a trained SAE', () => {
  const models = fc.record({
    seed: fc.nat(),
    threshold: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  const modelOf = (dialect: Dialect, seed: number): { params: SaeParams; x: Matrix } => {
    const { state, x } = worldOf(dialect, seed);
    return { params: state.params, x };
  };
  const without = published.map((dialect) => withDecision(dialect, 'input.normaliser', 'none'));

  test.each(without)(
    '$name with an input scale folded in does on x what it did on x · c, over c',
    (dialect) => {
      fc.assert(
        fc.property(
          models,
          fc.double({ min: 0.05, max: 20, noNaN: true }),
          ({ seed, threshold }, c) => {
            const { params, x } = modelOf(dialect, seed);
            const folded = foldInputScale(params, threshold, c, dialect);
            const given = infer(scale(x, c), params, threshold, dialect);
            const { reconstruction, latents } = infer(x, folded.params, folded.threshold, dialect);
            expect(
              difference(scale(reconstruction, c).data, given.reconstruction.data),
            ).toBeLessThan(1e-12);
            // In units of x, but for raw acts where weights take the scale.
            const raw =
              dialect.input.folds === 'into-weights' && dialect.inference.values === 'acts';
            expect(
              difference(raw ? latents.data : scale(latents, c).data, given.latents.data),
            ).toBeLessThan(1e-12);
          },
        ),
        { numRuns: 30 },
      );
    },
  );

  test.each(published)(
    '$name reconstructs the same with decoder norms folded away, latents times norm',
    (dialect) => {
      const acts = withDecision(
        withDecision(dialect, 'inference.values', 'acts'),
        'inference.gate',
        dialect.inference.gate === 'threshold' ? 'none' : dialect.inference.gate,
      );
      fc.assert(
        fc.property(models, ({ seed }) => {
          const { params, x } = modelOf(acts, seed);
          const before = infer(x, params, 0, acts, 1.5);
          const after = infer(x, foldDecoderNorm(params), 0, acts, 1.5);
          expect(difference(after.reconstruction.data, before.reconstruction.data)).toBeLessThan(
            1e-12,
          );
          const norms = rowNorms(params.W_dec);
          const expected = before.latents.data.map((latent, i) => latent * norms[i % d_sae]);
          expect(difference(after.latents.data, expected)).toBeLessThan(1e-12);
        }),
        { numRuns: 30 },
      );
    },
  );

  test.each([
    ['saelens', saelens, true],
    ['dictionary_learning', dictionaryLearning, false],
    ['paper', paper, false],
  ] as const)(
    'of %s is a JumpReLU SAE with the threshold at every latent',
    (_, dialect, rescaled) => {
      fc.assert(
        fc.property(models, ({ seed, threshold }) => {
          const { params, x } = modelOf(dialect, seed);
          const jump = {
            ...saelensJumpRelu,
            encode: dialect.encode,
            inference: { gate: 'latent-thresholds', values: 'acts' },
          } as const;
          const exported: SaeParams = {
            ...(rescaled ? foldDecoderNorm(params) : params),
            threshold: new Float64Array(d_sae).fill(threshold),
          };
          expect(infer(x, exported, NaN, jump)).toEqual(infer(x, params, threshold, dialect));
        }),
        { numRuns: 50 },
      );
    },
  );

  test('has nothing left to fold once decoder norms are', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const once = foldDecoderNorm(modelOf(saelensJumpRelu, seed).params);
        const twice = foldDecoderNorm(once);
        for (const name of namesOf(once)) {
          expect(difference(valuesOf(twice, name), valuesOf(once, name))).toBeLessThan(1e-15);
        }
        for (const length of rowNorms(once.W_dec)) expect(length).toBeCloseTo(1, 14);
      }),
    );
  });
});
