import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { certificate } from '../../conformance/records/certificate.ts';
import { specs } from '../../conformance/kernels/all.ts';
import { runLaws } from '../../conformance/run.ts';
import { diagnose } from '../../gpu/doctor.ts';
import { portKernels } from '../../gpu/kernels.ts';
import { absorptionSettings, runAbsorption } from '../../preflight/absorption.ts';
import { preflightReport } from '../../preflight/report.ts';
import type { PreflightRecord } from '../../preflight/preflight.ts';
import {
  judgeAbsorption,
  judgeConformance,
  judgeDoctor,
  judgeSample,
  type Check,
} from '../../preflight/verdict.ts';
import { version } from '../../reference/version.ts';
import { runSample, sampleSettings } from '../../training/sample-run.ts';
import { chromiumNote, closeChromium, skipWithoutChromium, withPage } from '../chromium.ts';
import { readabilityFaults } from '../readability.ts';

/** A whole record from the real stages, each cut short. */
async function shortRecord(): Promise<PreflightRecord> {
  const doctor = await diagnose();
  const { kernels, device } = await portKernels('wasm');
  const options = { runs: 2, seed: 1 };
  const conformance = certificate(await runLaws(specs, kernels, options), kernels, specs, {
    ...options,
    device,
  });
  const short = absorptionSettings({ seed: 0, seeds: 2, steps: 60, batch: 64 });
  const tree = await runAbsorption(short, { threads: 2 });
  const sample = await runSample({
    backend: 'wasm',
    seed: 1,
    settings: {
      ...sampleSettings,
      d_sae: 64,
      k: 4,
      steps: 12,
      warmupSteps: 2,
      decayStart: 8,
      thresholdStartStep: 6,
    },
  });
  const checks: Check[] = [
    { name: 'doctor', ...judgeDoctor(doctor, 'wasm'), seconds: 1 },
    { name: 'conformance', ...judgeConformance(conformance), seconds: 1 },
    { name: 'absorption', ...judgeAbsorption(tree), seconds: 1 },
    { name: 'training', ...judgeSample(sample), seconds: 1 },
  ];
  return {
    version,
    seed: 1,
    started: '2026-01-01T00:00:00.000Z',
    seconds: 4,
    verdict: checks.every(({ verdict }) => verdict === 'GO') ? 'GO' : 'NO-GO',
    checks,
    doctor,
    conformance,
    tree,
    sample,
  };
}

let record: PreflightRecord;
beforeAll(async () => {
  record = await shortRecord();
});
afterAll(closeChromium);

test('a run too short to learn is NO-GO, and says which check failed', () => {
  expect(record.verdict).toBe('NO-GO');
  const training = record.checks.find(({ name }) => name === 'training')!;
  expect(training.verdict).toBe('NO-GO');
  expect(training.reason).toMatch(/needs more than 0.6/);
  const page = preflightReport(record, 'matryoshka preflight');
  expect(page).toContain('NO-GO');
  expect(page).toMatch(/Failed: .*training/);
});

test('the conformance check is NO-GO if a law fails or an operator is skipped', () => {
  const { conformance } = record;
  expect(judgeConformance(conformance).verdict).toBe('GO');
  const [first, ...rest] = conformance.kernels;
  const failed = {
    ...conformance,
    verdict: 'fail' as const,
    kernels: [{ ...first, outcome: 'fail' as const }, ...rest],
    counts: { ...conformance.counts, fail: 1 },
  };
  expect(judgeConformance(failed)).toMatchObject({ verdict: 'NO-GO' });
  expect(judgeConformance(failed).reason).toContain(`${first.kernel}: ${first.law}`);
  const skipped = { ...conformance, counts: { ...conformance.counts, skip: 1 } };
  expect(judgeConformance(skipped).verdict).toBe('NO-GO');
});

describe.skipIf(skipWithoutChromium)(`in Chromium${chromiumNote}`, () => {
  test.each(['light', 'dark'] as const)(
    'the report shows verdict and pictures, loads nothing else and is readable: %s',
    async (colorScheme) => {
      const html = preflightReport(record, 'matryoshka preflight --seed 1');
      await withPage({ html }, { colorScheme }, async (page, recorded) => {
        for (const width of [360, 1280]) {
          await page.setViewportSize({ width, height: 800 });
          expect(await readabilityFaults(page), `${width} px`).toEqual([]);
        }
        expect(await page.innerText('body')).toContain('NO-GO');
        for (const picture of ['Full absorption by parent', 'Training loss on real activations']) {
          expect(
            await page
              .locator(`svg[role=img][aria-label*="${picture}"], svg:has-text("${picture}")`)
              .count(),
          ).toBeGreaterThan(0);
        }
        // Heat maps of both architectures: 20 x 20 cells each.
        expect(await page.locator('svg').count()).toBeGreaterThanOrEqual(5);
        expect(await page.locator('svg title').count()).toBeGreaterThanOrEqual(800);
        expect(recorded.consoleErrors).toEqual([]);
        expect(recorded.requests).toEqual([page.url()]);
      });
    },
  );
});
