/**
 * The same SAE cut to each of its Matryoshka prefixes.
 * @module
 */
import { addScaled, matrix, row } from '../reference/matrix.ts';
import type { EvaluationOptions, Judged } from './evaluate.ts';
import type { MetricName } from './metric-list.ts';
import { absorption } from './metrics/absorption.ts';
import { classification } from './metrics/classification.ts';
import { closestFeatures } from './metrics/closest-feature.ts';
import { cosines, foldDecoderNorms } from './metrics/code.ts';
import { explainedVariance } from './metrics/explained-variance.ts';
import { l0 } from './metrics/l0.ts';
import { maxDecoderCosine } from './metrics/max-decoder-cosine.ts';
import { mean } from './metrics/mean.ts';
import { matchLatents } from './metrics/mcc.ts';
import { featureTasks, probedFeatures, type ProbeTask } from './metrics/probe-task.ts';
import { sparseProbeAccuracy } from './metrics/probing.ts';
import { sparseRowsBuilder } from './sparse-rows.ts';
import type { World } from './worlds/world.ts';

export type PrefixMetric = Extract<
  MetricName,
  'mcc' | 'f1' | 'fullAbsorption' | 'explainedVariance' | 'l0' | 'probeTop1' | 'maxDecoderCosine'
>;

export interface PrefixEvaluation {
  /** Latents kept, the first ones. */
  readonly prefix: number;
  readonly metrics: Readonly<Record<PrefixMetric, number | null>>;
}

/**
 * @param prefixes - numbers of latents in 0..d_sae.
 * @param options - as for `evaluate`, and the same tasks from the same source of random numbers.
 * @throws {@link RangeError} on other prefixes, and as `evaluate` does.
 */
export function evaluatePrefixes(
  judged: Judged,
  world: Pick<World, 'directions' | 'edges'>,
  prefixes: readonly number[],
  { rng, features: probed }: EvaluationOptions = {},
): PrefixEvaluation[] {
  const { features } = judged;
  const tasks =
    rng && featureTasks(features, probed ?? probedFeatures(features.cols), rng.split('tasks'));
  return prefixes.map((prefix) => ({
    prefix,
    metrics: judgePrefix(firstLatents(judged, prefix), world, tasks ?? []),
  }));
}

function judgePrefix(
  { latents, W_dec, reconstruction, x, features }: Judged,
  world: Pick<World, 'directions' | 'edges'>,
  tasks: readonly ProbeTask[],
): PrefixEvaluation['metrics'] {
  const code = foldDecoderNorms(latents, W_dec);
  const cosine = cosines(code.decoder, world.directions);
  const matching = matchLatents(cosine);
  return {
    mcc: matching.mcc,
    f1: classification(code.latents, features, closestFeatures(cosine), matching).f1,
    fullAbsorption: absorption(code, features, world, cosine, matching).full,
    explainedVariance: explainedVariance(x, reconstruction),
    l0: l0(code.latents),
    probeTop1: mean(tasks.map((task) => sparseProbeAccuracy(code.latents, task, 1))),
    maxDecoderCosine: maxDecoderCosine(code.decoder),
  };
}

/**
 * What is left of a code with its first `prefix` latents: what the others added to the reconstruction is taken out of
 * it, so that biases and normalisation of the whole stay. How many its threshold would let through is not told.
 */
export function firstLatents(judged: Judged, prefix: number): Judged {
  const { latents, W_dec } = judged;
  if (!Number.isInteger(prefix) || prefix < 0 || prefix > W_dec.rows) {
    throw new RangeError(`prefix: expected a whole number in 0..${W_dec.rows}, got ${prefix}`);
  }
  const { x, features } = judged;
  const { rows, cols, data } = judged.reconstruction;
  const reconstruction = matrix(rows, cols, data.slice());
  const kept = sparseRowsBuilder(prefix);
  for (let n = 0; n < latents.rows; n++) {
    for (let e = latents.start[n]; e < latents.start[n + 1]; e++) {
      const l = latents.index[e];
      if (l < prefix) kept.add(l, latents.value[e]);
      else addScaled(row(reconstruction, n), row(W_dec, l), -latents.value[e]);
    }
    kept.endRow();
  }
  return {
    x,
    features,
    latents: kept.finish(),
    W_dec: matrix(prefix, W_dec.cols, W_dec.data.slice(0, prefix * W_dec.cols)),
    reconstruction,
  };
}
