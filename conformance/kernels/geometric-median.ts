/**
 * geometric-median: where b_dec starts.
 *
 * The iteration stops when a round moves less than 1e-5, an absolute number, or after 100 rounds, so several answers are
 * right. An answer is accepted if
 * (a) one more round of the reference moves it by at most 1e-5 plus the rounding of a round, and it is not beside a row
 *     (a row holds every iterate that comes near, median or not); or
 * (b) it is as near to the reference's t-th iterate as rounding allows, for a t where a kernel may stop.
 * Only (b) covers rows on which 100 rounds do not converge, and rows so large that rounding alone moves more than 1e-5.
 * @module
 */
import fc from 'fast-check';
import { geometricMedian as medianReference, weiszfeld } from '../../reference/geometric-median.ts';
import { columnMeans, map, matrix, norm, row, type Matrix } from '../../reference/matrix.ts';
import { permutationOf, withNonFinite } from '../arbitraries.ts';
import { hasNonFinite } from '../compare.ts';
import { float32, type Profile } from '../error-model.ts';
import type { Call, KernelSpec } from '../kernel.ts';
import { answerOrRefusal, law, neverHidesNonFinite, only } from '../laws.ts';
import { smallerCalls } from '../smaller-calls.ts';
import { fromMatrix, fromVector, toMatrix } from '../tensors.ts';
import { growth } from './decoder-norm.ts';

const STOP = 1e-5;
const ROUNDS = 100;

/** The reference's iterates, how far a kernel's may be from each, and where a kernel may stop. */
interface Way {
  readonly iterates: readonly Float64Array[];
  readonly deviations: readonly number[];
  readonly mayStop: readonly boolean[];
  /** Smallest distance between an iterate and a row. */
  readonly nearest: number;
}

/** Settings of a comparison after the rows were moved or scaled: what the kernel's rows were, seen from these. */
interface Seen {
  /** Largest magnitude of each coordinate, as a vector's length: what rounding is relative to. */
  readonly magnitude: number;
  /** 1e-5 in the units of these rows. */
  readonly stop: number;
}

/** A loop, as it runs thousands of times in each case. */
function distance(a: Float64Array, b: Float64Array): number {
  let squares = 0;
  for (let i = 0; i < a.length; i++) squares += (a[i] - b[i]) ** 2;
  return Math.sqrt(squares);
}

const rowsOf = (points: Matrix): Float64Array[] =>
  Array.from({ length: points.rows }, (_, i) => row(points, i));

/** Length of the vector of each coordinate's largest magnitude. */
function magnitudeOf(points: Matrix): number {
  const largest = new Float64Array(points.cols);
  points.data.forEach((value, i) => {
    largest[i % points.cols] = Math.max(largest[i % points.cols], Math.abs(value));
  });
  return norm(largest);
}

/**
 * Rounding of one round: a distance takes d_in / 2 + 2 roundings and a root, its inverse a division; a weight over the
 * sum of N weights doubles that and adds N and a division; the weighted sum of N rows adds N. All relative to Σ p|x|,
 * which is at most the magnitude.
 */
function roundError(points: Matrix, { magnitude }: Seen, profile: Profile): number {
  return growth(points.cols + 2 * points.rows + 5, 5, profile) * magnitude;
}

/**
 * A deviation e of an iterate y becomes at most L e in the next round, L a bound of the derivative of a round
 * W(y) = Σ x_i/d_i / S, S = Σ 1/d_i, on the ball around y:
 * J = Σ (x_i - W)(x_i - y)ᵀ / (S d_i³). On the ball each 1/d_i and 1/S changes by a factor within 1 ± q,
 * q = e / (nearest - e), each x_i - y by at most q d_i, and W by at most L e, so
 * L <= ‖J(y)‖ + ((1 + q)⁵ - 1) Σ |x_i - W| / (S d_i²) + L q (1 + q)⁵.
 */
function spread(
  rows: readonly Float64Array[],
  distances: readonly number[],
  y: Float64Array,
  next: Float64Array,
  e: number,
): number {
  const d_in = y.length;
  const J = new Float64Array(d_in * d_in);
  const S = distances.reduce((sum, d) => sum + 1 / d, 0);
  let sizes = 0;
  rows.forEach((x, i) => {
    const scale = 1 / (S * distances[i] ** 3);
    for (let s = 0; s < d_in; s++) {
      for (let t = 0; t < d_in; t++) J[s * d_in + t] += (x[s] - next[s]) * (x[t] - y[t]) * scale;
    }
    sizes += distance(x, next) * distances[i] * scale;
  });
  const q = e / (Math.min(...distances) - e);
  return (norm(J) + ((1 + q) ** 5 - 1) * sizes) / (1 - q * (1 + q) ** 5);
}

/**
 * The reference's 100 rounds without its stop; null if an iterate comes so near to a row that rounding decides where the
 * iteration goes from there, or whether it meets the row.
 */
function wayOf(points: Matrix, seen: Seen, profile: Profile): Way | null {
  const rows = rowsOf(points);
  const iterates = [columnMeans(points)];
  const deviations = [growth(points.rows + 1, 1, profile) * seen.magnitude];
  const mayStop = [false];
  const width = Math.max(...rows.map((x) => distance(x, iterates[0])));
  const rounding = roundError(points, seen, profile);
  const stop = seen.stop * (1 + growth(points.cols / 2 + 3, 1, profile));
  let nearest = Infinity;
  for (let t = 0; ; t++) {
    const e = deviations[t];
    const distances = rows.map((x) => distance(x, iterates[t]));
    const gap = Math.min(...distances);
    if (!(gap > width / 64 && gap > 32 * e)) return null;
    nearest = Math.min(nearest, gap);
    if (t === ROUNDS) return { iterates, deviations, mayStop, nearest };
    const next = weiszfeld(points, iterates[t]);
    const after = spread(rows, distances, iterates[t], next, e) * e + rounding;
    mayStop.push(t + 1 === ROUNDS || distance(next, iterates[t]) - e - after <= stop);
    iterates.push(next);
    deviations.push(after);
  }
}

const asIs = (points: Matrix): Seen => ({ magnitude: magnitudeOf(points), stop: STOP });

/** What is wrong with an answer, in words; null if it is accepted. */
function wrongMedian(
  points: Matrix,
  got: Float64Array,
  profile: Profile,
  seen: Seen = asIs(points),
): string | null {
  const way = wayOf(points, seen, profile);
  // The declared arithmetic is too coarse for these rows to tell anything; never so in float32.
  if (way === null) return null;
  if (!got.every(Number.isFinite)) return `median returned [${got.join(', ')}]`;
  const beside = Math.min(...rowsOf(points).map((x) => distance(x, got)));
  if (beside >= way.nearest / 2) {
    const moved = distance(weiszfeld(points, got), got);
    if (moved <= seen.stop + roundError(points, seen, profile)) return null;
  }
  const near = way.iterates.some(
    (iterate, t) => way.mayStop[t] && distance(iterate, got) <= way.deviations[t],
  );
  if (near) return null;
  const end = way.iterates[way.mayStop.indexOf(true)];
  return `median returned [${got.join(', ')}], expected about [${end.join(', ')}]`;
}

const callOf = (points: Matrix): Call => ({ config: {}, inputs: { x: fromMatrix(points) } });
const pointsOf = (call: Call): Matrix => toMatrix(call.inputs.x);

/** Whole numbers times a power of two, from 2^-8 (where 1e-5 is coarse) to 2^16 (where it is below rounding). */
const anyPoints: fc.Arbitrary<Matrix> = fc
  .record({
    rows: fc.integer({ min: 2, max: 8 }),
    d_in: fc.integer({ min: 1, max: 4 }),
    power: fc.constantFrom(-8, -3, 0, 0, 10, 16),
    range: fc.constantFrom(4, 64),
  })
  .chain(({ rows, d_in, power, range }) =>
    fc
      .array(fc.integer({ min: -range, max: range }), {
        minLength: rows * d_in,
        maxLength: rows * d_in,
      })
      .map((data) =>
        matrix(
          rows,
          d_in,
          Float64Array.from(data, (n) => n * 2 ** power),
        ),
      ),
  );

/**
 * Rows whose iterates stay away from every row: else it is rounding that decides whether one is met. Four times the
 * magnitude leaves room for the laws that move rows.
 */
export const staysOffRows = (points: Matrix): boolean =>
  wayOf(points, { ...asIs(points), magnitude: 4 * magnitudeOf(points) }, float32) !== null;

const inputWords = { x: '(rows, d_in)' };

const pointsOffRows = smallerCalls(anyPoints.map(callOf), inputWords, {
  isValid: ({ inputs: { x } }) => x.shape[0] > 1,
})
  .map(pointsOf)
  .filter(staysOffRows);
export const medianCalls: fc.Arbitrary<Call> = pointsOffRows.map(callOf);

/** Four or more rows around a centre, and one row far from them. */
const withOutlier = fc
  .record({
    centre: fc.array(fc.integer({ min: -20, max: 20 }), { minLength: 3, maxLength: 3 }),
    offsets: fc.array(fc.integer({ min: -8, max: 8 }), { minLength: 12, maxLength: 18 }),
    direction: fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 3, maxLength: 3 }),
    far: fc.integer({ min: 6, max: 10 }),
  })
  .map(({ centre, offsets, direction, far }) => {
    const rows = Math.floor(offsets.length / 3);
    const around = offsets.slice(0, 3 * rows).map((offset, i) => centre[i % 3] + offset);
    const outlier = centre.map((c, i) => c + (direction[i] || 1) * 2 ** far);
    const points = matrix(rows + 1, 3, Float64Array.from([...around, ...outlier]));
    return { call: callOf(points), centre: Float64Array.from(centre) };
  })
  .filter(({ call }) => staysOffRows(pointsOf(call)));

/** One row, equal rows, or a row at the mean: small halves and 1, 2 or 4 rows, whose mean is exact in any arithmetic. */
const meetingRow: fc.Arbitrary<Call> = fc
  .record({
    centre: fc.array(fc.integer({ min: -8, max: 8 }), { minLength: 1, maxLength: 4 }),
    step: fc.integer({ min: 1, max: 8 }),
    sides: fc.constantFrom([0], [0, 0], [0, 0, 0, 0], [-1, 0, 0, 1], [1, 0, -1, 0]),
  })
  .map(({ centre, step, sides }) => {
    const data = sides.flatMap((side) => centre.map((c) => (c + side * step) / 2));
    return callOf(matrix(sides.length, centre.length, Float64Array.from(data)));
  });

export const geometricMedian: KernelSpec = {
  name: 'geometric-median',
  summary:
    "Weiszfeld's iteration from the mean, until a round moves less than 1e-5, 100 rounds at most",
  inputs: inputWords,
  outputs: { median: '(d_in)' },
  config: {},
  outputShapes: ({ inputs }) => ({ median: [inputs.x.shape[1]] }),
  reference: (call) => ({ median: fromVector(medianReference(pointsOf(call))) }),
  laws: [
    law(
      'one more round moves the median by less than 1e-5, unless 100 rounds or rounding end before',
      only(medianCalls),
      async ({ call }, { run, profile }) =>
        wrongMedian(pointsOf(call), (await run(call)).median.data, profile),
    ),
    law(
      'the order of rows does not matter, within rounding',
      pointsOffRows.chain((points) =>
        permutationOf(points.rows).map((order) => ({ call: callOf(points), order })),
      ),
      async ({ call, order }, { run, profile }) => {
        const points = pointsOf(call);
        const data = order.flatMap((i) => [...row(points, i)]);
        const permuted = callOf(matrix(points.rows, points.cols, Float64Array.from(data)));
        return wrongMedian(points, (await run(permuted)).median.data, profile);
      },
    ),
    law(
      'translating rows translates the median, within rounding',
      pointsOffRows.chain((points) =>
        fc
          .array(fc.integer({ min: -4, max: 4 }), {
            minLength: points.cols,
            maxLength: points.cols,
          })
          .map((steps) => ({ call: callOf(points), steps })),
      ),
      async ({ call, steps }, { run, profile }) => {
        const points = pointsOf(call);
        const unit = Math.max(...points.data.map(Math.abs)) / 4; // moved by the rows' size at most
        const shift = steps.map((step) => step * unit);
        const moved = map(points, (value, i) => value + shift[i % points.cols]);
        const got = (await run(callOf(moved))).median.data.map((value, i) => value - shift[i]);
        const magnitude = Math.max(magnitudeOf(points), magnitudeOf(moved));
        return wrongMedian(points, got, profile, { magnitude, stop: STOP });
      },
    ),
    law(
      'scaling rows by a power of two scales the median and the 1e-5 it is found to',
      pointsOffRows.chain((points) =>
        fc.integer({ min: -4, max: 4 }).map((power) => ({ call: callOf(points), power })),
      ),
      async ({ call, power }, { run, profile }) => {
        const points = pointsOf(call);
        const scaled = callOf(map(points, (value) => value * 2 ** power));
        const got = (await run(scaled)).median.data.map((value) => value / 2 ** power);
        const stop = STOP / 2 ** power;
        return wrongMedian(points, got, profile, { ...asIs(points), stop });
      },
    ),
    law(
      'one row far from four or more within r of a centre leaves the median within 2 r of it',
      withOutlier,
      async ({ call, centre }, { run }) => {
        const points = pointsOf(call);
        const others = Array.from({ length: points.rows - 1 }, (_, i) => row(points, i));
        const r = Math.max(...others.map((point) => distance(point, centre)));
        // Exactly: at most (1 - a) / √(1 - 2a) r, with a = 1 / rows <= 1 / 5 (Minsker 2015, lemma 2.1): 1.04 r.
        const from = distance((await run(call)).median.data, centre);
        return from <= 2 * r
          ? null
          : `the median is ${from} from the centre, expected ${2 * r} at most`;
      },
    ),
    law(
      'refuses rows of which one is the mean itself, as a single row is, or returns NaN',
      only(meetingRow),
      async ({ call }, subject) => {
        const output = await answerOrRefusal(call, subject);
        return output === null || hasNonFinite(output)
          ? null
          : `median returned [${output.median.data.join(', ')}] although a weight is infinite`;
      },
    ),
    neverHidesNonFinite(withNonFinite(medianCalls, ['x'])),
  ],
};
