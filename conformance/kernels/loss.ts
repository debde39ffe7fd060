/**
 * loss: the squared error of each level, and their weighted mean.
 *
 * Also how operations outside matrix products are charged, as this is where they first occur.
 * @module
 */
import fc from 'fast-check';
import { dictionaryLearning } from '../../reference/dialects.ts';
import {
  levelCoefficients,
  levelErrors,
  levelLosses,
  reconstructionLoss,
} from '../../reference/loss.ts';
import { permutationOf, sizes, tensorOf, withNonFinite } from '../arbitraries.ts';
import { compareTensor, compareTensors } from '../compare.ts';
import { gamma, productSum, underflow, type Profile } from '../error-model.ts';
import type { Call, KernelSpec, Law, Tensor, Tensors } from '../kernel.ts';
import { agreesWithReference, law, neverHidesNonFinite, only } from '../laws.ts';
import { smallerCalls } from '../smaller-calls.ts';
import { fromVector, numbersOf, scalar, tensor, toMatrix } from '../tensors.ts';
import { unitLaws } from './loss-units.ts';

/**
 * What one division costs, in roundings: WGSL allows 2.5 units in the last place, 2.5 · 2^-23 = 5 · 2^-24. A correctly
 * rounded division costs 1, a multiplication by a rounded reciprocal 2.
 */
export const divisionRoundings = 5;

/** Relative growth of n operations outside matrix products: operands are not rounded to u_in, each result is stored. */
export function elementwise(n: number, profile: Profile): number {
  return gamma(n, Math.max(profile.u_acc, profile.u_out)) + gamma(n, 2 ** -53);
}

/** Relative growth of a sum of products that goes through so many further operations. */
export function growth(products: number, operations: number, profile: Profile): number {
  return (1 + productSum(products, profile)) * (1 + elementwise(operations, profile)) - 1;
}

/** Equal shares, ones, one level alone, none, or anything: in double, as a configuration holds them. */
export function levelWeightsOf(levels: number): fc.Arbitrary<number[]> {
  const each = (weight: fc.Arbitrary<number>): fc.Arbitrary<number[]> =>
    fc.array(weight, { minLength: levels, maxLength: levels });
  return fc.oneof(
    fc.constant(new Array<number>(levels).fill(1 / levels)),
    oneHot(levels).map(({ weights }) => weights),
    each(fc.integer({ min: 0, max: 6 }).map((n) => n / 2)),
    each(fc.integer({ min: 0, max: 700 }).map((n) => n / 100)),
  );
}

/** Weight at one level alone. */
export function oneHot(levels: number): fc.Arbitrary<{ weights: number[]; hot: number }> {
  return fc
    .tuple(fc.nat({ max: levels - 1 }), fc.constantFrom(1, 0.25, 3))
    .map(([hot, weight]) => ({
      weights: Array.from({ length: levels }, (_, g) => (g === hot ? weight : 0)),
      hot,
    }));
}

/** A new order of the first dimension: row t of the result is row order[t]. */
export function permuteRows({ shape, data }: Tensor, order: readonly number[]): Tensor {
  const width = data.length / order.length;
  return tensor(
    shape,
    data.map((_, i) => data[order[Math.floor(i / width)] * width + (i % width)]),
  );
}

/** x but for its last bits, as float32 holds it: where a difference of squares is nothing but rounding. */
function closeTo({ shape, data }: Tensor): fc.Arbitrary<Tensor> {
  const bits = fc.array(fc.integer({ min: -8, max: 8 }), {
    minLength: data.length,
    maxLength: data.length,
  });
  return bits.map((steps) =>
    tensor(
      shape,
      data.map((value, i) => Math.fround(value * (1 + steps[i] * 2 ** -22))),
    ),
  );
}

const inputWords = { x: '(…, d_in)', reconstructions: '(levels, …, d_in)' };

/** Reconstructions of any quality, close and exact ones included. */
export const lossCalls: fc.Arbitrary<Call> = smallerCalls(
  sizes.chain(({ lead, d_in }) =>
    fc.integer({ min: 1, max: 5 }).chain((levels) =>
      tensorOf([...lead, d_in]).chain((x) => {
        const level = fc.oneof(
          { weight: 4, arbitrary: tensorOf(x.shape) },
          { weight: 1, arbitrary: fc.constant(x) },
          { weight: 1, arbitrary: closeTo(x) },
        );
        return fc
          .record({
            reconstructions: fc.array(level, { minLength: levels, maxLength: levels }),
            level_weights: levelWeightsOf(levels),
          })
          .map(({ reconstructions, level_weights }) => ({
            config: { level_weights },
            inputs: {
              x,
              reconstructions: tensor(
                [levels, ...x.shape],
                reconstructions.flatMap(({ data }) => [...data]),
              ),
            },
          }));
      }),
    ),
  ),
  inputWords,
);

/** Each level of a stack (levels, …, d_in) by itself: (…, d_in). */
export function levelsOf({ shape, data }: Tensor): Tensor[] {
  const size = data.length / shape[0];
  return Array.from({ length: shape[0] }, (_, g) =>
    tensor(shape.slice(1), data.slice(g * size, (g + 1) * size)),
  );
}

const weightsOf = (call: Call): readonly number[] => numbersOf(call, 'level_weights');
const rowsOf = ({ inputs }: Call): number => toMatrix(inputs.x).rows;

function reference(call: Call): Tensors {
  const x = toMatrix(call.inputs.x);
  const levels = levelsOf(call.inputs.reconstructions).map(toMatrix);
  const losses = levelLosses(levelErrors(x, new Float64Array(x.cols), levels));
  const coefficients = levelCoefficients(weightsOf(call), x.cols, dictionaryLearning);
  return {
    level_losses: fromVector(losses.subarray(1)), // level 0, b_dec alone, is none of dl's
    loss: scalar(reconstructionLoss(losses, coefficients)),
  };
}

/** A value, and how far a right kernel's may be from it. */
export interface Known {
  readonly value: number;
  readonly error: number;
}

/**
 * Mean over rows of squares of values known within errors e: n squares summed and divided once, so
 * (Σ (2|v| e + e²) + ρ Σ (|v| + e)²) / rows.
 */
export function meanSquare(
  data: Float64Array,
  errors: Float64Array,
  rows: number,
  profile: Profile,
): Known {
  let value = 0;
  let propagated = 0;
  let magnitude = 0;
  let largest = 0;
  for (let i = 0; i < data.length; i++) {
    const size = Math.abs(data[i]);
    value += size * size;
    propagated += 2 * size * errors[i] + errors[i] ** 2;
    magnitude += (size + errors[i]) ** 2;
    largest = Math.max(largest, size + errors[i]);
  }
  const rho = growth(data.length, divisionRoundings + 1, profile);
  const tiny = underflow(2 * data.length, largest, profile) + underflow(1, 1, profile);
  return { value: value / rows, error: (propagated + rho * magnitude) / rows + tiny };
}

/**
 * E = x̂ - x is rounded once: e_E = u|E|. The total adds rounding of the weight to float32, the product, a division by
 * the number of levels and their sum: Σ w/G (e_L + ρ (L + e_L)).
 */
function lossBounds(
  call: Call,
  expected: Tensors,
  profile: Profile,
): { level_losses: Float64Array; loss: Float64Array } {
  const x = call.inputs.x.data;
  const level_losses = levelsOf(call.inputs.reconstructions).map(({ data }) => {
    const difference = data.map((value, i) => value - x[i]);
    const errors = difference.map(
      (value) => elementwise(1, profile) * Math.abs(value) + underflow(3, 1, profile),
    );
    return meanSquare(difference, errors, rowsOf(call), profile).error;
  });
  return {
    level_losses: Float64Array.from(level_losses),
    loss: Float64Array.of(totalBound(call, expected.level_losses.data, level_losses, profile)),
  };
}

/** Bound of the weighted mean of levels that are known within the given errors. */
function totalBound(
  call: Call,
  losses: ArrayLike<number>,
  errors: readonly number[],
  profile: Profile,
): number {
  const weights = weightsOf(call);
  const levels = weights.length;
  const rho = elementwise(levels + 2 + divisionRoundings, profile);
  return weights.reduce(
    (sum, weight, g) =>
      sum +
      (weight / levels) * (errors[g] + rho * (losses[g] + errors[g])) +
      underflow(4, Math.max(weight, losses[g]), profile),
    0,
  );
}

const withWeights = (call: Call, level_weights: readonly number[]): Call => ({
  ...call,
  config: { level_weights },
});

const linearInWeights: Law = law(
  'is linear in the level weights, and levels do not depend on them',
  lossCalls.chain((call) =>
    levelWeightsOf(weightsOf(call).length).map((weights) => ({ call, weights })),
  ),
  async ({ call, weights }, { run, profile }) => {
    const other = withWeights(call, weights);
    const sum = withWeights(
      call,
      weights.map((weight, g) => weight + weightsOf(call)[g]),
    );
    const first = await run(call);
    const second = await run(other);
    const together = await run(sum);
    const bound = (each: Call): ReturnType<typeof lossBounds> =>
      lossBounds(each, reference(each), profile);
    // Also the roundings of this sum, and of what the kernel returned.
    const limit =
      bound(sum).loss[0] +
      bound(call).loss[0] +
      bound(other).loss[0] +
      elementwise(4, profile) * (first.loss.data[0] + second.loss.data[0]);
    const levelLimit = bound(call).level_losses;
    return (
      compareTensor(
        'loss of summed weights',
        together.loss,
        scalar(first.loss.data[0] + second.loss.data[0]),
        () => limit,
      ) ??
      compareTensor(
        'level_losses under other weights',
        second.level_losses,
        first.level_losses,
        (g) => 2 * levelLimit[g],
      )
    );
  },
);

const oneLevelAlone: Law = law(
  'a weight at one level alone gives that level, weighted, over the number of levels',
  lossCalls.chain((call) =>
    oneHot(weightsOf(call).length).map(({ weights, hot }) => ({
      call: withWeights(call, weights),
      hot,
    })),
  ),
  async ({ call, hot }, { run, profile }) => {
    const { loss, level_losses } = await run(call);
    const weights = weightsOf(call);
    const expected = (weights[hot] * level_losses.data[hot]) / weights.length;
    const bounds = lossBounds(call, reference(call), profile);
    const limit = bounds.loss[0] + (weights[hot] * bounds.level_losses[hot]) / weights.length;
    return compareTensor(`loss of level ${hot}`, loss, scalar(expected), () => limit);
  },
);

const totalOfReported: Law = law(
  'the loss is the weighted mean of the levels it reports',
  only(lossCalls),
  async ({ call }, { run, profile }) => {
    const { loss, level_losses } = await run(call);
    const weights = weightsOf(call);
    const total = weights.reduce((sum, weight, g) => sum + weight * level_losses.data[g], 0);
    // Levels may be summed once more for the total, in another order: both have their error.
    const errors = [...lossBounds(call, reference(call), profile).level_losses];
    const limit = 2 * totalBound(call, level_losses.data, errors, profile);
    return compareTensor('loss', loss, scalar(total / weights.length), () => limit);
  },
);

const exactAtPerfection: Law = law(
  'a perfect reconstruction costs nothing, exactly',
  lossCalls.chain((call) =>
    fc
      .array(fc.boolean(), {
        minLength: weightsOf(call).length,
        maxLength: weightsOf(call).length,
      })
      .map((perfect) => {
        const { x, reconstructions } = call.inputs;
        const data = reconstructions.data.map((value, i) =>
          perfect[Math.floor(i / x.data.length)] ? x.data[i % x.data.length] : value,
        );
        const inputs = { x, reconstructions: tensor(reconstructions.shape, data) };
        return { call: { ...call, inputs }, perfect };
      }),
  ),
  async ({ call, perfect }, { run }) => {
    const { loss, level_losses } = await run(call);
    const expected = level_losses.data.map((value, g) => (perfect[g] ? 0 : value));
    const wrong = compareTensors({ level_losses }, { level_losses: fromVector(expected) }, {});
    if (wrong !== null || perfect.includes(false)) return wrong;
    return compareTensor('loss', loss, scalar(0), () => 0);
  },
);

const orderOfRows: Law = law(
  'the order of rows does not matter',
  lossCalls.chain((call) => permutationOf(rowsOf(call)).map((order) => ({ call, order }))),
  async ({ call, order }, { run, profile }) => {
    const { x, reconstructions } = call.inputs;
    const permuted = levelsOf(reconstructions).map((level) => permuteRows(level, order));
    const inputs = {
      x: permuteRows(x, order),
      reconstructions: tensor(
        reconstructions.shape,
        permuted.flatMap(({ data }) => [...data]),
      ),
    };
    const bounds = lossBounds(call, reference(call), profile);
    const { level_losses, loss } = await run(call);
    return compareTensors(
      await run({ ...call, inputs }),
      { level_losses, loss },
      {
        level_losses: bounds.level_losses.map((bound) => 2 * bound),
        loss: bounds.loss.map((bound) => 2 * bound),
      },
    );
  },
);

const notNegative: Law = law(
  'no level is negative, nor is the loss',
  only(lossCalls),
  async ({ call }, { run }) => {
    const outputs = await run(call);
    const values = [...outputs.level_losses.data, outputs.loss.data[0]];
    const wrong = values.find((value) => !(value >= 0));
    return wrong === undefined ? null : `returned ${wrong}, expected >= 0`;
  },
);

export const loss: KernelSpec = {
  name: 'loss',
  summary: 'mean over rows of ‖x̂_g - x‖², and the mean over levels of its weighted values',
  inputs: inputWords,
  outputs: { level_losses: '(levels), not weighted', loss: '()' },
  config: { level_weights: 'one weight >= 0 for each level' },
  outputShapes: (call) => ({ level_losses: [weightsOf(call).length], loss: [] }),
  reference,
  laws: [
    agreesWithReference(lossCalls, reference, lossBounds),
    ...unitLaws(lossCalls, lossBounds),
    linearInWeights,
    oneLevelAlone,
    totalOfReported,
    exactAtPerfection,
    orderOfRows,
    notNegative,
    neverHidesNonFinite(withNonFinite(lossCalls, ['x', 'reconstructions'])),
  ],
};
