/**
 * The reference against the published code itself: every recorded step of every recorded trainer, replayed from the
 * recorded state. conformance/vectors/<source>/make.py made the recordings by running the published trainers.
 */
import { describe, expect, test } from 'vitest';
import { valuesOf, namesOf } from '../../reference/params.ts';
import { trainStep } from '../../reference/train-step.ts';
import { recordedMatrix, type Dtype } from './golden-vectors.ts';
import { sources } from './recorded/all.ts';
import { branches, promised, type Taken } from './recorded/branches.ts';
import { sizesOf } from './recorded/cancellation.ts';
import { tolerances } from './recorded/operators/case.ts';
import {
  drawsOf,
  exact,
  open,
  paramsAt,
  relativeError,
  stepsOf,
  type Quantity,
  type Source,
} from './recorded/source.ts';

/**
 * Explained by float32 cancellation: a result of few large terms, of which little is left. These are measured relative to
 * the size of the terms; the float64 run, which has the same formulas and no such rounding, meets its tolerance plainly.
 */
const cancelled: Readonly<Record<string, readonly string[]>> = {
  // Decoder rows are 1 or -1: the projection leaves 2e-6 of a gradient.
  'dictionary-learning one-dimension': [
    'gradient W_enc',
    'gradient b_enc',
    'gradient W_dec',
    'gradient b_dec',
    'clipped W_enc',
    'clipped b_enc',
    'clipped W_dec',
    'clipped b_dec',
    'm W_dec',
    'v W_dec',
  ],
  'bussmann one-dimension': [
    'gradient W_enc',
    'gradient W_dec',
    'gradient b_dec',
    'clipped W_enc',
    'clipped b_dec',
    'm W_enc',
    'm b_dec',
    'auxk',
  ],
  // In step 0 the smallest latent is a pre-activation of 4e-3 from terms of about 1.
  'saelens rescaled': ['threshold'],
  'nabeshima one-dimension': [
    'gradient W_enc',
    'gradient b_enc',
    'gradient W_dec',
    'gradient b_dec',
    'clipped W_enc',
    'clipped b_enc',
    'clipped W_dec',
    'clipped b_dec',
    'm W_enc',
    'm W_dec',
    'm b_dec',
  ],
};

interface Replayed extends Taken {
  readonly t: number;
  readonly quantities: readonly Quantity[];
}

const runs = sources.flatMap((source) =>
  source.runs.flatMap((id) =>
    (['float64', 'float32'] as const).map((dtype) => ({
      source,
      id,
      dtype,
      name: `${source.folder} ${id}`,
    })),
  ),
);

function* replayAll(source: Source, id: string, dtype: Dtype): Generator<Replayed> {
  const recording = open(source, id, dtype);
  const config = source.configOf(recording);
  for (const { t, s, before: r, after } of stepsOf(recording)) {
    const before = source.stateAt(recording, t, r);
    const x = recordedMatrix(recording, 'x', t);
    const draws = drawsOf(source, recording, config, t);
    const result = trainStep(before, x, config, draws);
    const quantities = [...source.quantities(result, recording, config, s, after)];
    yield { t, before, x, draws, result, config, quantities };
  }
}

describe.each(runs)('$name in $dtype', ({ source, id, dtype, name }) => {
  const exempt = dtype === 'float32' ? (cancelled[name] ?? []) : [];

  test('every step replayed from its recorded state agrees in everything recorded', () => {
    const worst = new Map<string, number>();
    const excess = new Set<string>();
    let steps = 0;
    for (const step of replayAll(source, id, dtype)) {
      const sizes = exempt.length === 0 ? null : sizesOf(step);
      for (const [quantity, got, expected] of step.quantities) {
        const plain = relativeError(got, expected);
        if (exempt.includes(quantity) && plain > tolerances[dtype]) excess.add(quantity);
        const size = exempt.includes(quantity) ? sizes?.get(quantity) : 0;
        const error = relativeError(got, expected, size);
        const tolerance = exact.has(quantity) ? 0 : tolerances[dtype];
        expect(error, `${quantity} at step ${step.t}`).toBeLessThanOrEqual(tolerance);
        worst.set(quantity, Math.max(worst.get(quantity) ?? 0, error));
      }
      steps++;
    }
    expect(steps).toBe(open(source, id, dtype).config['steps']);
    // Nothing was compared with itself: float32's rounding must show.
    const most = Math.max(...worst.values());
    if (dtype === 'float32') expect(most).toBeGreaterThan(1e-9);
    // An explanation that explains nothing any more is to be struck out.
    expect([...excess].sort(), 'float32 cancellation').toEqual([...exempt].sort());
    figures.push([`${name} ${dtype}`, most, [...worst].find(([, error]) => error === most)![0]]);
  });

  test('the branches that its manifest lists are taken in just those steps', () => {
    const taken: Record<string, number[]> = {};
    const flags = promised(source.folder, id, dtype);
    for (const flag of Object.keys(flags)) taken[flag] = [];
    for (const step of replayAll(source, id, dtype)) {
      for (const flag of Object.keys(flags)) if (branches[flag](step)) taken[flag].push(step.t);
    }
    expect(taken).toEqual(flags);
  });

  test('running free from the first recorded state stays near in float64', () => {
    const drift = freeRun(source, id, dtype);
    // Rounding grows from step to step; a different decision would be far beyond this.
    if (dtype === 'float64') expect(drift).toBeLessThan(1e-12);
    else expect(drift).toBeGreaterThan(1e-9);
    drifts.push([`${name} ${dtype}`, drift]);
  });
});

test('every run that a manifest lists is replayed, and all that it recorded is used', () => {
  for (const { source, id, dtype } of runs) {
    const recording = open(source, id, dtype);
    for (const step of replayAll(source, id, dtype)) if (step.t > 0) break;
    const unused = recording.names.filter((name) => !recording.used.has(name));
    expect(
      unused.filter((name) => !/^(folded|exported)\./.test(name)),
      id,
    ).toEqual([]);
  }
  const rows = figures.map(
    ([name, error, quantity]) => `${name}: ${error.toExponential(1)} (${quantity})`,
  );
  const lines = drifts.map(([name, drift]) => `${name}: ${drift.toExponential(1)}`);
  console.log(
    ['Largest relative error of a replayed step:', ...rows].join('\n') +
      '\n\n' +
      ['Relative error of the parameters after running free to the end:', ...lines].join('\n'),
  );
});

const figures: [run: string, error: number, quantity: string][] = [];
const drifts: [run: string, drift: number][] = [];

/** Largest relative error of a parameter after all steps from the first recorded state. */
function freeRun(source: Source, id: string, dtype: Dtype): number {
  const recording = open(source, id, dtype);
  const config = source.configOf(recording);
  let state = source.stateAt(recording, 0, 0);
  for (const { t, before } of stepsOf(recording)) {
    const forced = source.forced?.(recording, t, before) ?? {};
    const draws = drawsOf(source, recording, config, t);
    state = trainStep(
      { ...state, ...forced },
      recordedMatrix(recording, 'x', t),
      config,
      draws,
    ).state;
  }
  const last = paramsAt(recording, config.steps);
  return Math.max(
    ...namesOf(last).map((name) =>
      relativeError(valuesOf(state.params, name), valuesOf(last, name)),
    ),
  );
}
