/**
 * Wrong centres of a batch.
 * @module
 */
import { geometricMedian } from '../../reference/geometric-median.ts';
import { addScaled, columnMeans, dot, norm, row, type Matrix } from '../../reference/matrix.ts';
import { fromVector, toMatrix } from '../tensors.ts';
import { nonFinite, type Mutant } from './mutant.ts';

function centring(centre: (points: Matrix) => Float64Array): Mutant['run'] {
  return (call) => ({ median: fromVector(centre(toMatrix(call.inputs.x))) });
}

interface Iteration {
  /** Weight of a row at this distance. */
  readonly weight?: (distance: number) => number;
  readonly normalised?: boolean;
  readonly rounds?: number;
  readonly stop?: number;
  readonly start?: (points: Matrix) => Float64Array;
}

/** The published iteration with some of its choices replaced. */
function iterating(how: Iteration): Mutant['run'] {
  const { weight = (d: number) => 1 / d, normalised = true, rounds = 100, stop = 1e-5 } = how;
  return centring((points) => {
    let centre = (how.start ?? columnMeans)(points);
    for (let round = 0; round < rounds; round++) {
      const weights = Float64Array.from({ length: points.rows }, (_, i) =>
        weight(norm(row(points, i).map((value, t) => value - centre[t]))),
      );
      const total = normalised ? weights.reduce((sum, w) => sum + w, 0) : 1;
      const next = new Float64Array(points.cols);
      weights.forEach((w, i) => addScaled(next, row(points, i), w / total));
      const moved = norm(next.map((value, t) => value - centre[t]));
      centre = next;
      if (moved < stop) break;
    }
    return centre;
  });
}

function sortedColumn(points: Matrix, t: number): Float64Array {
  return Float64Array.from({ length: points.rows }, (_, i) => row(points, i)[t]).sort();
}

/** Laws that tell what is wrong. */
const law = {
  fixedPoint:
    'one more round moves the median by less than 1e-5, unless 100 rounds or rounding end before',
  robust: 'one row far from four or more within r of a centre leaves the median within 2 r of it',
  moved: 'translating rows translates the median, within rounding',
  refused: 'refuses rows of which one is the mean itself, as a single row is, or returns NaN',
} as const;

export const mutants: readonly Mutant[] = [
  {
    operator: 'geometric-median',
    name: 'mean',
    imitates: 'b_dec started at the mean of the batch',
    diagnosis: [law.fixedPoint, law.robust],
    run: centring(columnMeans),
  },
  {
    operator: 'geometric-median',
    name: 'median of each coordinate',
    imitates: 'torch.median(dim=0)',
    diagnosis: [law.fixedPoint],
    run: centring((points) =>
      Float64Array.from({ length: points.cols }, (_, t) => {
        const column = sortedColumn(points, t);
        const half = column.length >> 1;
        return column.length % 2 === 1 ? column[half] : (column[half - 1] + column[half]) / 2;
      }),
    ),
  },
  {
    operator: 'geometric-median',
    name: 'weights not normalised',
    imitates: 'the division by the sum of weights left out',
    diagnosis: [law.fixedPoint, law.moved],
    run: iterating({ normalised: false }),
  },
  {
    operator: 'geometric-median',
    name: 'weights 1 / distance²',
    imitates: 'a root left out of the distance',
    diagnosis: [law.fixedPoint],
    run: iterating({ weight: (d) => 1 / (d * d) }),
  },
  {
    operator: 'geometric-median',
    name: 'weights grow with distance',
    imitates: 'a product where a division belongs',
    diagnosis: [law.fixedPoint, law.robust],
    run: iterating({ weight: (d) => d }),
  },
  {
    operator: 'geometric-median',
    name: 'one round',
    imitates: 'the first step from the mean taken for the fixed point',
    diagnosis: [law.fixedPoint],
    run: iterating({ rounds: 1 }),
  },
  {
    operator: 'geometric-median',
    name: 'ten rounds',
    imitates: 'a smaller limit than the published 100',
    diagnosis: [law.fixedPoint],
    run: iterating({ rounds: 10 }),
  },
  {
    operator: 'geometric-median',
    name: 'stopped at 1e-2',
    imitates: 'a tolerance of another library',
    diagnosis: [law.fixedPoint],
    run: iterating({ stop: 1e-2 }),
  },
  {
    operator: 'geometric-median',
    name: 'the row nearest to all others',
    imitates: 'a medoid taken for the median',
    diagnosis: [law.fixedPoint],
    run: centring((points) => {
      const sums = Array.from({ length: points.rows }, (_, i) =>
        Array.from({ length: points.rows }, (_, k) =>
          norm(row(points, i).map((value, t) => value - row(points, k)[t])),
        ).reduce((sum, d) => sum + d, 0),
      );
      return row(points, sums.indexOf(Math.min(...sums))).slice();
    }),
  },
  {
    operator: 'geometric-median',
    name: 'distances kept from 0 by an epsilon',
    imitates: 'a guard the published code does not have: a batch of one row is answered',
    diagnosis: [law.refused],
    run: iterating({ weight: (d) => 1 / Math.max(d, 1e-8) }),
  },
  {
    operator: 'geometric-median',
    name: 'NaN rows left out',
    imitates: 'nanmean',
    diagnosis: [nonFinite],
    run: centring((points) => {
      const finite = [...Array(points.rows).keys()].filter((i) =>
        Number.isFinite(dot(row(points, i), row(points, i))),
      );
      if (finite.length === points.rows) return geometricMedian(points);
      if (finite.length < 2) return columnMeans(points);
      const data = finite.flatMap((i) => [...row(points, i)]);
      return geometricMedian({
        rows: finite.length,
        cols: points.cols,
        data: Float64Array.from(data),
      });
    }),
  },
];
