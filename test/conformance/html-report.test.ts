/** The page of one run, in a browser: failures with their pictures, laws by operator and outcome. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { specs } from '../../conformance/kernels/all.ts';
import { mutants } from '../../conformance/mutants/all.ts';
import { certificate } from '../../conformance/records/certificate.ts';
import { conformanceReport } from '../../conformance/records/html-report.ts';
import { referenceKernels } from '../../conformance/reference-kernels.ts';
import { runLaws } from '../../conformance/run.ts';
import { chromiumNote, closeChromium, skipWithoutChromium, withPage } from '../chromium.ts';
import { readabilityFaults } from '../readability.ts';

const chosen = specs.filter(({ name }) => ['encode', 'batch-topk', 'decode'].includes(name));
const mutant = mutants.find(({ operator }) => operator === 'encode')!;
let html = '';
let outcomes: string[] = [];

beforeAll(async () => {
  const options = { runs: 60, seed: 7 };
  const operators = {
    encode: mutant.run,
    'batch-topk': (): never => {
      throw new Error('out of memory');
    },
  };
  const kernels = { ...referenceKernels, name: '<wrong>', operators };
  const results = await runLaws(chosen, kernels, options);
  outcomes = results.map(({ outcome }) => outcome);
  const record = certificate(results, kernels, specs, { ...options, device: 'this test' });
  html = conformanceReport(record, results, chosen, 'matryoshka conformance');
});
afterAll(closeChromium);

test('every failure has what was got, what was expected, and the line that repeats it', () => {
  const failed = outcomes.filter((outcome) => outcome === 'fail').length;
  expect(failed).toBeGreaterThan(0);
  expect(html.match(/<figcaption>got acts/g)).toHaveLength(failed);
  expect(html).toContain('<span>--path</span>');
  expect(html).not.toContain('<wrong>');
});

describe.skipIf(skipWithoutChromium)(`in a browser${chromiumNote}`, () => {
  test.each(['light', 'dark'] as const)('is readable: %s', async (colorScheme) => {
    await withPage({ html }, { colorScheme }, async (page, recorded) => {
      for (const width of [360, 1280]) {
        await page.setViewportSize({ width, height: 800 });
        expect(await readabilityFaults(page), `${width} px`).toEqual([]);
      }
      expect(recorded.consoleErrors).toEqual([]);
      expect(recorded.requests).toHaveLength(1); // the page itself
    });
  });

  test('shows laws of one outcome, and of one operator', async () => {
    await withPage({ html }, {}, async (page) => {
      const [byOutcome, byOperator] = await page.locator('.filters select').all();
      const rows = page.locator('.laws tbody tr:visible');
      const laws = (of: string): number => outcomes.filter((outcome) => outcome === of).length;
      for (const outcome of ['fail', 'crashed', 'skip']) {
        await byOutcome.selectOption(outcome);
        expect(await rows.count(), outcome).toBe(laws(outcome));
      }
      await byOutcome.selectOption('broken');
      expect(await rows.count()).toBe(laws('fail') + laws('crashed'));
      await byOperator.selectOption('encode');
      expect(await rows.count()).toBe(laws('fail'));
      expect(await page.locator('details.operator:visible').count()).toBe(1);
    });
  });
});
