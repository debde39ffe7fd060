/**
 * Laws of the reference that hold whatever a dialect decides, or for all that decide as the law's name says.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { adamUpdate, clipGradients, gradientNorm } from '../../reference/adam.ts';
import {
  applies,
  bussmann,
  decided,
  dialects,
  dictionaryLearning,
  nabeshima,
  paper,
  saelens,
  withDecision,
  type Dialect,
} from '../../reference/dialects.ts';
import { dot, map, matrix, row, scale, type Matrix } from '../../reference/matrix.ts';
import { namesOf, valuesOf, zeroParams, type SaeParams } from '../../reference/params.ts';
import { smallestSelected, updateThreshold } from '../../reference/threshold.ts';
import { trainStep, type StepResult, type TrainState } from '../../reference/train-step.ts';
import { createRng } from '../../synthetic/rng.ts';
import {
  d_in,
  d_sae,
  difference,
  placed,
  prefixes,
  rows,
  wordDecisions,
  worldOf,
  worlds,
  type World,
} from './worlds.ts';

const published = Object.values(dialects);
const step = ({ state, x, config }: World): StepResult => trainStep(state, x, config);
const withParams = (world: World, change: Partial<SaeParams>): World => ({
  ...world,
  state: { ...world.state, params: { ...world.state.params, ...change } },
});
const times = (values: Float64Array, factor: number): Float64Array => values.map((v) => v * factor);
const thresholdOf = (
  params: SaeParams,
  change: (theta: number, j: number) => number,
): Partial<SaeParams> =>
  params.threshold === undefined ? {} : { threshold: params.threshold.map(change) };

const isJump = ({ defaults }: Dialect): boolean => defaults.selection === 'jump';
const passesWindow = (dialect: Dialect): boolean =>
  isJump(dialect) && dialect.jumpRelu.inputGradient === 'gate-and-window';
const penalisesSize = ({ penalty }: Dialect): boolean => ['l1', 'log'].includes(penalty.kind);

describe('gradients', () => {
  test('of a latent keep ⟨W_enc_j, ∂W_enc_j⟩ + b_enc_j ∂b_enc_j = ⟨w_j, ∂w_j⟩', () => {
    // Scaling the encoder up and the decoder down alike leaves every loss that does not see latents without their norm.
    const holds = (dialect: Dialect): boolean =>
      !passesWindow(dialect) && !(penalisesSize(dialect) && dialect.penalty.on === 'latents');
    fc.assert(
      fc.property(worlds(holds), (world) => {
        const result = step(world);
        const { gradients } = result;
        const { params } = placed(world, result).state;
        const encoder = new Float64Array(d_sae);
        const decoder = new Float64Array(d_sae);
        for (let j = 0; j < d_sae; j++) {
          encoder[j] = params.b_enc[j] * gradients.b_enc[j];
          for (let i = 0; i < d_in; i++) {
            encoder[j] += params.W_enc.data[i * d_sae + j] * gradients.W_enc.data[i * d_sae + j];
          }
          decoder[j] = dot(row(params.W_dec, j), row(gradients.W_dec, j));
        }
        expect(difference(encoder, decoder)).toBeLessThan(1e-11);
      }),
    );
  });

  test('are exactly 0 for a latent that is never selected, nor chosen by auxk, nor near its threshold', () => {
    fc.assert(
      fc.property(worlds(), (world) => {
        const { gradients, latents, auxk, pre, refinement } = step(world);
        const thresholds = world.state.params.threshold;
        for (let j = 0; j < d_sae; j++) {
          const used = Array.from({ length: rows }, (_, b) => b * d_sae + j).some(
            (i) =>
              latents.data[i] !== 0 ||
              (refinement !== null && refinement.first.data[i] !== 0) ||
              auxk.some(({ chosen }) => chosen[i] === 1) ||
              (thresholds !== undefined && pre.data[i] > -2),
          );
          if (used) continue;
          const column = gradients.W_enc.data.filter((_, i) => i % d_sae === j);
          const all = [...column, gradients.b_enc[j], ...row(gradients.W_dec, j)];
          expect(all.every((g) => g === 0)).toBe(true);
        }
      }),
    );
  });
});

describe('permuting latents inside their groups', () => {
  const permutation = (seed: number): number[] => {
    const { below } = createRng(seed);
    const order = Array.from({ length: d_sae }, (_, j) => j);
    for (const [start, end] of [
      [0, 2],
      [3, 6],
    ]) {
      for (let j = end - 1; j > start; j--) {
        const other = start + below(j - start + 1);
        [order[j], order[other]] = [order[other], order[j]];
      }
    }
    return order;
  };
  const columns = (a: Matrix, order: number[]): Matrix =>
    map(a, (_, i) => a.data[Math.floor(i / a.cols) * a.cols + order[i % a.cols]]);
  const permuted = (params: SaeParams, order: number[]): SaeParams => ({
    W_enc: columns(params.W_enc, order),
    b_enc: params.b_enc.map((_, j) => params.b_enc[order[j]]),
    W_dec: map(
      params.W_dec,
      (_, i) => params.W_dec.data[order[Math.floor(i / d_in)] * d_in + (i % d_in)],
    ),
    b_dec: params.b_dec,
    ...thresholdOf(params, (_, j) => params.threshold![order[j]]),
  });

  test('permutes latents, gradients and updates, and leaves losses and reconstructions', () => {
    fc.assert(
      fc.property(worlds(), fc.nat(), (world, seed) => {
        const order = permutation(seed);
        const { state } = world;
        const moved: TrainState = {
          ...state,
          params: permuted(state.params, order),
          m: permuted(state.m, order),
          v: permuted(state.v, order),
          sinceFired: state.sinceFired.map((_, j) => state.sinceFired[order[j]]),
          averages: {
            ...state.averages!,
            meanSquares: state.averages!.meanSquares.map(
              (_, j) => state.averages!.meanSquares[order[j]],
            ),
            frequencies: state.averages!.frequencies!.map(
              (_, j) => state.averages!.frequencies![order[j]],
            ),
          },
        };
        const before = step(world);
        const after = step({ ...world, state: moved });
        // Sorted before prefixes are sliced, latents come in the same order whatever order they came in.
        const sorted = world.dialect.latentOrder.permute === 'by-frequency';
        const shown = sorted ? order.map((_, j) => j) : order;
        expect(difference(after.latents.data, columns(before.latents, shown).data)).toBeLessThan(
          1e-12,
        );
        after.reconstructions.forEach(({ data }, g) =>
          expect(difference(data, before.reconstructions[g].data)).toBeLessThan(1e-12),
        );
        expect(difference([after.loss], [before.loss])).toBeLessThan(1e-11);
        expect(after.state.threshold).toBe(before.state.threshold);
        for (const [got, expected] of [
          [after.gradients, before.gradients],
          [after.updated, before.updated],
          [after.state.m, before.state.m],
          [after.state.v, before.state.v],
        ]) {
          const wanted = permuted(expected, shown);
          for (const name of namesOf(wanted)) {
            expect(difference(valuesOf(got, name), valuesOf(wanted, name)), name).toBeLessThan(
              1e-9,
            );
          }
        }
        // Sorted latents come out in the same order, whatever order they came in.
        if (world.dialect.latentOrder.permute === 'by-mean-square') {
          expect(
            difference(after.state.params.W_dec.data, before.state.params.W_dec.data),
          ).toBeLessThan(1e-9);
        }
      }),
    );
  });
});

test('moving x and b_dec alike, or b_enc for them, moves reconstructions with them and nothing else', () => {
  const holds = ({ input, encode }: Dialect): boolean =>
    input.normaliser === 'none' &&
    // A refinement sees x where it is, too.
    (encode.subtractsDecoderBias || (encode.usesEncoderBias && encode.refinement === 0));
  fc.assert(
    fc.property(worlds(holds), fc.nat(), (world, seed) => {
      const { normal } = createRng(seed);
      const by = Float64Array.from({ length: d_in }, normal);
      const { params } = world.state;
      const shifted = withParams(
        { ...world, x: map(world.x, (value, i) => value + by[i % d_in]) },
        {
          b_dec: params.b_dec.map((b, i) => b + by[i]),
          ...(world.dialect.encode.subtractsDecoderBias
            ? {}
            : {
                b_enc: params.b_enc.map((b, j) =>
                  by.reduce((left, c, i) => left - c * params.W_enc.data[i * d_sae + j], b),
                ),
              }),
        },
      );
      const before = step(world);
      const after = step(shifted);
      expect(difference(after.latents.data, before.latents.data)).toBeLessThan(1e-12);
      expect(
        difference([...after.levelLosses, after.loss], [...before.levelLosses, before.loss]),
      ).toBeLessThan(1e-11);
      after.reconstructions.forEach((reconstruction, g) => {
        const expected = map(before.reconstructions[g], (value, i) => value + by[i % d_in]);
        expect(difference(reconstruction.data, expected.data)).toBeLessThan(1e-12);
      });
      for (const name of namesOf(before.gradients)) {
        // x W_enc sees where x is.
        if (name === 'W_enc' && !world.dialect.encode.subtractsDecoderBias) continue;
        expect(
          difference(valuesOf(after.gradients, name), valuesOf(before.gradients, name)),
          name,
        ).toBeLessThan(1e-10);
      }
    }),
  );
});

test('doubling x, biases and thresholds doubles latents and reconstructions, and the error four times', () => {
  const holds = (dialect: Dialect): boolean => dialect.input.normaliser === 'none';
  fc.assert(
    fc.property(worlds(holds), (world) => {
      const { params } = world.state;
      const doubled = withParams(
        { ...world, x: scale(world.x, 2) },
        {
          b_enc: times(params.b_enc, 2),
          b_dec: times(params.b_dec, 2),
          ...thresholdOf(params, (theta) => 2 * theta),
        },
      );
      const before = step(world);
      const after = step(doubled);
      // A power of two, so bit by bit.
      expect(after.latents).toEqual(scale(before.latents, 2));
      expect(after.reconstructions).toEqual(before.reconstructions.map((r) => scale(r, 2)));
      expect(after.levelLosses).toEqual(times(before.levelLosses, 4));
      expect(after.reconstructionLoss).toBe(4 * before.reconstructionLoss);
      const factor = world.dialect.auxk.normaliser === 'residual-variance' ? 1 : 4;
      expect(after.auxk.map(({ loss }) => loss)).toEqual(
        before.auxk.map(({ loss }) => factor * loss),
      );

      const bare = (w: World): SaeParams =>
        step({
          ...w,
          config: {
            ...w.config,
            auxkAlpha: 0,
            dialect: withDecision(w.dialect, 'penalty.kind', 'none'),
          },
        }).gradients;
      if (passesWindow(world.dialect)) return;
      const expected = bare(world);
      const got = bare(doubled);
      expect(got.W_enc).toEqual(scale(expected.W_enc, 4));
      expect(got.W_dec).toEqual(scale(expected.W_dec, 4));
      expect(got.b_enc).toEqual(times(expected.b_enc, 2));
      expect(got.b_dec).toEqual(times(expected.b_dec, 2));
    }),
  );
});

test('scaling a latent’s encoder up and its decoder down alike leaves all that sees acts times norm alone', () => {
  const holds = ({ select, defaults, auxk, penalty }: Dialect): boolean => {
    const rescaled = select.score === 'acts-times-decoder-norm';
    const selects = ['batch', 'row'].includes(defaults.selection);
    const sized = ['l1', 'log'].includes(penalty.kind) && penalty.on === 'latents';
    return (rescaled || (!selects && auxk.values === 'none')) && !sized;
  };
  fc.assert(
    fc.property(
      worlds(holds),
      fc.array(fc.integer({ min: -3, max: 3 }), { minLength: d_sae, maxLength: d_sae }),
      (world, powers) => {
        const { params } = world.state;
        const s = powers.map((power) => 2 ** power);
        const scaled = withParams(world, {
          W_enc: map(params.W_enc, (w, i) => w * s[i % d_sae]),
          b_enc: params.b_enc.map((b, j) => b * s[j]),
          W_dec: map(params.W_dec, (w, i) => w / s[Math.floor(i / d_in)]),
          ...thresholdOf(params, (theta, j) => theta * s[j]),
        });
        const before = step(world);
        const after = step(scaled);
        after.reconstructions.forEach(({ data }, g) =>
          expect(difference(data, before.reconstructions[g].data)).toBeLessThan(1e-12),
        );
        expect(difference([after.loss, after.l0], [before.loss, before.l0])).toBeLessThan(1e-11);
        const factors = before.order === null ? s : [...before.order].map((j) => s[j]);
        expect(after.latents.data).toEqual(
          before.latents.data.map((a, i) => a * factors[i % d_sae]),
        );
      },
    ),
  );
});

/** Its levels are those of the others; only its encoder does not see b_dec. */
const nabeshimaCentred = withDecision(nabeshima, 'encode.subtractsDecoderBias', true);

test('with b_enc 0 and default weights L_saelens = G² L_dictionary_learning = d (G + 1) L_bussmann - L_0 = d L_paper = G L_nabeshima', () => {
  const losses = (dialect: Dialect, seed: number): StepResult => {
    const weight = dialect.loss.defaultWeight === 'one' ? 1 : 1 / prefixes.length;
    const options = { selection: 'all', levelWeights: prefixes.map(() => weight) } as const;
    const world = worldOf(withDecision(dialect, 'input.normaliser', 'none'), seed, options);
    return step(withParams(world, { b_enc: new Float64Array(d_sae) }));
  };
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const one = losses(saelens, seed).reconstructionLoss;
      const G = prefixes.length;
      const ofBussmann = losses(bussmann, seed);
      const others = [
        G ** 2 * losses(dictionaryLearning, seed).reconstructionLoss,
        d_in * (G + 1) * ofBussmann.reconstructionLoss - ofBussmann.levelLosses[0],
        d_in * losses(paper, seed).reconstructionLoss,
        G * losses(nabeshimaCentred, seed).reconstructionLoss,
      ];
      for (const other of others) expect(other / one).toBeCloseTo(1, 12);
    }),
  );
});

describe('the update', () => {
  test('is at first lr |g| / (|g| + ε) against each gradient, below lr, and 0 without one', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...published),
        fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 8 }),
        (dialect, values) => {
          const n = values.length;
          const zero = zeroParams(n, 1);
          const g = Float64Array.from(values, (value) => (Math.abs(value) < 1e-100 ? 0 : value));
          const gradients = { ...zero, W_enc: matrix(n, 1, g) };
          const moved = adamUpdate(zero, gradients, zero, zero, 0, 0.5, dialect).params.W_enc.data;
          const expected = g.map((of) => (-0.5 * of) / (Math.abs(of) + dialect.adam.epsilon));
          expect(difference(moved, expected)).toBeLessThan(1e-13);
          moved.forEach((by, i) => {
            expect(Math.abs(by)).toBeLessThanOrEqual(0.5 * (1 + 1e-14));
            if (g[i] === 0) expect(Math.abs(by)).toBe(0);
          });
        },
      ),
    );
  });

  test('is clipped to at most the norm, its direction kept', () => {
    fc.assert(
      fc.property(worlds(), fc.double({ min: 1e-3, max: 1e3, noNaN: true }), (world, maxNorm) => {
        const { gradients } = step(world);
        const before = gradientNorm(gradients);
        const clipped = clipGradients(gradients, maxNorm);
        expect(gradientNorm(clipped)).toBeLessThanOrEqual(maxNorm * (1 + 1e-12));
        const factor = before + 1e-6 > maxNorm ? maxNorm / (before + 1e-6) : 1;
        for (const name of namesOf(gradients)) {
          const expected = times(valuesOf(gradients, name), factor);
          expect(difference(valuesOf(clipped, name), expected)).toBeLessThan(1e-14);
        }
      }),
      { numRuns: 50 },
    );
  });

  test('of the threshold leaves it between where it was and the smallest selected', () => {
    fc.assert(
      fc.property(worlds(), (world) => {
        const { latents, acts } = step(world);
        const smallest = smallestSelected(latents, acts);
        fc.pre(smallest !== null && smallest > 0);
        const next = updateThreshold(0.25, smallest, world.dialect);
        expect(next).toBeGreaterThanOrEqual(Math.min(0.25, smallest) - 1e-15);
        expect(next).toBeLessThanOrEqual(Math.max(0.25, smallest) + 1e-15);
      }),
      { numRuns: 50 },
    );
  });
});

describe('a decision that does not apply', () => {
  /** Counts since latents fired are kept, in their unit, also where no auxiliary loss reads them. */
  const parts = ({ latents, loss, gradients, state }: StepResult): unknown => [
    latents,
    loss,
    gradients,
    { ...state, sinceFired: undefined },
  ];

  test('changes no step', () => {
    let compared = 0;
    fc.assert(
      fc.property(worlds(), fc.nat(), (world, seed) => {
        const { dialect } = world;
        const idle = wordDecisions.filter((decision) => !applies(decision, dialect));
        if (idle.length === 0) return;
        const { path, values } = idle[seed % idle.length];
        const other = values.find((value) => value !== decided(dialect, path)) as string;
        const config = { ...world.config, dialect: withDecision(dialect, path, other) };
        expect(parts(step({ ...world, config })), path).toEqual(parts(step(world)));
        compared++;
      }),
      { numRuns: 200 },
    );
    expect(compared).toBeGreaterThan(100);
  });
});
