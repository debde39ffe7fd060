import { setTimeout } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { certificate } from '../../conformance/records/certificate.ts';
import { compareTensor, place } from '../../conformance/compare.ts';
import { float32, gamma, underflow } from '../../conformance/error-model.ts';
import { formatFailure } from '../../conformance/format.ts';
import type { Kernels } from '../../conformance/kernel.ts';
import { specs } from '../../conformance/kernels/all.ts';
import { mutants } from '../../conformance/mutants/all.ts';
import { selectLaws } from '../../conformance/query.ts';
import { referenceKernels } from '../../conformance/reference-kernels.ts';
import { runLaw, runLaws, type LawResult } from '../../conformance/run.ts';
import { tensor } from '../../conformance/tensors.ts';
import { brokenLaws } from './broken-laws.ts';

const [batchTopk] = selectLaws(specs, ['batch-topk']);

function kernelsOf(operators: Kernels['operators']): Kernels {
  return { name: 'subject', dtype: 'float32', profile: float32, operators };
}

describe('comparison', () => {
  const expected = tensor([2], [1, 2]);

  test('NaN never passes, whatever the bound', () => {
    for (const bound of [0, 1, Infinity]) {
      expect(compareTensor('t', tensor([2], [1, NaN]), expected, () => bound)).toMatch(/NaN/);
      expect(compareTensor('t', expected, tensor([2], [1, NaN]), () => bound)).not.toBeNull();
    }
  });

  test('a value at the bound passes, one beyond it does not', () => {
    expect(compareTensor('t', tensor([2], [1.5, 2]), expected, () => 0.5)).toBeNull();
    expect(
      compareTensor('t', tensor([2], [1.5 + 2 ** -50, 2]), expected, () => 0.5),
    ).not.toBeNull();
    expect(compareTensor('t', expected, expected, () => NaN)).not.toBeNull();
  });

  test('a place is named by its coordinates', () => {
    expect(place(5, [2, 3])).toBe('[1, 2]');
    expect(place(0, [])).toBe('');
  });

  test('gamma refuses a sum too long to bound, and flushing costs more than gradual underflow', () => {
    expect(() => gamma(2 ** 24, 2 ** -24)).toThrow(RangeError);
    expect(underflow(3, 1, { ...float32, flushesSubnormals: true })).toBeGreaterThan(
      underflow(3, 1, float32),
    );
  });
});

describe('runs', () => {
  test('a missing operator is skipped with no cases, never passed', async () => {
    const results = await runLaws([batchTopk], kernelsOf({}), { runs: 5, seed: 1 });
    expect(results.every(({ outcome, cases }) => outcome === 'skip' && cases === 0)).toBe(true);
  });

  test('a run of no case is a failure', async () => {
    const kernels = kernelsOf({});
    const options = { runs: 5, seed: 1 };
    const results = await runLaws([batchTopk], kernels, options);
    expect(certificate(results, kernels, specs, { ...options, device: 'none' }).verdict).toBe(
      'fail',
    );
    expect(certificate([], kernels, specs, { ...options, device: 'none' }).verdict).toBe('fail');
  });

  test('replicas share the laws, and the results are those of one alone, in the same order', async () => {
    const chosen = selectLaws(specs, ['batch-topk', 'topk']);
    const calls = [0, 0];
    const replica = (at: number): Kernels => {
      const wrong = mutants.find(({ operator }) => operator === 'topk')!;
      const operators = { ...referenceKernels.operators, topk: wrong.run };
      return kernelsOf(
        Object.fromEntries(
          Object.entries(operators).map(([name, run]) => [
            name,
            async (call, fill) => {
              calls[at]++;
              await setTimeout(at === 0 ? 1 : 0); // the first law to be begun is not the first to end
              return run(call, fill);
            },
          ]),
        ),
      );
    };
    const shown = ({ kernel, law, outcome, cases, failure }: LawResult): unknown => [
      kernel,
      law,
      outcome,
      cases,
      failure?.message,
      failure?.path,
    ];
    const options = { runs: 30, seed: 2 };
    const alone = await runLaws(chosen, replica(1), options);
    calls.fill(0);
    const told: string[] = [];
    const shared = await runLaws(
      chosen,
      { ...replica(0), replicas: [replica(1)] },
      options,
      ({ law }) => told.push(law),
    );
    expect(shared.map(shown)).toEqual(alone.map(shown));
    expect(told).toEqual(alone.map(({ law }) => law));
    expect(alone.some(({ outcome }) => outcome === 'fail')).toBe(true);
    expect(Math.min(...calls)).toBeGreaterThan(0);
  });

  test('a kernel that throws on a valid call has crashed', async () => {
    const crash = (): never => {
      throw new Error('out of memory');
    };
    const result = await runLaw(batchTopk, batchTopk.laws[0], kernelsOf({ 'batch-topk': crash }), {
      runs: 5,
      seed: 1,
    });
    expect(result.outcome).toBe('crashed');
    expect(result.failure?.message).toBe('out of memory');
  });

  test.each([
    ['a missing output', () => ({}), /returned nothing, expected a tensor latents/],
    ['a wrong shape', () => ({ latents: tensor([1], [0]) }), /latents has shape \[1\], expected/],
  ])('%s is found before any value is compared', async (_name, answer, message) => {
    const kernels = kernelsOf({ 'batch-topk': answer });
    const result = await runLaw(batchTopk, batchTopk.laws[0], kernels, { runs: 5, seed: 1 });
    expect(result.outcome).toBe('fail');
    expect(result.failure?.message).toMatch(message);
  });

  test('seed and path of a failure replay its smallest case', async () => {
    const mutant = mutants.find(({ operator }) => operator === 'batch-topk')!;
    const kernels = kernelsOf({ 'batch-topk': mutant.run });
    const first = await runLaw(batchTopk, batchTopk.laws[0], kernels, { runs: 200, seed: 7 });
    const { seed, path, call, message } = first.failure!;
    const again = await runLaw(batchTopk, batchTopk.laws[0], kernels, { runs: 200, seed, path });
    expect(again.failure).toMatchObject({ call, message });
    const told = formatFailure(first, batchTopk, 'matryoshka conformance');
    for (const part of [
      'acts = ',
      'k = ',
      'expected latents = ',
      `--seed ${seed} --path ${path}`,
    ]) {
      expect(told).toContain(part);
    }
  });

  test('equal seeds give equal verdicts', async () => {
    const run = async (): Promise<unknown> =>
      (await runLaws([batchTopk], referenceKernels, { runs: 20, seed: 3 })).map(
        ({ seconds: _, ...rest }) => rest,
      );
    expect(await run()).toEqual(await run());
  });
});

describe('queries', () => {
  test('a kernel’s exact name selects it alone, a part of "kernel: law" selects laws', () => {
    expect(selectLaws(specs, ['topk']).map(({ name }) => name)).toEqual(['topk']);
    const idempotent = selectLaws(specs, ['is idempotent']);
    expect(idempotent.map(({ name, laws }) => [name, laws.length])).toEqual([['batch-topk', 1]]);
    expect(selectLaws(specs, [])).toHaveLength(specs.length);
  });

  test('a query that matches nothing lists the kernels', () => {
    expect(() => selectLaws(specs, ['bogus'])).toThrow(/nothing matches "bogus".*batch-topk/);
  });
});

describe('the catalogue', () => {
  test('every operator has its acceptance, further laws, and at least three mutants', () => {
    for (const { name, laws } of specs) {
      expect(laws.length, name).toBeGreaterThanOrEqual(4);
      const own = mutants.filter(({ operator }) => operator === name);
      expect(own.length, name).toBeGreaterThanOrEqual(3);
    }
  });

  test('names of mutants do not repeat within an operator, and each says what it imitates', () => {
    const names = mutants.map(({ operator, name }) => `${operator}: ${name}`);
    expect(new Set(names).size).toBe(names.length);
    for (const { imitates } of mutants) expect(imitates.length).toBeGreaterThan(5);
  });
});

// The other operators' tests do the same, each beside checks of its own bounds.
describe.each(['encode', 'batch-topk', 'topk', 'above-threshold', 'train-step'])('%s', (name) => {
  const [spec] = selectLaws(specs, [name]);

  test('the reference keeps every law at float64 bounds', async () => {
    expect(await brokenLaws(spec, spec.reference, referenceKernels.profile, 100)).toEqual([]);
  });
});
