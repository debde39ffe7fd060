/**
 * Targeted probe perturbation: removing a concept's latents should blind its own probe and no other.
 * Definition: SAEBench 0.6.0, scr_and_tpp/main.py, with probes for true features in place of classes of texts. The
 * audit of SAEBench (arXiv 2605.18229) finds it unreliable at its default settings; erasure.ts is told beside it.
 * @module
 */
import type { Code } from './code.ts';
import {
  ablatedScores,
  latentEffects,
  readOfLatents,
  strongestLatents,
  type ConceptProbe,
} from './concept-probe.ts';
import { mean } from './mean.ts';
import { balancedAccuracy } from './probing.ts';

/**
 * The drop of each probe when the `n` strongest latents of its concept go, minus the mean drop of the others; mean over
 * the probes.
 * @param probes - of one set of concepts, such as the children of one parent, or all that are probed.
 * @returns at most the probes' accuracy - ½; null for fewer than two probes.
 */
export function tpp(code: Code, probes: readonly ConceptProbe[], n: number): number | null {
  if (probes.length < 2) return null;
  const reads = probes.map((probe) => readOfLatents(code.decoder, probe));
  const scores = probes.map((target, i) => {
    const ablated = strongestLatents(latentEffects(code, target, reads[i]), n);
    const drops = probes.map(
      (probe, j) =>
        probe.accuracy - balancedAccuracy(ablatedScores(code, probe, reads[j], ablated)),
    );
    const others = drops.reduce((sum, drop) => sum + drop, 0) - drops[i];
    return drops[i] - others / (probes.length - 1);
  });
  return mean(scores);
}
