/**
 * Our metrics under SAELens's names, and an SAE on a labelled sample as SAELens evaluates one.
 * @module
 */
import { zeroParams, type SaeParams } from '../../reference/params.ts';
import { startingAverages, type TrainConfig, type TrainState } from '../../reference/train-step.ts';
import { evaluate, type Judged, type MetricName } from '../evaluate.ts';
import type { Rng } from '../rng.ts';
import { trainedCode } from '../trained-code.ts';
import type { PeerWorld } from './peer-world.ts';

/** Accuracy is a number of SAELens's that our list of metrics leaves out: it is high wherever features are rare. */
export type PeerMetric = MetricName | 'accuracy';
export type PeerMetrics = Readonly<Record<PeerMetric, number | null>>;

/** Where each of SAELens's own numbers stands in what `SyntheticDataEvalResult.to_dict` writes. */
const inSaelens: Readonly<Partial<Record<PeerMetric, readonly string[]>>> = {
  mcc: ['mcc'],
  f1: ['classification', 'f1_score'],
  precision: ['classification', 'precision'],
  recall: ['classification', 'recall'],
  accuracy: ['classification', 'accuracy'],
  uniqueness: ['uniqueness'],
  explainedVariance: ['explained_variance'],
  shrinkage: ['shrinkage'],
  l0: ['sae_l0'],
  deadLatents: ['dead_latents'],
};

/** The metrics that both have. */
export const sharedMetrics = Object.keys(inSaelens) as readonly PeerMetric[];

/** SAELens's own value of a shared metric. @throws {@link RangeError} if it is not there. */
export function saelensValue(metrics: Readonly<Record<string, unknown>>, name: PeerMetric): number {
  let value: unknown = metrics;
  for (const key of inSaelens[name] ?? []) value = (value as Record<string, unknown>)[key];
  if (typeof value !== 'number') throw new RangeError(`metrics: SAELens wrote no ${name}`);
  return value;
}

/** An SAE with these weights on the peer's sample, selected in batches as in training. @param meanNorm - of the input. */
export function codeOf(
  params: SaeParams,
  { sample }: PeerWorld,
  config: TrainConfig,
  batch: number,
  meanNorm = 0,
): Judged {
  const moments = zeroParams(config.d_in, config.d_sae);
  const state: TrainState = {
    step: config.steps,
    params,
    m: moments,
    v: moments,
    threshold: 0,
    sinceFired: new Float64Array(config.d_sae),
    averages: { ...startingAverages(config), meanNorm },
  };
  return trainedCode(state, sample, config, batch).judged;
}

/** @param rng - of probes; without it, what needs probes is null. */
export function peerMetrics(code: Judged, { world }: PeerWorld, rng?: Rng): PeerMetrics {
  const { metrics, classification } = evaluate(code, world, rng === undefined ? {} : { rng });
  return { ...metrics, accuracy: classification.accuracy };
}
