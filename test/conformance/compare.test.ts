/** Certificates side by side: what the lines say, and what the page shows in a browser. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Kernels } from '../../conformance/kernel.ts';
import { specs } from '../../conformance/kernels/all.ts';
import { mutants } from '../../conformance/mutants/all.ts';
import { certificate, type Certificate } from '../../conformance/records/certificate.ts';
import { compareLines, comparePage } from '../../conformance/records/compare.ts';
import { referenceKernels } from '../../conformance/reference-kernels.ts';
import { runLaws } from '../../conformance/run.ts';
import { chromiumNote, closeChromium, skipWithoutChromium, withPage } from '../chromium.ts';
import { readabilityFaults } from '../readability.ts';

const chosen = specs.filter(({ name }) => ['encode', 'batch-topk'].includes(name));

async function certified(kernels: Kernels): Promise<Certificate> {
  const options = { runs: 60, seed: 7 };
  const results = await runLaws(chosen, kernels, options);
  return certificate(results, kernels, specs, { ...options, device: 'this test' });
}

const certificates = new Map<string, Certificate>();
const mutant = mutants.find(({ operator }) => operator === 'encode')!;

beforeAll(async () => {
  const { encode, 'batch-topk': batchTopk } = referenceKernels.operators;
  const wrong = { ...referenceKernels, name: 'wrong' };
  certificates.set('right.json', await certified({ ...referenceKernels, name: 'right' }));
  certificates.set(
    'partly.json',
    await certified({ ...wrong, name: 'half', operators: { encode } }),
  );
  certificates.set(
    'wrong.json',
    await certified({ ...wrong, operators: { encode: mutant.run, 'batch-topk': batchTopk } }),
  );
});
afterAll(closeChromium);

test('the lines name every law that is broken, by whom, and how each certificate ends', () => {
  const lines = compareLines(certificates);
  const [right, half, wrong] = lines.slice(-3);
  expect(right).toMatch(/^PASS right, float64: \d+ pass, 0 not, 0 skip$/);
  expect(half).toMatch(/^PASS half, float64: \d+ pass, 0 not, \d+ skip$/);
  expect(wrong).toMatch(/^FAIL wrong, float64: /);
  const broken = certificates
    .get('wrong.json')!
    .kernels.filter(({ outcome }) => outcome === 'fail');
  expect(broken.length).toBeGreaterThan(0);
  expect(lines.slice(0, -3)).toEqual(
    broken.map(({ kernel, law }) => `${kernel}: ${law}: wrong, float64 fail`),
  );
});

test('alone, those that pass leave no line but their own', () => {
  const [[name, record]] = certificates;
  expect(compareLines(new Map([[name, record]]))).toHaveLength(1);
});

describe.skipIf(skipWithoutChromium)(`the page, in a browser${chromiumNote}`, () => {
  test.each(['light', 'dark'] as const)('is readable, and filters: %s', async (colorScheme) => {
    const { counts } = certificates.get('wrong.json')!;
    const broken = counts.fail + counts.crashed;
    const html = comparePage(certificates, 'matryoshka compare');
    await withPage({ html }, { colorScheme }, async (page, recorded) => {
      for (const width of [360, 1280]) {
        await page.setViewportSize({ width, height: 800 });
        expect(await readabilityFaults(page), `${width} px`).toEqual([]);
      }
      const shown = (selector: string): Promise<number> =>
        page.locator(`${selector}:visible`).count();
      expect(await shown('details.operator')).toBe(2);
      expect(await shown('th.column-2')).toBe(1);
      const [byOutcome, byOperator] = await page.locator('.filters select').all();
      await byOutcome.selectOption('broken');
      expect(await shown('details.operator')).toBe(1);
      expect(await shown('.laws tbody tr')).toBe(broken);
      await page.uncheck('#column-2'); // it alone has what is broken
      expect(await shown('th.column-2')).toBe(0);
      expect(await shown('.laws tbody tr')).toBe(0);
      await byOutcome.selectOption('skip');
      expect(await shown('details.operator')).toBe(1);
      await byOutcome.selectOption('');
      expect(await shown('th.column-0')).toBe(1);
      await byOperator.selectOption('batch-topk');
      expect(await shown('details.operator')).toBe(1);
      expect(recorded.consoleErrors).toEqual([]);
      expect(recorded.requests).toHaveLength(1); // the page itself
    });
  });
});
