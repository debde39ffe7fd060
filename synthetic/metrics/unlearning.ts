/**
 * Unlearning: how far a feature can be made unreadable while everything else stays readable. Latents that are active
 * with the feature, and hardly ever without it, are set to a large negative value wherever they are active; probes
 * read what comes of x.
 *
 * Definition: SAEBench 0.6.0, unlearning/eval_config.py and README.md, with rows that have the feature for the text to
 * be forgotten, rows that have not for the text to be retained, and probes for the questions. Settings as there; a
 * latent's negative value is a multiple of its own mean activation, since latents here have no common scale.
 *
 * Absorption does not show: with ten latents at hand, those that absorb a parent go with its own.
 * @module
 */
import { columnsOf, type SparseRows } from '../sparse-rows.ts';
import type { Code } from './code.ts';
import type { ConceptProbe, ReadProbes } from './concept-probe.ts';
import { mean, meanDefined } from './mean.ts';

/** A latent active in a larger share of the retained rows is let alone. */
export const RETAINED_RATES = [0.001, 0.01] as const;
/** Latents clamped, at most: those most often active where the feature is on. */
export const CLAMPED_LATENTS = [10, 20] as const;
/** A clamped latent is set to minus so many times its mean activation where the feature is on. */
export const CLAMP_FACTORS = [25, 50, 100, 200] as const;
/** Share of the other probes' accuracy that a setting must leave. */
export const RETAINED_ACCURACY = 0.99;

/**
 * For each probed feature the largest drop of its probe's accuracy over the settings that leave the other probes, on
 * their test rows without the feature, at least {@link RETAINED_ACCURACY} of their mean accuracy; 0 if none does or
 * nothing drops. Latents are chosen on rows that do not test the feature's probe.
 * @param features - (samples, features).
 * @returns mean over probed features, in [0, 1], 0.5 where a probe that was right is left nothing; null for fewer than
 *   two probes.
 */
export function unlearning(
  { latents }: Code,
  features: SparseRows,
  { probes, reads }: ReadProbes,
): number | null {
  if (probes.length < 2) return null;
  const byFeature = columnsOf(features);
  const byLatent = columnsOf(latents);
  return meanDefined(
    probes.map(({ task }, t) => {
      const { feature } = task;
      const on = byFeature.index.subarray(byFeature.start[feature], byFeature.start[feature + 1]);
      const isOn = new Uint8Array(features.rows);
      for (const n of on) isOn[n] = 1;
      const forgotten = questions(probes[t], reads[t], () => true);
      const retained = probes
        .map((probe, p) => questions(probe, reads[p], (n) => p !== t && isOn[n] === 0))
        .filter(({ rows }) => rows.length > 0);
      if (retained.length === 0) return null;
      let best = 0;
      for (const clamp of clamps(latents, byLatent, on, task.test)) {
        const ofForgotten = changesOf(latents, forgotten, clamp);
        const ofRetained = retained.map((other) => changesOf(latents, other, clamp));
        for (const factor of CLAMP_FACTORS) {
          const drop = accuracyOf(forgotten) - accuracyOf(forgotten, ofForgotten, factor);
          if (!(drop > best)) continue;
          const before = mean(retained.map((other) => accuracyOf(other)))!;
          const after = mean(retained.map((other, i) => accuracyOf(other, ofRetained[i], factor)))!;
          if (after >= RETAINED_ACCURACY * before) best = drop;
        }
      }
      return best;
    }),
  );
}

/** Test rows of a probe, and what it says of them. */
interface Questions {
  readonly rows: readonly number[];
  readonly scores: readonly number[];
  /** 1 for each row that has the probe's feature. */
  readonly positive: readonly number[];
  /** Rows it gets right. */
  readonly right: number;
  readonly reads: Float64Array;
}

function questions(
  { task, scores }: ConceptProbe,
  reads: Float64Array,
  asked: (n: number) => boolean,
): Questions {
  const places = [...task.test.keys()].filter((i) => asked(task.test[i]));
  const half = task.test.length / 2;
  return {
    rows: places.map((i) => task.test[i]),
    scores: places.map((i) => scores[i]),
    positive: places.map((i) => (i < half ? 1 : 0)),
    right: places.filter((i) => scores[i] > 0 === i < half).length,
    reads,
  };
}

/** Latents to clamp, and where that changes anything. */
interface Clamp {
  /** Mean activation of each where the feature is on; 0 for latents let alone: (d_sae). */
  readonly means: Float64Array;
  /** 1 for each row in which one of them is active: (samples). */
  readonly touched: Uint8Array;
}

/** One for each different choice that the settings make. Rows of the test choose nothing. */
function clamps(
  latents: SparseRows,
  byLatent: SparseRows,
  on: Int32Array,
  test: Int32Array,
): Clamp[] {
  const kind = new Uint8Array(latents.rows).fill(RETAINED);
  for (const n of on) kind[n] = FORGOTTEN;
  for (const n of test) kind[n] = HELD_OUT;
  const rowsOfKind = [0, 0, 0];
  for (const each of kind) rowsOfKind[each]++;
  const activity = Array.from({ length: latents.cols }, (_, latent) => {
    const rows = [0, 0, 0];
    let sum = 0;
    for (let i = byLatent.start[latent]; i < byLatent.start[latent + 1]; i++) {
      const each = kind[byLatent.index[i]];
      rows[each]++;
      if (each === FORGOTTEN) sum += byLatent.value[i];
    }
    return { latent, retained: rows[RETAINED], forgotten: rows[FORGOTTEN], sum };
  })
    .filter(({ forgotten }) => forgotten > 0)
    .sort((a, b) => b.forgotten - a.forgotten || a.latent - b.latent);

  const chosen = new Map<string, Clamp>();
  for (const rate of RETAINED_RATES) {
    const rare = activity.filter(({ retained }) => retained <= rate * rowsOfKind[RETAINED]);
    for (const count of CLAMPED_LATENTS) {
      const some = rare.slice(0, count);
      const key = some.map(({ latent }) => latent).join();
      if (some.length === 0 || chosen.has(key)) continue;
      const means = new Float64Array(latents.cols);
      const touched = new Uint8Array(latents.rows);
      for (const { latent, forgotten, sum } of some) {
        means[latent] = sum / forgotten;
        for (let i = byLatent.start[latent]; i < byLatent.start[latent + 1]; i++) {
          touched[byLatent.index[i]] = 1;
        }
      }
      chosen.set(key, { means, touched });
    }
  }
  return [...chosen.values()];
}

const RETAINED = 0;
const FORGOTTEN = 1;
const HELD_OUT = 2;

/** What clamping does to a probe's reading of one row: it falls by the factor times `means`, and by `own`. */
interface Change {
  /** Place among the questions. */
  readonly place: number;
  readonly means: number;
  readonly own: number;
}

function changesOf(latents: SparseRows, { rows, reads }: Questions, clamp: Clamp): Change[] {
  const changes: Change[] = [];
  rows.forEach((n, place) => {
    if (clamp.touched[n] === 0) return;
    let [means, own] = [0, 0];
    for (let e = latents.start[n]; e < latents.start[n + 1]; e++) {
      const l = latents.index[e];
      if (clamp.means[l] === 0) continue;
      means += clamp.means[l] * reads[l];
      own += latents.value[e] * reads[l];
    }
    changes.push({ place, means, own });
  });
  return changes;
}

/** Share of the questions that the probe gets right, clamped or not. */
function accuracyOf(
  { rows, scores, positive, right }: Questions,
  changes: readonly Change[] = [],
  factor = 0,
): number {
  let now = right;
  for (const { place, means, own } of changes) {
    const score = scores[place];
    const wanted = positive[place] === 1;
    if (score > 0 === wanted) now--;
    if (score - factor * means - own > 0 === wanted) now++;
  }
  return now / rows.length;
}
