/**
 * The hand-derived gradients against differences of a loss that is written out here a second time. Along one value of
 * one parameter, with selection and dead latents held, the loss is exactly quadratic, so a central difference is exact
 * for any step; the step here is 1.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { auxk, type Auxk } from '../../reference/auxk.ts';
import { decodePrefixes } from '../../reference/decode.ts';
import { dictionaryLearning, type Dialect } from '../../reference/dialects.ts';
import { preActivations, relu } from '../../reference/encode.ts';
import { gradients, suffixSums } from '../../reference/gradients.ts';
import { levelCoefficients, levelErrors } from '../../reference/loss.ts';
import { dot, fromRows, matrix, row, subtract, type Matrix } from '../../reference/matrix.ts';
import { paramNames, type SaeParams } from '../../reference/params.ts';
import { batchTopK, selectionScores } from '../../reference/select.ts';

const rows = 3;
const d_in = 4;
const d_sae = 6;
const prefixes = [2, 3, 6];
const weights = [0.5, 1, 2];
const alpha = 0.75;
const dead = Uint8Array.of(0, 1, 0, 1, 0, 1);

interface World {
  readonly x: Matrix;
  readonly params: SaeParams;
  readonly k: number;
}

const sixteenths = (length: number): fc.Arbitrary<Float64Array> =>
  fc
    .array(fc.integer({ min: -48, max: 48 }), { minLength: length, maxLength: length })
    .map((values) => Float64Array.from(values, (n) => n / 16));

const worlds: fc.Arbitrary<World> = fc
  .record({
    x: sixteenths(rows * d_in),
    W_enc: sixteenths(d_in * d_sae),
    b_enc: sixteenths(d_sae),
    W_dec: sixteenths(d_sae * d_in),
    b_dec: sixteenths(d_in),
    k: fc.constantFrom(0, 1, 2, d_sae),
  })
  .map(({ x, W_enc, b_enc, W_dec, b_dec, k }) => ({
    x: matrix(rows, d_in, x),
    params: {
      W_enc: matrix(d_in, d_sae, W_enc),
      b_enc,
      W_dec: matrix(d_sae, d_in, W_dec),
      b_dec,
    },
    k,
  }))
  // A decoder row of norm 0 has no score in the dialect that rescales.
  .filter(({ params }) =>
    [...Array(d_sae).keys()].every((j) => row(params.W_dec, j).some(Boolean)),
  );

/** What is held while parameters move. */
interface Held {
  readonly selected: readonly boolean[];
  readonly aux: Auxk;
  readonly residual: Matrix;
  /** What the auxiliary squared error is multiplied by. */
  readonly factor: number;
}

interface Forward extends Held {
  readonly pre: Matrix;
  readonly latents: Matrix;
  readonly errors: readonly Matrix[];
}

function forward({ x, params, k }: World, dialect: Dialect): Forward {
  const pre = preActivations(x, params, dialect);
  const acts = relu(pre);
  const latents = batchTopK(acts, k, selectionScores(acts, params.W_dec, dialect));
  const reconstructions = decodePrefixes(latents, params, prefixes);
  const residual = subtract(x, reconstructions[reconstructions.length - 1]);
  const values = dialect.auxk.values === 'acts' ? acts : pre;
  const aux = auxk(residual, values, params.W_dec, dead, alpha, dialect);
  const { loss } = auxk(residual, values, params.W_dec, dead, alpha, {
    ...dialect,
    auxk: { ...dialect.auxk, normaliser: 'none', scale: 'none', overDimensions: 'sum' },
  });
  return {
    pre,
    latents,
    errors: levelErrors(x, params.b_dec, reconstructions),
    aux,
    residual,
    selected: Array.from(latents.data, (latent) => latent > 0),
    factor: loss === 0 ? 0 : aux.loss / loss,
  };
}

/** Σ c_g L_g + alpha · auxk by definition, each level from scratch, with what is held. */
function total(world: World, held: Held, dialect: Dialect): number {
  const { x, params } = world;
  const c = levelCoefficients(weights, d_in, dialect);
  let sum = 0;
  for (let b = 0; b < rows; b++) {
    const pre = Array.from({ length: d_sae }, (_, j) => {
      let value = dialect.encode.usesEncoderBias ? params.b_enc[j] : 0;
      for (let i = 0; i < d_in; i++) {
        const shift = dialect.encode.subtractsDecoderBias ? params.b_dec[i] : 0;
        value += (x.data[b * d_in + i] - shift) * params.W_enc.data[i * d_sae + j];
      }
      return value;
    });
    for (let i = 0; i < d_in; i++) {
      const decoded = (uses: (j: number) => boolean): number =>
        pre.reduce((all, z, j) => (uses(j) ? all + z * params.W_dec.data[j * d_in + i] : all), 0);
      const target = x.data[b * d_in + i];
      [0, ...prefixes].forEach((width, g) => {
        const level = params.b_dec[i] + decoded((j) => j < width && held.selected[b * d_sae + j]);
        sum += (c[g] * (level - target) ** 2) / rows;
      });
      const full = params.b_dec[i] + decoded((j) => held.selected[b * d_sae + j]);
      const residual =
        dialect.auxk.residual === 'attached' ? target - full : held.residual.data[b * d_in + i];
      // A chosen act of 0 stays 0, as it is clamped; a chosen pre-activation moves.
      const auxiliary = decoded(
        (j) =>
          held.aux.chosen[b * d_sae + j] === 1 &&
          (dialect.auxk.values === 'pre-activations' || held.aux.latents.data[b * d_sae + j] > 0),
      );
      sum += (alpha * held.factor * (auxiliary - residual) ** 2) / rows;
    }
  }
  return sum;
}

const valuesOf = (params: SaeParams, name: (typeof paramNames)[number]): Float64Array => {
  const values = params[name];
  return values instanceof Float64Array ? values : values.data;
};

/** The world with one value of one parameter moved. */
function moved(world: World, name: (typeof paramNames)[number], at: number, by: number): World {
  const values = valuesOf(world.params, name).slice();
  values[at] += by;
  const param = world.params[name];
  const replaced = param instanceof Float64Array ? values : matrix(param.rows, param.cols, values);
  return { ...world, params: { ...world.params, [name]: replaced } };
}

function gradientsOf(world: World, at: Forward, dialect: Dialect): SaeParams {
  const c = levelCoefficients(weights, d_in, dialect);
  return gradients(
    { x: world.x, ...at, auxk: [{ ...at.aux, level: prefixes.length }] },
    world.params,
    prefixes,
    c,
    dialect,
  );
}

const change = (edit: (dialect: Dialect) => Partial<Dialect>): Dialect => ({
  ...dictionaryLearning,
  ...edit(dictionaryLearning),
});
const auxkWith = (choices: Partial<Dialect['auxk']>): Dialect =>
  change(({ auxk }) => ({ auxk: { ...auxk, ...choices } }));
const lossWith = (choices: Partial<Dialect['loss']>): Dialect =>
  change(({ loss }) => ({ loss: { ...loss, ...choices } }));
const encodeWith = (choices: Partial<Dialect['encode']>): Dialect =>
  change(({ encode }) => ({ encode: { ...encode, ...choices } }));

test.each<[string, Dialect]>([
  ['as published', dictionaryLearning],
  ['x not centred', encodeWith({ subtractsDecoderBias: false })],
  ['b_enc unused', encodeWith({ usesEncoderBias: false })],
  ['selected by acts times norm', change(() => ({ select: { score: 'acts-times-decoder-norm' } }))],
  ['b_dec alone as a level', lossWith({ emptyPrefix: true })],
  ['mean over dimensions', lossWith({ overDimensions: 'mean' })],
  ['sum over levels', lossWith({ overLevels: 'sum' })],
  ['auxk of pre-activations', auxkWith({ values: 'pre-activations' })],
  ['auxk residual attached', auxkWith({ residual: 'attached' })],
  ['auxk not normalised', auxkWith({ normaliser: 'none' })],
  ['auxk mean over dimensions', auxkWith({ overDimensions: 'mean' })],
  ['auxk with one latent', auxkWith({ k: 1 })],
  ['auxk with all dead latents', auxkWith({ k: 512 })],
  ['auxk scaled by the dead', auxkWith({ k: 1, scale: 'dead-fraction' })],
  [
    'attached pre-activations, b_dec a level, x not centred',
    {
      ...auxkWith({ residual: 'attached', values: 'pre-activations' }),
      loss: lossWith({ emptyPrefix: true }).loss,
      encode: encodeWith({ subtractsDecoderBias: false }).encode,
    },
  ],
])('gradients are central differences of the loss: %s', (_, dialect) => {
  fc.assert(
    fc.property(worlds, (world) => {
      const held = forward(world, dialect);
      const derived = gradientsOf(world, held, dialect);
      for (const name of paramNames) {
        const values = valuesOf(derived, name);
        for (let at = 0; at < values.length; at++) {
          const up = total(moved(world, name, at, 1), held, dialect);
          const down = total(moved(world, name, at, -1), held, dialect);
          const scale = Math.max(1, up, down);
          expect(Math.abs(values[at] - (up - down) / 2) / scale, `${name} ${at}`).toBeLessThan(
            1e-12,
          );
        }
      }
    }),
    { numRuns: 15 },
  );
});

describe('gradients', () => {
  test('are checked with every class of auxiliary latent', () => {
    const cases = fc.sample(worlds, 200).map((world) => forward(world, dictionaryLearning));
    const some = (holds: (at: Forward) => boolean): number => cases.filter(holds).length;
    expect(some(({ aux }) => aux.latents.data.some((value) => value > 0))).toBeGreaterThan(50);
    // Chosen although it is 0, and a dead latent that the batch selects all the same.
    const chosen = ({ aux }: Forward, is: (i: number) => boolean): boolean =>
      aux.chosen.some((flag, i) => flag === 1 && is(i));
    expect(some((at) => chosen(at, (i) => at.aux.latents.data[i] === 0))).toBeGreaterThan(20);
    expect(some((at) => chosen(at, (i) => at.selected[i]))).toBeGreaterThan(20);
    expect(some(({ selected }) => !selected.includes(true))).toBeGreaterThan(20);
  });

  test('are exactly 0 for a latent that is neither selected nor used by auxk', () => {
    fc.assert(
      fc.property(worlds, (world) => {
        const at = forward(world, dictionaryLearning);
        const { W_enc, b_enc, W_dec } = gradientsOf(world, at, dictionaryLearning);
        for (let j = 0; j < d_sae; j++) {
          const used = Array.from({ length: rows }, (_, b) => b * d_sae + j).some(
            (i) => at.selected[i] || at.aux.latents.data[i] > 0,
          );
          if (used) continue;
          const column = W_enc.data.filter((_, i) => i % d_sae === j);
          expect([...column, b_enc[j], ...row(W_dec, j)].every((g) => g === 0)).toBe(true);
        }
      }),
    );
  });

  test('of a latent keep ⟨W_enc_j, ∂W_enc_j⟩ + b_enc_j ∂b_enc_j = ⟨w_j, ∂w_j⟩', () => {
    // Scaling the encoder up and the decoder down by the same factor leaves every reconstruction as it is.
    fc.assert(
      fc.property(worlds, (world) => {
        const { params } = world;
        const at = forward(world, dictionaryLearning);
        const derived = gradientsOf(world, at, dictionaryLearning);
        for (let j = 0; j < d_sae; j++) {
          let encoder = params.b_enc[j] * derived.b_enc[j];
          for (let i = 0; i < d_in; i++) {
            encoder += params.W_enc.data[i * d_sae + j] * derived.W_enc.data[i * d_sae + j];
          }
          const decoder = dot(row(params.W_dec, j), row(derived.W_dec, j));
          const scale = 1 + Math.abs(encoder) + dot(at.residual.data, at.residual.data);
          expect(Math.abs(encoder - decoder) / scale).toBeLessThan(1e-11);
        }
      }),
    );
  });

  test('of b_enc are 0 where the dialect does not use it', () => {
    const dialect = encodeWith({ usesEncoderBias: false });
    const [world] = fc.sample(worlds, 1);
    expect([...gradientsOf(world, forward(world, dialect), dialect).b_enc]).toEqual(
      new Array(d_sae).fill(0),
    );
  });
});

test('each level receives the errors of its own and all later levels', () => {
  const errors = [fromRows([[1], [0]]), fromRows([[2], [4]]), fromRows([[-1], [1]])];
  const sums = suffixSums(errors, Float64Array.of(3, 0.5, 1));
  // 2 c_g / rows = 3, 0.5, 1.
  expect(sums.map(({ data }) => [...data])).toEqual([
    [3, 3],
    [0, 3],
    [-1, 1],
  ]);
});

test('detached, each level’s latents receive its own error alone, and b_dec all of them', () => {
  const errors = [fromRows([[1], [0]]), fromRows([[2], [4]]), fromRows([[-1], [1]])];
  const sums = suffixSums(errors, Float64Array.of(3, 0.5, 1), {
    innerLevels: 'detached',
    tilt: 0,
  });
  expect(sums.map(({ data }) => [...data])).toEqual([
    [3, 3],
    [1, 2],
    [-1, 1],
  ]);
});
