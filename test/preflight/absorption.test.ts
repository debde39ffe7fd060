import { beforeAll, describe, expect, test } from 'vitest';
import {
  absorptionSettings,
  runAbsorption,
  type AbsorptionProgress,
} from '../../preflight/absorption.ts';
import { absorptionFindings, judgeAbsorption } from '../../preflight/verdict.ts';
import { configOf } from '../../synthetic/architectures/record.ts';
import type { Cell, ExperimentResults } from '../../synthetic/experiments/results.ts';
import { cellJobs } from '../../synthetic/experiments/settings.ts';
import { resultsOf } from '../../synthetic/experiments/summarise.ts';
import { UsageError } from '../../training/usage-error.ts';

describe('settings of the absorption check', () => {
  const settings = absorptionSettings({ seed: 7, seeds: 5 });
  const configs = settings.architectures.map((record) => configOf(record, 20, 1.12));

  test('are five seeds on one tree of the first seed, by the float64 reference', () => {
    expect(settings.runs).toEqual([7, 8, 9, 10, 11].map((seed) => ({ worldSeed: 7, seed })));
    expect(new Set(cellJobs(settings).map(({ kernel }) => kernel))).toEqual(new Set(['reference']));
    for (const record of settings.architectures) {
      expect(record).toMatchObject({
        dialect: 'dictionary_learning',
        targetL0s: [1.12],
        steps: 2000,
        batch: 512,
        learningRate: 5e-3,
        settings: { warmupSteps: 500, deadAfter: 20_480 },
      });
    }
  });

  test('of the two architectures differ in prefixes and nothing else', () => {
    const [plain, nested] = configs;
    expect(plain.prefixes).toEqual([20]);
    expect(nested.prefixes).toEqual([3, 5, 8, 12, 16, 20]);
    const rest = { prefixes: null, levelWeights: null };
    expect({ ...plain, ...rest }).toEqual({ ...nested, ...rest });
  });

  test('are refused where seeds run out of whole numbers', () => {
    const last = Number.MAX_SAFE_INTEGER;
    expect(() => absorptionSettings({ seed: last, seeds: 5 })).toThrow(UsageError);
    expect(() => absorptionSettings({ seed: last - 5, seeds: 5 })).not.toThrow();
  });
});

const short = absorptionSettings({ seed: 0, seeds: 1, steps: 24, batch: 64 });
const seen: AbsorptionProgress[] = [];
let results: ExperimentResults;
beforeAll(async () => {
  results = await runAbsorption(short, {
    threads: 1,
    onProgress: (progress) => void seen.push(progress),
  });
});

test('every run tells its way to the last step', () => {
  expect(new Set(seen.map(({ runs }) => runs))).toEqual(new Set([2]));
  const ends = seen.filter(({ steps }) => steps === 24).map(({ job }) => job.architecture.slug);
  expect(ends).toEqual(['batchtopk', 'matryoshka']);
});

test('both architectures start from the same SAE and see the same held-out rows', () => {
  const [plain, nested] = results.cells;
  expect(plain.curve[0]).toEqual(nested.curve[0]);
  expect(plain.curve[1].mcc).not.toBe(nested.curve[1].mcc);
});

test('an abort ends the runs with its reason', async () => {
  const controller = new AbortController();
  const long = absorptionSettings({ seed: 0, seeds: 1, steps: 10_000_000 });
  const running = runAbsorption(long, { threads: 1, signal: controller.signal });
  setTimeout(() => controller.abort(new Error('enough')), 300);
  await expect(running).rejects.toThrow('enough');
});

describe('the verdict on absorption', () => {
  type Figures = readonly { readonly fullAbsorption: number | null; readonly mcc: number | null }[];
  function found(plain: Figures, nested: Figures): ExperimentResults {
    const all = absorptionSettings({ seed: 0, seeds: plain.length, steps: 24, batch: 64 });
    const settings = { ...all, evaluationSamples: 1024 };
    const cells = plain.flatMap((figures, seed) =>
      [figures, nested[seed]].map((own, a): Cell => {
        const cell = results.cells[a];
        return { ...cell, seed, metrics: { ...cell.metrics, ...own } };
      }),
    );
    return resultsOf(settings, cells);
  }
  const five = (fullAbsorption: readonly number[], mcc: number): Figures =>
    fullAbsorption.map((full) => ({ fullAbsorption: full, mcc }));
  const high = [0.3, 0.35, 0.4, 0.45, 0.5];
  const low = [0, 0.01, 0.02, 0.01, 0];

  test('is GO when absorption falls with intervals apart and MCC is no lower', () => {
    const shown = found(five(high, 0.85), five(low, 0.85));
    expect(absorptionFindings(shown)).toEqual({
      reduced: true,
      mccAtLeastAsHigh: true,
      controlsHold: true,
    });
    expect(judgeAbsorption(shown)).toEqual({
      verdict: 'GO',
      reason: 'full absorption 0.400 → 0.008 over 5 seeds, intervals apart; MCC at least as high',
    });
    expect(shown.summaries[0].metrics.fullAbsorption?.kind).toBe('bootstrap 95 %');
  });

  const refused = (shown: ExperimentResults): string => {
    const { verdict, reason } = judgeAbsorption(shown);
    expect(verdict).toBe('NO-GO');
    return reason;
  };

  test('is NO-GO when MCC is lower, when intervals touch, or when absorption rises', () => {
    expect(refused(found(five(high, 0.85), five(low, 0.84)))).toMatch(/^MCC fell/);
    const wide = [0, 0.1, 0.5, 0.4, 0.2];
    for (const [plain, nested] of [
      [high, wide],
      [high, high],
      [low, high],
    ]) {
      expect(refused(found(five(plain, 0.85), five(nested, 0.9)))).toContain('intervals not apart');
    }
  });

  test('is NO-GO when a control misses its value, whatever else was found', () => {
    const shown = found(five(high, 0.85), five(low, 0.85));
    const [first, ...others] = shown.controls;
    const [check, ...checks] = first.checks;
    const missed = { ...first, checks: [{ ...check, holds: false }, ...checks] };
    expect(refused({ ...shown, controls: [missed, ...others] })).toMatch(/^a control missed/);
  });

  test('leaves undefined values out of means and pairs, and is NO-GO without any', () => {
    const some = high.map((full, i) => ({ fullAbsorption: i === 0 ? null : full, mcc: 0.9 }));
    const partly = found(some, five(low, 0.9));
    expect(partly.summaries[0].metrics.fullAbsorption?.values).toEqual(high.slice(1));
    expect(partly.comparisons[0].differences.fullAbsorption?.values).toHaveLength(4);
    const none = high.map(() => ({ fullAbsorption: null, mcc: null }));
    expect(refused(found(none, none))).toContain('none → none');
  });
});
