/**
 * Finds the few of many rare features that fire, without looking at the rest: thinning (Lewis and Shedler 1979) for
 * firing probabilities that change with every row. Features are grouped by how likely they are; in each group geometric skips
 * pick candidates at a rate no member can exceed, and the caller accepts a candidate with its
 * probability over that rate.
 *
 * Feature i fires where its own normal exceeds (t_i - U_i·ε) / √δ_i, and U_i·ε <= |U_i| |ε| (Cauchy–Schwarz). So
 * Q((t_i - |U_i| e) / √δ_i) bounds its probability in every row with |ε| <= e; a group's rate at e is the largest of
 * its members', tabulated for e on a grid.
 * @module
 */
import type { Rng } from '../rng.ts';
import type { LowRankCorrelation } from './low-rank-correlation.ts';
import { upperTail } from './normal.ts';

export const GROUP = 64;
const GRID_STEP = 0.1;
/** |ε| beyond √rank + this has probability under 1e-15; there every member is a candidate. */
const GRID_ABOVE_MEAN = 8.5;

/** Above this rate one draw for every member is cheaper than skips, which take a logarithm. */
const DENSE_RATE = 0.3;

/**
 * Calls `fires` with every feature that might be on in a row with the given |ε|, and a number v: the feature is on where v is
 * below its probability given ε. Features are left out with exactly the probability that v is not below it.
 */
export type TryCandidates = (
  length: number,
  rng: Rng,
  candidate: (feature: number, v: number) => void,
) => void;

/** The groups, and what bounds each at |ε| of every step of the grid: (groups, grid). */
export interface CandidateTables {
  /** Features, 64 of them to a group. */
  readonly members: Int32Array;
  readonly groups: number;
  readonly grid: number;
  readonly rates: Float64Array;
  /** log(1 - rate). */
  readonly logMisses: Float64Array;
}

/**
 * @param features - those to pick from.
 * @param thresholds - t, by feature.
 */
export function candidateTables(
  features: readonly number[],
  thresholds: Float64Array,
  { rank, factor, own }: LowRankCorrelation,
): CandidateTables {
  const reach = Float64Array.from(thresholds, (_, f) => {
    let square = 0;
    for (let r = 0; r < rank; r++) square += factor[f * rank + r] ** 2;
    // A shade above |U|, so that rounding cannot lift a product U·ε over |U| |ε|.
    return Math.sqrt(square) * (1 + 1e-12);
  });
  const least = (f: number, length: number): number => (thresholds[f] - reach[f] * length) / own[f];
  const typical = Math.sqrt(rank);
  const members = Int32Array.from(features).sort((a, b) => least(a, typical) - least(b, typical));
  const grid = rank === 0 ? 1 : Math.ceil((typical + GRID_ABOVE_MEAN) / GRID_STEP) + 1;
  const groups = Math.ceil(members.length / GROUP);
  const rates = new Float64Array(groups * grid);
  const logMisses = new Float64Array(groups * grid);
  for (let g = 0; g < groups; g++) {
    const group = members.subarray(g * GROUP, (g + 1) * GROUP);
    for (let k = 0; k < grid; k++) {
      let nearest = Infinity;
      for (const f of group) nearest = Math.min(nearest, least(f, k * GRID_STEP));
      rates[g * grid + k] = Math.min(1, upperTail(nearest) * (1 + 1e-12));
      logMisses[g * grid + k] = Math.log1p(-rates[g * grid + k]);
    }
  }
  return { members, groups, grid, rates, logMisses };
}

/** Arguments as {@link candidateTables}. */
export function candidatePicker(
  features: readonly number[],
  thresholds: Float64Array,
  correlation: LowRankCorrelation,
): TryCandidates {
  const { members, groups, grid, rates, logMisses } = candidateTables(
    features,
    thresholds,
    correlation,
  );
  return (length, rng, candidate) => {
    const { uniform } = rng;
    const k = Math.ceil(length / GRID_STEP);
    for (let g = 0; g < groups; g++) {
      const rate = k < grid ? rates[g * grid + k] : 1;
      const end = Math.min((g + 1) * GROUP, members.length);
      if (rate > DENSE_RATE) {
        for (let at = g * GROUP; at < end; at++) {
          const v = uniform();
          if (v < rate) candidate(members[at], v);
        }
      } else if (rate > 0) {
        // Members passed over before a candidate are geometric: ⌊log U / log(1 - rate)⌋ with U in (0, 1].
        const logMiss = logMisses[g * grid + k];
        let at = g * GROUP + Math.floor(Math.log(1 - uniform()) / logMiss);
        while (at < end) {
          candidate(members[at], uniform() * rate);
          at += 1 + Math.floor(Math.log(1 - uniform()) / logMiss);
        }
      }
    }
  };
}
