/**
 * All that is measured with probes, on one sample: sparse probing, erasure, TPP, SCR, RAVEL and unlearning share their
 * tasks, all but SCR their probes.
 * @module
 */
import type { Matrix } from '../../reference/matrix.ts';
import type { Rng } from '../rng.ts';
import type { SparseRows } from '../sparse-rows.ts';
import type { World } from '../worlds/world.ts';
import type { Code } from './code.ts';
import { conceptProbe, readOfLatents } from './concept-probe.ts';
import { erasureCurve, n95, type ErasureCurve } from './erasure.ts';
import { mean, meanDefined } from './mean.ts';
import { featureTasks } from './probe-task.ts';
import { sparseProbeAccuracy } from './probing.ts';
import { ravel } from './ravel.ts';
import { scr } from './scr.ts';
import { tpp } from './tpp.ts';
import { unlearning } from './unlearning.ts';

export interface ConceptMetrics {
  readonly probeTop1: number | null;
  readonly probeTop2: number | null;
  readonly probeTop5: number | null;
  readonly probeX: number | null;
  readonly erasure1: number | null;
  readonly erasureN95: number | null;
  readonly tpp1: number | null;
  readonly tpp5: number | null;
  readonly scr: number | null;
  readonly ravel: number | null;
  readonly unlearning: number | null;
}

/** Without a source of random numbers there are no splits, and so no figures. */
export const noConcepts: ConceptMetrics = {
  probeTop1: null,
  probeTop2: null,
  probeTop5: null,
  probeX: null,
  erasure1: null,
  erasureN95: null,
  tpp1: null,
  tpp5: null,
  scr: null,
  ravel: null,
  unlearning: null,
};

/**
 * @param x - (samples, d_in).
 * @param reconstruction - (samples, d_in): what RAVEL's probes read.
 * @param probed - features that get a probe; those with too few rows are skipped.
 * @param rng - of splits and negatives; equal ones give every code the same tasks.
 */
export function judgeConcepts(
  code: Code,
  { x, reconstruction }: { readonly x: Matrix; readonly reconstruction: Matrix },
  features: SparseRows,
  world: Pick<World, 'parents' | 'edges'>,
  probed: readonly number[],
  rng: Rng,
): { metrics: ConceptMetrics; erasure: ErasureCurve[] } {
  const tasks = featureTasks(features, probed, rng.split('tasks'));
  const probes = tasks.map((task) => conceptProbe(x, task));
  const read = { probes, reads: probes.map((probe) => readOfLatents(code.decoder, probe)) };
  const parents = new Set(world.parents);
  const erasure = probes
    .filter(({ task }) => parents.has(task.feature))
    .map((probe) => erasureCurve(code, probe));
  const top = (k: number): number | null =>
    mean(tasks.map((task) => sparseProbeAccuracy(code.latents, task, k)));
  return {
    erasure,
    metrics: {
      probeTop1: top(1),
      probeTop2: top(2),
      probeTop5: top(5),
      probeX: mean(probes.map(({ accuracy }) => accuracy)),
      erasure1: mean(erasure.map(({ drop }) => drop[0])),
      erasureN95: meanDefined(erasure.map(n95)),
      tpp1: tpp(code, probes, 1),
      tpp5: tpp(code, probes, 5),
      scr: scr(code, x, features, world, rng.split('scr')),
      ravel: ravel(code, reconstruction, features, world.edges, read),
      unlearning: unlearning(code, features, read),
    },
  };
}
