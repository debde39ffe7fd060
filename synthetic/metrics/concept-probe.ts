/**
 * A probe on x for one feature, and what it reads once latents are taken out of x.
 *
 * SAEBench patches a latent out and keeps the SAE's error: x' = decode(z without S) + (x - decode(z)). For a linear
 * decoder that is x' = x - Σ_{l in S} z_l w_l, so a probe v reads v·x - Σ z_l (w_l·v): x' is never made.
 * Definition: SAEBench 0.6.0, scr_and_tpp/main.py::ablated_precomputed_activations.
 * @module
 */
import { dot, matrix, row, type Matrix } from '../../reference/matrix.ts';
import type { Code } from './code.ts';
import { fitLogistic } from './logistic-regression.ts';
import { balancedAccuracy, meanDifferences } from './probing.ts';
import type { ProbeTask } from './probe-task.ts';

export interface ConceptProbe {
  readonly task: ProbeTask;
  /** v, (d_in). */
  readonly weights: Float64Array;
  readonly intercept: number;
  /** What it reads on the task's test rows. */
  readonly scores: Float64Array;
  /** Share of the test rows it gets right. */
  readonly accuracy: number;
}

/** Probes that several metrics share: equal places belong together. */
export interface ReadProbes {
  readonly probes: readonly ConceptProbe[];
  /** What each reads of every decoder row: see {@link readOfLatents}. */
  readonly reads: readonly Float64Array[];
}

/** @param x - (samples, d_in). */
export function conceptProbe(x: Matrix, task: ProbeTask): ConceptProbe {
  const { train, test } = task;
  const rows = matrix(train.length, x.cols);
  train.forEach((n, i) => rows.data.set(row(x, n), i * x.cols));
  const { weights, intercept } = fitLogistic(rows, train.length / 2);
  const scores = Float64Array.from(test, (n) => intercept + dot(weights, row(x, n)));
  return { task, weights, intercept, scores, accuracy: balancedAccuracy(scores) };
}

/** w_l · v: (d_sae). */
export function readOfLatents(decoder: Matrix, { weights }: ConceptProbe): Float64Array {
  return Float64Array.from({ length: decoder.rows }, (_, l) => dot(row(decoder, l), weights));
}

/** How far each latent moves the probe between the classes: (E[z_l | on] - E[z_l | off]) (w_l · v), (d_sae). */
export function latentEffects(
  { latents }: Code,
  probe: ConceptProbe,
  reads: Float64Array,
): Float64Array {
  return meanDifferences(latents, probe.task).map((difference, l) => difference * reads[l]);
}

/** The `n` latents of largest effect; only those above 0, so fewer where fewer help the probe. */
export function strongestLatents(effects: Float64Array, n: number): number[] {
  return [...effects.keys()]
    .filter((l) => effects[l] > 0)
    .sort((a, b) => effects[b] - effects[a] || a - b)
    .slice(0, n);
}

/** What the probe reads on its test rows, or on `rows`, with `ablated` taken out of x. */
export function ablatedScores(
  { latents }: Code,
  { scores, task }: Pick<ConceptProbe, 'scores' | 'task'>,
  reads: Float64Array,
  ablated: readonly number[],
): Float64Array {
  const gone = new Uint8Array(latents.cols);
  for (const l of ablated) gone[l] = 1;
  return scores.map((score, i) => {
    const n = task.test[i];
    let left = score;
    for (let e = latents.start[n]; e < latents.start[n + 1]; e++) {
      const l = latents.index[e];
      if (gone[l] === 1) left -= latents.value[e] * reads[l];
    }
    return left;
  });
}
