/**
 * project-gradient and normalise-rows: what keeps decoder rows at unit norm.
 *
 * Both divide by L = ‖w‖ + epsilon. In floating point L is off by a relative
 * δ_L = (γ(d_in) / 2 + root + epsilon rounded + addition) + √(d_in · 2^-149) / L: squares of values below 2^-63 underflow,
 * and the root of what the sum lost is the most the norm can lose. With epsilon >= 2^-23 the last term stays below 2^-38
 * even where subnormals are flushed.
 * @module
 */
import fc from 'fast-check';
import {
  normaliseRows as normaliseReference,
  projectGradient as projectReference,
} from '../../reference/decoder-norm.ts';
import { dot, matrix, norm, row } from '../../reference/matrix.ts';
import { flatSizes, tensorOf, withNonFinite, type Sizes } from '../arbitraries.ts';
import { compareTensor, place } from '../compare.ts';
import { gamma, productSum, underflow, type Profile } from '../error-model.ts';
import type { Call, KernelSpec, Tensor, Tensors } from '../kernel.ts';
import { agreesWithReference, law, neverHidesNonFinite, only } from '../laws.ts';
import { smallerCalls } from '../smaller-calls.ts';
import { fromMatrix, numberOf, tensor, toMatrix } from '../tensors.ts';

/**
 * Relative growth through `products` multiplications, additions or rounded constants and `divisions` divisions or roots,
 * which a device may round worse than the rest (`u_div`, if the profile has it).
 */
export function growth(products: number, divisions: number, profile: Profile): number {
  const { u_div = profile.u_out }: Profile & { readonly u_div?: number } = profile;
  return (1 + productSum(products, profile)) * (1 + gamma(divisions, u_div)) - 1;
}

/** The profile of what never goes through a matrix unit: operands are used as given. */
export function elementwise(profile: Profile): Profile {
  return { ...profile, u_in: 0 };
}

/** What a value that is only copied may lose: nothing, or itself if it is subnormal and flushed. */
export function copied(profile: Profile): number {
  return profile.flushesSubnormals ? 2 ** -126 : 0;
}

/** The row of a two-dimensional tensor as a tensor of one row. */
function rowOf({ shape, data }: Tensor, j: number): Tensor {
  return tensor([1, shape[1]], data.slice(j * shape[1], (j + 1) * shape[1]));
}

/** Rows as they come, and rows of norm close to 1 as training keeps them. */
const weightsOf = ({ d_sae, d_in }: Sizes): fc.Arbitrary<Tensor> =>
  fc.oneof(
    { weight: 3, arbitrary: tensorOf([d_sae, d_in]) },
    {
      weight: 1,
      arbitrary: tensorOf([d_sae, d_in]).map((w) =>
        tensor(w.shape, normaliseReference(toMatrix(w), 2 ** -23).data.map(Math.fround)),
      ),
    },
  );

const projectWords = { gradient: '(d_sae, d_in)', W_dec: '(d_sae, d_in)' };

export const projectCalls: fc.Arbitrary<Call> = smallerCalls(
  flatSizes.chain((size) =>
    fc
      .record({
        W_dec: weightsOf(size),
        free: tensorOf([size.d_sae, size.d_in]),
        // Parallel to its row, where nothing but epsilon's share is left.
        parallel: fc.boolean(),
        epsilon: fc.constantFrom(1e-6, 1e-6, 2 ** -7),
      })
      .map(({ W_dec, free, parallel, epsilon }) => ({
        config: { epsilon },
        inputs: {
          gradient: parallel
            ? tensor(
                W_dec.shape,
                W_dec.data.map((w) => -2 * w),
              )
            : free,
          W_dec,
        },
      })),
  ),
  projectWords,
);

function projected(call: Call): Tensors {
  const { gradient, W_dec } = call.inputs;
  const out = projectReference(toMatrix(gradient), toMatrix(W_dec), numberOf(call, 'epsilon'));
  return { gradient: fromMatrix(out) };
}

/** √(d_in · 2^-149): the most that underflow of squares takes from a norm. */
const normUnderflow = (d_in: number, profile: Profile): number =>
  Math.sqrt(underflow(d_in, 1, profile));

/**
 * For each value: |ŵ_i| Σ|g||ŵ| times the growth of the dot product (d_in), twice ŵ (d_in / 2 + epsilon, addition, root,
 * division each) and the last product, plus the rounding of the difference. Any order of these steps, as (g·w) w / L²,
 * has the same count.
 */
function projectBounds(
  call: Call,
  _expected: Tensors,
  profile: Profile,
): { gradient: Float64Array } {
  const epsilon = numberOf(call, 'epsilon');
  const g = toMatrix(call.inputs.gradient);
  const W_dec = toMatrix(call.inputs.W_dec);
  const d_in = g.cols;
  const gradient = new Float64Array(g.data.length);
  for (let j = 0; j < g.rows; j++) {
    const length = norm(row(W_dec, j)) + epsilon;
    const unit = row(W_dec, j).map((w) => Math.abs(w) / length);
    const magnitude = row(g, j).map(Math.abs);
    const total = magnitude.reduce((sum, value) => sum + value, 0);
    const rho = growth(2 * d_in + 11, 4, profile) + (3 * normUnderflow(d_in, profile)) / length;
    // Each of the steps may lose one subnormal, then multiplied by Σ|g| or |w| and divided by L twice at most.
    const tiny =
      underflow(2 * d_in + 6, 1, profile) * Math.max(1, total) * Math.max(length, length ** -2);
    for (let i = 0; i < d_in; i++) {
      gradient[j * d_in + i] =
        rho * unit[i] * dot(magnitude, unit) +
        growth(1, 0, elementwise(profile)) * magnitude[i] +
        tiny;
    }
  }
  return { gradient };
}

/** Gradients at right angles to their rows: pairs (w_0, w_1) turned into (-w_1, w_0). */
const orthogonalCalls: fc.Arbitrary<Call> = projectCalls.map(({ config, inputs: { W_dec } }) => {
  const d_in = W_dec.shape[1];
  const turned = W_dec.data.map((_, at) => {
    const i = at % d_in;
    if (i % 2 === 1) return W_dec.data[at - 1];
    return i + 1 < d_in ? -W_dec.data[at + 1] : 0;
  });
  return { config, inputs: { gradient: tensor(W_dec.shape, turned), W_dec } };
});

export const projectGradient: KernelSpec = {
  name: 'project-gradient',
  summary: 'drops the part of each gradient row that is parallel to its row of W_dec',
  inputs: projectWords,
  outputs: { gradient: '(d_sae, d_in)' },
  config: { epsilon: 'added to the norm of each row' },
  outputShapes: ({ inputs }) => ({ gradient: inputs.gradient.shape }),
  reference: projected,
  laws: [
    agreesWithReference(projectCalls, projected, projectBounds),
    law(
      'a row of W_dec that is zero leaves its gradient as it is',
      projectCalls.chain((call) =>
        fc.nat({ max: call.inputs.W_dec.shape[0] - 1 }).map((j): { call: Call; j: number } => {
          const { W_dec } = call.inputs;
          const width = W_dec.shape[1];
          const zeroed = W_dec.data.map((w, i) => (Math.floor(i / width) === j ? 0 : w));
          const inputs = { ...call.inputs, W_dec: tensor(W_dec.shape, zeroed) };
          return { call: { ...call, inputs }, j };
        }),
      ),
      async ({ call, j }, { run, profile }) => {
        const got = rowOf((await run(call)).gradient, j);
        const expected = rowOf(call.inputs.gradient, j);
        return compareTensor(`gradient of zero row ${j}`, got, expected, () => copied(profile));
      },
    ),
    law(
      'a row projects alone as it does among others',
      projectCalls.chain((call) =>
        fc.nat({ max: call.inputs.W_dec.shape[0] - 1 }).map((j) => ({ call, j })),
      ),
      async ({ call, j }, { run, profile }) => {
        const { gradient, W_dec } = call.inputs;
        const single: Call = {
          ...call,
          inputs: { gradient: rowOf(gradient, j), W_dec: rowOf(W_dec, j) },
        };
        const bound = projectBounds(single, {}, profile).gradient;
        const together = rowOf((await run(call)).gradient, j);
        const alone = (await run(single)).gradient;
        return compareTensor(`row ${j} alone`, alone, together, (i) => 2 * bound[i]);
      },
    ),
    law(
      'of the part parallel to a row of norm n there remains 1 - (n / (n + epsilon))²',
      only(projectCalls),
      async ({ call }, { run, profile }) => {
        const got = toMatrix((await run(call)).gradient);
        const g = toMatrix(call.inputs.gradient);
        const W_dec = toMatrix(call.inputs.W_dec);
        const bounds = matrix(g.rows, g.cols, projectBounds(call, {}, profile).gradient);
        for (let j = 0; j < g.rows; j++) {
          const w = row(W_dec, j);
          const epsilon = numberOf(call, 'epsilon');
          const share = epsilon / (norm(w) + epsilon); // 1 - n / (n + epsilon)
          const expected = share * (2 - share) * dot(row(g, j), w);
          const parallel = dot(row(got, j), w);
          const magnitude = dot(row(g, j).map(Math.abs), w.map(Math.abs));
          // The kernel's bound, and the float64 rounding of the two products taken here.
          const bound =
            dot(row(bounds, j), w.map(Math.abs)) + gamma(2 * g.cols + 4, 2 ** -53) * magnitude;
          if (!(Math.abs(parallel - expected) <= bound)) {
            return `row ${j} has a product of ${parallel} with its row of W_dec, expected ${expected} ± ${bound.toExponential(2)}`;
          }
        }
        return null;
      },
    ),
    law(
      'a gradient orthogonal to its row comes back as it was, within rounding',
      only(orthogonalCalls),
      async ({ call }, { run, profile }) => {
        const bound = projectBounds(call, {}, profile).gradient;
        const { gradient } = await run(call);
        return compareTensor('gradient', gradient, call.inputs.gradient, (i) => bound[i]);
      },
    ),
    neverHidesNonFinite(withNonFinite(projectCalls, ['gradient', 'W_dec'])),
  ],
};

const normaliseWords = { W_dec: '(d_sae, d_in)' };

export const normaliseCalls: fc.Arbitrary<Call> = smallerCalls(
  flatSizes.chain((size) =>
    fc
      .record({
        W_dec: weightsOf(size),
        epsilon: fc.constantFrom(2 ** -23, 2 ** -23, 2 ** -7),
      })
      .map(({ W_dec, epsilon }) => ({ config: { epsilon }, inputs: { W_dec } })),
  ),
  normaliseWords,
);

function normalised(call: Call): Tensors {
  const out = normaliseReference(toMatrix(call.inputs.W_dec), numberOf(call, 'epsilon'));
  return { W_dec: fromMatrix(out) };
}

/** |w| / L times the growth of L (d_in / 2, epsilon, addition, root) and of the division, or of 1 / L times w. */
function normaliseBounds(
  call: Call,
  _expected: Tensors,
  profile: Profile,
): { W_dec: Float64Array } {
  const w = toMatrix(call.inputs.W_dec);
  const bounds = new Float64Array(w.data.length);
  for (let j = 0; j < w.rows; j++) {
    const length = norm(row(w, j)) + numberOf(call, 'epsilon');
    const rho = growth(w.cols / 2 + 4, 2, profile) + (2 * normUnderflow(w.cols, profile)) / length;
    const tiny = underflow(2, 1, profile) * Math.max(1, 1 / length);
    for (let i = 0; i < w.cols; i++) {
      bounds[j * w.cols + i] = (rho * Math.abs(row(w, j)[i])) / length + tiny;
    }
  }
  return { W_dec: bounds };
}

export const normaliseRows: KernelSpec = {
  name: 'normalise-rows',
  summary: 'w_j / (‖w_j‖ + epsilon) for each row of W_dec',
  inputs: normaliseWords,
  outputs: { W_dec: '(d_sae, d_in)' },
  config: { epsilon: 'added to the norm of each row' },
  outputShapes: ({ inputs }) => ({ W_dec: inputs.W_dec.shape }),
  reference: normalised,
  laws: [
    agreesWithReference(normaliseCalls, normalised, normaliseBounds),
    law(
      'a zero row stays zero',
      only(
        normaliseCalls.map((call) => ({
          ...call,
          inputs: {
            W_dec: tensor(
              call.inputs.W_dec.shape,
              call.inputs.W_dec.data.map((w, i) => (i < call.inputs.W_dec.shape[1] ? 0 : w)),
            ),
          },
        })),
      ),
      async ({ call }, { run }) => {
        const got = rowOf((await run(call)).W_dec, 0);
        return compareTensor('row 0 of W_dec', got, rowOf(call.inputs.W_dec, 0), () => 0);
      },
    ),
    law(
      'a row normalises alone as it does among others',
      normaliseCalls.chain((call) =>
        fc.nat({ max: call.inputs.W_dec.shape[0] - 1 }).map((j) => ({ call, j })),
      ),
      async ({ call, j }, { run, profile }) => {
        const single: Call = { ...call, inputs: { W_dec: rowOf(call.inputs.W_dec, j) } };
        const bound = normaliseBounds(single, {}, profile).W_dec;
        const together = rowOf((await run(call)).W_dec, j);
        const alone = (await run(single)).W_dec;
        return compareTensor(`row ${j} alone`, alone, together, (i) => 2 * bound[i]);
      },
    ),
    law(
      'a row of norm n gets norm n / (n + epsilon)',
      only(normaliseCalls),
      async ({ call }, { run, profile }) => {
        const before = toMatrix(call.inputs.W_dec);
        const after = toMatrix((await run(call)).W_dec);
        const bounds = matrix(before.rows, before.cols, normaliseBounds(call, {}, profile).W_dec);
        for (let j = 0; j < before.rows; j++) {
          const n = norm(row(before, j));
          if (n === 0) continue;
          const expected = n / (n + numberOf(call, 'epsilon'));
          const got = norm(row(after, j));
          const bound = norm(row(bounds, j)) + gamma(before.cols + 4, 2 ** -53);
          if (!(Math.abs(got - expected) <= bound)) {
            return `row ${j} of norm ${n} got norm ${got}, expected ${expected} ± ${bound.toExponential(2)}`;
          }
        }
        return null;
      },
    ),
    law(
      'a row keeps its direction: one factor for all its values',
      only(normaliseCalls),
      async ({ call }, { run, profile }) => {
        const before = toMatrix(call.inputs.W_dec);
        const after = toMatrix((await run(call)).W_dec);
        // Of one row, values differ by the rounding of their own division, or product with 1 / L, alone.
        const rho = 2 * growth(1, 1, elementwise(profile));
        for (let j = 0; j < before.rows; j++) {
          const w = row(before, j);
          const largest = w.reduce(
            (at, value, i) => (Math.abs(value) > Math.abs(w[at]) ? i : at),
            0,
          );
          if (w[largest] === 0) continue;
          const factor = row(after, j)[largest] / w[largest];
          const length = norm(w) + numberOf(call, 'epsilon');
          const tiny = underflow(4, 1, profile) * Math.max(1, 1 / length);
          for (let i = 0; i < w.length; i++) {
            const got = row(after, j)[i];
            const expected = factor * w[i];
            if (!(Math.abs(got - expected) <= rho * Math.abs(expected) + tiny)) {
              return `W_dec${place(j * w.length + i, [before.rows, w.length])} returned ${got}, expected ${expected}: the row was multiplied by ${factor} at ${largest}`;
            }
          }
        }
        return null;
      },
    ),
    law(
      'normalising again moves a row of norm n by at most epsilon + epsilon / n',
      only(normaliseCalls),
      async ({ call }, { run, profile }) => {
        const epsilon = numberOf(call, 'epsilon');
        const once = await run(call);
        const again: Call = { ...call, inputs: { W_dec: once.W_dec } };
        const before = toMatrix(call.inputs.W_dec);
        const first = toMatrix(once.W_dec);
        const second = toMatrix((await run(again)).W_dec);
        const bounds = [call, again].map((each) =>
          matrix(before.rows, before.cols, normaliseBounds(each, {}, profile).W_dec),
        );
        for (let j = 0; j < before.rows; j++) {
          const n = norm(row(before, j));
          if (n === 0) continue;
          const moved = norm(row(second, j).map((value, i) => value - row(first, j)[i]));
          const rounding = bounds.reduce((sum, bound) => sum + norm(row(bound, j)), 0);
          if (!(moved <= epsilon + epsilon / n + rounding)) {
            return `row ${j} of norm ${n} moved by ${moved} when normalised again`;
          }
        }
        return null;
      },
    ),
    neverHidesNonFinite(withNonFinite(normaliseCalls, ['W_dec'])),
  ],
};
