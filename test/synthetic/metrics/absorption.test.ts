import { describe, expect, test } from 'vitest';
import { fromRows, matrix, type Matrix } from '../../../reference/matrix.ts';
import type { Edge } from '../../../synthetic/worlds/world.ts';
import {
  absorption,
  rootAbsorption,
  saebenchLimits,
  type Absorption,
  type AbsorptionOptions,
} from '../../../synthetic/metrics/absorption.ts';
import { cosines } from '../../../synthetic/metrics/code.ts';
import { matchLatents } from '../../../synthetic/metrics/mcc.ts';
import { sparseRows } from '../../../synthetic/sparse-rows.ts';

// Parent 0 with children 1 and 2; directions are the axes.
const edges: Edge[] = [
  { parent: 0, child: 1 },
  { parent: 0, child: 2 },
];
const axes = fromRows([
  [1, 0, 0],
  [0, 1, 0],
  [0, 0, 1],
]);
const half = Math.SQRT1_2;

/** `counts` samples each of: parent alone, with child 1, with child 2, and nothing on. */
function samples(counts: readonly [number, number, number, number]): Matrix {
  const kinds = [
    [1, 0, 0],
    [1, 1, 0],
    [1, 0, 1],
    [0, 0, 0],
  ];
  return fromRows(
    counts.flatMap((count, kind) => Array.from({ length: count }, () => kinds[kind])),
  );
}

/** Latents from the features of each sample. */
function latents(features: Matrix, encode: (on: number[], n: number) => number[]): Matrix {
  return fromRows(
    Array.from({ length: features.rows }, (_, n) =>
      encode([...features.data.subarray(3 * n, 3 * n + 3)], n),
    ),
  );
}

function judge(
  features: Matrix,
  z: Matrix,
  decoder: Matrix,
  directions: Matrix = axes,
  options: AbsorptionOptions = {},
): Absorption {
  const cosine = cosines(decoder, directions);
  const matching = matchLatents(cosine);
  return absorption(
    { latents: sparseRows(z), decoder },
    sparseRows(features),
    { directions, edges },
    cosine,
    matching,
    options,
  );
}

const absorbing = fromRows([
  [1, 0, 0],
  [half, half, 0],
  [half, 0, half],
]);
/** Total absorption: the parent's latent fires alone only, children carry √2 along parent + child. */
const absorbed = (on: number[]): number[] => [
  on[0] * (1 - on[1]) * (1 - on[2]),
  Math.SQRT2 * on[1],
  Math.SQRT2 * on[2],
];

describe('absorption', () => {
  test('of a fully absorbing code is the share of the parent’s samples with a child, with clean gap 1', () => {
    const features = samples([40, 25, 35, 100]);
    const result = judge(features, latents(features, absorbed), absorbing);
    expect(result.full).toBe(0.6);
    expect(result.fraction).toBe(0.6);
    expect(result.recall).toBe(0.4);
    expect(result.cleanGap).toBe(1);
    // Without child 1: 40 alone of 75; without child 2: 40 of 65. With either: none.
    expect(result.edgeGap).toBeCloseTo((40 / 75 + 40 / 65) / 2, 14);
    expect(result.parents[0]).toMatchObject({ parent: 0, latent: 0, samples: 100, childRate: 0.6 });
  });

  test('of the truth is 0, with gaps 0 and recall 1', () => {
    const features = samples([40, 25, 35, 100]);
    const result = judge(features, features, axes);
    expect(result).toMatchObject({ full: 0, fraction: 0, recall: 1, cleanGap: 0, edgeGap: 0 });
  });

  test('full absorption needs a silent main latent: just above the limit is none', () => {
    const features = samples([40, 60, 0, 0]);
    for (const [main, full] of [
      [saebenchLimits.silent / 2, 0.6],
      [saebenchLimits.silent, 0],
    ]) {
      const z = latents(features, (on) => (on[1] ? [main, Math.SQRT2, 0] : [1, 0, 0]));
      expect(judge(features, z, absorbing).full).toBe(full);
    }
  });

  test('full absorption needs one absorber with cosine >= 0.025 that supplies 0.4 of the parent', () => {
    const features = samples([40, 60, 0, 0]);
    // Absorber along (c, √(1-c²), 0) with size z adds c z to the parent.
    for (const [cosine, size, full] of [
      [0.5, 0.81, 0.6],
      [0.5, 0.79, 0],
      [0.03, 20, 0.6],
      [0.02, 30, 0],
      [-0.5, 2, 0],
    ]) {
      const decoder = fromRows([
        [1, 0, 0],
        [cosine, Math.sqrt(1 - cosine ** 2), 0],
        [0, 0, 1],
      ]);
      const z = latents(features, (on) => (on[1] ? [0, size, 0] : [1, 0, 0]));
      expect(judge(features, z, decoder).full).toBe(full);
    }
  });

  test('two absorbers that only together supply enough are no full absorption, but count in the fraction', () => {
    const features = samples([0, 60, 0, 0]);
    const z = latents(features, () => [0, 0.3 / half, 0.3 / half]);
    const result = judge(features, z, absorbing);
    expect(result.full).toBe(0);
    expect(result.fraction).toBe(1);
  });

  test('the fraction splits what is left of the parent: main 0.25, absorber all the rest, is 0.75', () => {
    const features = samples([0, 60, 0, 0]);
    const fraction = (main: number, supplied: number): number | null =>
      judge(
        features,
        latents(features, () => [main, supplied / half, 0]),
        absorbing,
      ).fraction;
    expect(fraction(0.25, 0.75)).toBeCloseTo(0.75, 14);
    expect(fraction(0.25, 2)).toBeCloseTo(0.75, 14); // no more than what is left
    expect(fraction(0.5, 0.45)).toBeCloseTo(0.45 / 0.95, 14);
    expect(fraction(0.5, 0.39)).toBe(0); // below the share of 0.4
    expect(fraction(1, 2)).toBe(0); // main suffices
    expect(fraction(0, 0.45)).toBe(1);
  });

  test('the fraction counts at most three absorbers, each of cosine >= 0.1', () => {
    const features = samples([0, 60, 0, 0]);
    const absorber = (c: number, axis: number): number[] =>
      [c, 0, 0].map((v, i) => (i === axis ? Math.sqrt(1 - c * c) : v));
    const weak = fromRows([[1, 0, 0], absorber(0.09, 1), absorber(0.09, 2)]);
    expect(
      judge(
        features,
        latents(features, () => [0, 20, 20]),
        weak,
      ).fraction,
    ).toBe(0);
    const many = fromRows([[1, 0, 0], ...[1, 2, 1, 2].map((axis) => absorber(0.5, axis))]);
    // Each supplies 0.13: three are 0.39, below the share; four would be 0.52.
    expect(
      judge(
        features,
        latents(features, () => [0, 0.26, 0.26, 0.26, 0.26]),
        many,
      ).fraction,
    ).toBe(0);
    expect(
      judge(
        features,
        latents(features, () => [0, 0.28, 0.28, 0.28, 0]),
        many,
      ).fraction,
    ).toBe(1);
  });

  test('the parent’s own contribution scales with its direction’s length', () => {
    const features = samples([0, 60, 0, 0]);
    const long = fromRows([
      [2, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ]);
    const z = latents(features, () => [0, 1, 0]); // supplies 0.707: 0.35 of 2
    expect(judge(features, z, absorbing, long).full).toBe(0);
    expect(judge(features, z, absorbing).full).toBe(1);
  });
});

describe('absorption is undefined, not 0', () => {
  test('below 20 samples of the parent, and for gaps below 20 in a cell', () => {
    const few = samples([10, 5, 4, 100]);
    expect(judge(few, latents(few, absorbed), absorbing)).toMatchObject({
      full: null,
      fraction: null,
      recall: null,
      cleanGap: null,
      edgeGap: null,
    });
    const enough = samples([10, 5, 5, 100]);
    expect(judge(enough, latents(enough, absorbed), absorbing).full).toBe(0.5);

    const cell = samples([19, 30, 30, 0]);
    const result = judge(cell, latents(cell, absorbed), absorbing);
    expect(result.cleanGap).toBeNull();
    expect(result.full).toBeCloseTo(60 / 79, 14);
    // The edge gap's cell counts siblings too, so it still has a value.
    expect(result.edgeGap).toBeCloseTo(19 / 49, 14);
  });

  test('for a parent that never fires, and without edges', () => {
    const silent = samples([0, 0, 0, 50]);
    const result = judge(silent, silent, axes);
    expect(result).toMatchObject({ full: null, recall: null });
    expect(result.parents[0].samples).toBe(0);
    const features = samples([30, 30, 30, 0]);
    const none = absorption(
      { latents: sparseRows(features), decoder: axes },
      sparseRows(features),
      { directions: axes, edges: [] },
      axes,
      matchLatents(axes),
    );
    expect(none).toMatchObject({ full: null, cleanGap: null, edgeGap: null, parents: [] });
  });

  test('for a parent without a latent, which is counted as unrepresented', () => {
    const features = samples([30, 30, 30, 0]);
    const decoder = fromRows([
      [0, 1, 0],
      [0, 0, 1],
    ]);
    const z = latents(features, (on) => [on[1], on[2]]);
    const result = judge(features, z, decoder);
    expect(result).toMatchObject({ full: null, recall: null, edgeGap: null, unrepresented: 1 });
    expect(result.parents[0]).toMatchObject({ latent: -1, samples: 90, childRate: 60 / 90 });
  });

  test('for a direction of length 0, which adds nothing that could be absorbed', () => {
    const features = samples([30, 30, 30, 0]);
    const flat = fromRows([
      [0, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ]);
    expect(judge(features, features, axes, flat)).toMatchObject({ full: null, fraction: null });
  });
});

test('a dead SAE absorbs nothing, and its recall of 0 and flag say why', () => {
  const features = samples([30, 30, 30, 0]);
  const result = judge(features, matrix(90, 3), axes);
  expect(result).toMatchObject({ full: 0, fraction: 0, recall: 0, cleanGap: 0, edgeGap: 0 });
  expect(result.parents[0].mainDead).toBe(true);
  expect(judge(features, features, axes).parents[0].mainDead).toBe(false);
});

test('refuses latents and features of different samples', () => {
  expect(() => judge(samples([1, 0, 0, 0]), matrix(2, 3), axes)).toThrow('got 1 and 2');
});

describe('main latents chosen by F1', () => {
  /** The same counts in the half that chooses and in the half that is judged. */
  const twice = (counts: readonly [number, number, number, number]): Matrix => {
    const half = samples(counts);
    return matrix(2 * half.rows, 3, Float64Array.of(...half.data, ...half.data));
  };
  const chosen = (features: Matrix, z: Matrix, decoder: Matrix): Absorption =>
    judge(features, z, decoder, axes, { main: 'probe' });

  test('of the truth are the matched ones, with the same figures', () => {
    const features = twice([40, 25, 35, 100]);
    const result = chosen(features, features, axes);
    expect(result).toMatchObject({ full: 0, fraction: 0, recall: 1, cleanGap: 0, edgeGap: 0 });
    expect(result).toMatchObject({ splits: 1, mains: [[0]] });
    expect(result.parents[0]).toMatchObject({ latent: 0, samples: 100 });
  });

  test('of an absorbing code hold the absorbers: three latents, and nothing is absorbed any more', () => {
    const features = twice([40, 25, 35, 100]);
    const z = latents(features, absorbed);
    expect(chosen(features, z, absorbing)).toMatchObject({
      full: 0,
      fraction: 0,
      recall: 1,
      splits: 3,
      mains: [[0, 2, 1]],
      unrepresented: 0,
    });
    expect(judge(features, z, absorbing)).toMatchObject({ full: 0.6, splits: 1, mains: [[0]] });
  });

  test('that share a parent are silent together only: two halves of it absorb nothing', () => {
    // Latents 0 and 1 take turns at the parent; latent 2, rarely active, stands in for both in every tenth sample.
    const features = twice([60, 0, 0, 60]);
    const decoder = fromRows([
      [1, 0, 0],
      [1, 0.01, 0],
      [1, 0, 0.01],
    ]);
    const z = latents(features, ([on], n) =>
      on ? (n % 10 === 9 ? [0, 0, 1] : n % 2 === 0 ? [1, 0, 0] : [0, 1, 0]) : [0, 0, 1],
    );
    const result = chosen(features, z, decoder);
    expect(result.mains).toEqual([[0, 1]]);
    expect(result).toMatchObject({ splits: 2, full: 0.1, fraction: 0.1, recall: 0.9 });
  });

  test('are judged on the second half alone', () => {
    const features = twice([40, 25, 35, 100]);
    const z = latents(features, (on, n) => (n < 200 ? on : absorbed(on)));
    const result = chosen(features, z, absorbing);
    expect(result.mains).toEqual([[0]]);
    expect(result.full).toBe(0.6);
    expect(result.cleanGap).toBe(1);
  });

  test('leave a parent unrepresented where no latent is active beside it', () => {
    const features = twice([40, 25, 35, 100]);
    const result = chosen(features, matrix(400, 3), axes);
    expect(result).toMatchObject({ full: null, recall: null, splits: null, unrepresented: 1 });
    expect(result.parents[0].latent).toBe(-1);
  });
});

test('absorption of roots leaves out parents that are children', () => {
  const parent = (feature: number, full: number | null) => ({
    ...judge(samples([30, 0, 0, 0]), samples([30, 0, 0, 0]), axes).parents[0],
    parent: feature,
    full,
  });
  const tree: Edge[] = [
    { parent: 0, child: 1 },
    { parent: 1, child: 2 },
    { parent: 3, child: 4 },
  ];
  expect(rootAbsorption([parent(0, 0.2), parent(1, 0.9), parent(3, 0.4)], tree)).toBeCloseTo(0.3);
  expect(rootAbsorption([parent(0, null), parent(1, 0.9)], tree)).toBeNull();
  expect(rootAbsorption([], [])).toBeNull();
});
