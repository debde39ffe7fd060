/**
 * Balanced yes-no questions for probes: which rows train and which test. Sizes as in the reliability audit of SAEBench
 * (github.com/decoderesearch/saebench-reliability-audit @28dd6c7, balanced_split).
 * @module
 */
import type { Rng } from '../rng.ts';
import { columnsOf, type SparseRows } from '../sparse-rows.ts';

/** Rows by number, in both lists the positives first and as many negatives after them. */
export interface ProbeTask {
  readonly feature: number;
  readonly train: Int32Array;
  readonly test: Int32Array;
}

/** Rows of each class, at most. */
export const TRAIN_ROWS = 512;
export const TEST_ROWS = 1500;
/** A task with fewer rows of a class than this, in training or in test, has no value. */
export const FEWEST_ROWS = 5;

/** All features of a small world, of a larger one the 24 even-numbered below 48: roots and children of its first trees. */
export function probedFeatures(features: number): number[] {
  const [end, by] = features <= 48 ? [features, 1] : [48, 2];
  return Array.from({ length: Math.ceil(end / by) }, (_, i) => i * by);
}

/** "Is the feature on?", a task for each feature with enough rows of either kind. */
export function featureTasks(
  features: SparseRows,
  probed: readonly number[],
  rng: Rng,
): ProbeTask[] {
  const byFeature = columnsOf(features);
  return probed.flatMap((feature) => {
    const on = byFeature.index.slice(byFeature.start[feature], byFeature.start[feature + 1]);
    const isOn = new Uint8Array(features.rows);
    for (const n of on) isOn[n] = 1;
    const off = Int32Array.from(isOn.keys()).filter((n) => isOn[n] === 0);
    const task = probeTask(feature, on, off, rng.split(`feature ${feature}`));
    return task === null ? [] : [task];
  });
}

/**
 * Half of the smaller class trains, up to {@link TRAIN_ROWS}; as many of the larger class at random.
 * @param on - rows of the positive class; reordered.
 * @param off - rows of the negative class; reordered.
 * @returns null for too few rows.
 */
export function probeTask(
  feature: number,
  on: Int32Array,
  off: Int32Array,
  rng: Rng,
): ProbeTask | null {
  const smaller = Math.min(on.length, off.length);
  const train = Math.min(TRAIN_ROWS, Math.floor(smaller / 2));
  const test = Math.min(TEST_ROWS, smaller - train);
  if (train < FEWEST_ROWS) return null;
  for (const rows of [on, off]) drawFirst(rows, train + test, rng);
  return {
    feature,
    train: joined(on.subarray(0, train), off.subarray(0, train)),
    test: joined(on.subarray(train, train + test), off.subarray(train, train + test)),
  };
}

/** Brings a random choice of `count` entries to the front, in random order (Fisher and Yates). */
export function drawFirst(rows: Int32Array, count: number, rng: Rng): void {
  for (let i = 0; i < count; i++) {
    const j = i + rng.below(rows.length - i);
    [rows[i], rows[j]] = [rows[j], rows[i]];
  }
}

export function joined(...parts: readonly Int32Array[]): Int32Array {
  return Int32Array.from(parts.flatMap((part) => [...part]));
}
