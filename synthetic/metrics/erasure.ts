/**
 * Erasure curves: how much of a parent's trace in x goes with its n strongest latents. The measure of targeted erasure
 * that rests on one concept alone. A parent told by one latent is erased by it (a drop to ½, that is 0.5); an absorbed
 * one needs its children's latents too.
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
import { balancedAccuracy } from './probing.ts';

/** Latents ablated, as far as a curve goes. */
export const ERASED = [1, 2, 4, 8] as const;

export interface ErasureCurve {
  readonly parent: number;
  /** Latents ablated. */
  readonly n: readonly number[];
  /** Drop of the probe's accuracy on the parent after each, at most its accuracy: 0.5 leaves it nothing. */
  readonly drop: readonly number[];
}

export function erasureCurve(code: Code, probe: ConceptProbe): ErasureCurve {
  const reads = readOfLatents(code.decoder, probe);
  const effects = latentEffects(code, probe, reads);
  return {
    parent: probe.task.feature,
    n: ERASED,
    drop: ERASED.map((n) => {
      const scores = ablatedScores(code, probe, reads, strongestLatents(effects, n));
      return probe.accuracy - balancedAccuracy(scores);
    }),
  };
}

/** Fewest latents of the curve that give 95 % of its last drop; null if the last is no drop. */
export function n95({ n, drop }: ErasureCurve): number | null {
  const last = drop[drop.length - 1];
  if (!(last > 0)) return null;
  return n[drop.findIndex((value) => value >= 0.95 * last)];
}
