/**
 * Spurious correlation removal. A probe is trained where two concepts T and S come and go together, so it reads both.
 * Tested on T alone, it is right more often once the latents of S are taken out of x; the score is the share of its
 * shortfall, from a probe trained for T, that comes back.
 * Definition: SAEBench 0.6.0, scr_and_tpp/main.py. Unbounded and noisy: below 0 where the latents of T go too.
 * @module
 */
import type { Matrix } from '../../reference/matrix.ts';
import { dot, row } from '../../reference/matrix.ts';
import type { Rng } from '../rng.ts';
import type { SparseRows } from '../sparse-rows.ts';
import { columnsOf } from '../sparse-rows.ts';
import type { World } from '../worlds/world.ts';
import type { Code } from './code.ts';
import { ablatedScores, conceptProbe, latentEffects, readOfLatents } from './concept-probe.ts';
import { mean } from './mean.ts';
import { drawFirst, joined } from './probe-task.ts';
import { balancedAccuracy, mostTelling } from './probing.ts';

/** Latents taken out: SAEBench's smallest setting. */
export const SCR_LATENTS = 2;
/** A pair of concepts needs as many rows of each of its four combinations. */
export const FEWEST_OF_CELL = 100;
/** Rows of a combination for training, and as many for test, at most. */
const ROWS_OF_CELL = 256;
/** A biased probe that falls short by less has nothing to regain. */
const LEAST_GAIN = 0.001;
/** Pairs of roots that are judged, at most. */
const PAIRS = 3;

/** Rows of a sample by which of two concepts is on. */
interface Cells {
  readonly both: Int32Array;
  readonly onlyFirst: Int32Array;
  readonly onlySecond: Int32Array;
  readonly neither: Int32Array;
}

/**
 * Mean over pairs of roots, that is of parents without a parent, of different trees.
 * @param x - (samples, d_in).
 * @returns null if no pair has enough rows of all four combinations.
 */
export function scr(
  code: Code,
  x: Matrix,
  features: SparseRows,
  { parents, edges }: Pick<World, 'parents' | 'edges'>,
  rng: Rng,
): number | null {
  const children = new Set(edges.map(({ child }) => child));
  const roots = parents.filter((parent) => !children.has(parent));
  const byFeature = columnsOf(features);
  const scores: number[] = [];
  for (let second = 1; second < roots.length; second++) {
    for (let first = 0; first < second && scores.length < PAIRS; first++) {
      const cells = cellsOf(byFeature, roots[first], roots[second]);
      if (Object.values(cells).some(({ length }) => length < FEWEST_OF_CELL)) continue;
      scores.push(scrOfPair(code, x, cells, rng.split(`${roots[first]} and ${roots[second]}`)));
    }
  }
  return mean(scores);
}

function cellsOf(byFeature: SparseRows, first: number, second: number): Cells {
  const kind = new Uint8Array(byFeature.cols);
  for (const [feature, bit] of [
    [first, 1],
    [second, 2],
  ]) {
    for (let i = byFeature.start[feature]; i < byFeature.start[feature + 1]; i++) {
      kind[byFeature.index[i]] += bit;
    }
  }
  const rows = Int32Array.from(kind.keys());
  const [neither, onlyFirst, onlySecond, both] = [0, 1, 2, 3].map((value) =>
    rows.filter((n) => kind[n] === value),
  );
  return { both, onlyFirst, onlySecond, neither };
}

/** In the direction in which the biased probe starts lower; the mean of both where it starts equally. */
function scrOfPair(code: Code, x: Matrix, cells: Cells, rng: Rng): number {
  const size = Math.min(
    ROWS_OF_CELL,
    ...Object.values(cells).map(({ length }: Int32Array) => Math.floor(length / 2)),
  );
  const ordered = [cells.both, cells.onlyFirst, cells.onlySecond, cells.neither];
  for (const rows of ordered) drawFirst(rows, 2 * size, rng);
  const part = (from: number): Int32Array[] =>
    ordered.map((rows) => rows.subarray(from, from + size));
  /** Both halves of a task with these combinations as positives, then these as negatives. */
  const task = (on: readonly number[], off: readonly number[]) => ({
    feature: -1,
    train: joined(...[...on, ...off].map((cell) => part(0)[cell])),
    test: joined(...[...on, ...off].map((cell) => part(size)[cell])),
  });
  const tasks = [task([0, 1], [2, 3]), task([0, 2], [1, 3])];
  const probes = tasks.map((one) => conceptProbe(x, one));
  const biased = conceptProbe(x, task([0], [3]));
  const reads = readOfLatents(code.decoder, biased);
  const directions = [0, 1].map((wanted) => {
    const target = tasks[wanted];
    const scores = Float64Array.from(
      target.test,
      (n) => biased.intercept + dot(biased.weights, row(x, n)),
    );
    const before = balancedAccuracy(scores);
    const spurious = probes[1 - wanted];
    const effects = latentEffects(code, spurious, readOfLatents(code.decoder, spurious));
    const ablated = mostTelling(effects, SCR_LATENTS);
    const after = balancedAccuracy(ablatedScores(code, { task: target, scores }, reads, ablated));
    const gain = probes[wanted].accuracy - before;
    return { before, score: gain < LEAST_GAIN ? 0 : (after - before) / gain };
  });
  const lowest = Math.min(...directions.map(({ before }) => before));
  const judged = directions.filter(({ before }) => before === lowest);
  return judged.reduce((sum, { score }) => sum + score, 0) / judged.length;
}
