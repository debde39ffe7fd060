/**
 * Right kernels that compute in other ways are accepted, and wrong ones among them are not.
 */
import { describe, expect, inject, test } from 'vitest';
import { specs } from '../../conformance/kernels/all.ts';
import { float32 } from '../../conformance/error-model.ts';
import { runLaws, type Outcome } from '../../conformance/run.ts';
import { operators, variants } from '../../conformance/variants/all.ts';
import { arithmeticOf, sum, sumOfProducts } from '../../conformance/variants/arithmetic.ts';
import { measureVariant, runVariants } from '../../conformance/variants/command.ts';
import { fusedMultiplyAdd } from '../../conformance/variants/fused.ts';
import { variantKernels, type VariantOperator } from '../../conformance/variants/variant.ts';

/** Cases per law. */
const runs = 12;
const seed = inject('seed');

const named = (name: string): (typeof variants)[number] =>
  variants.find((variant) => variant.name === name)!;
const specOf = (name: string): (typeof specs)[number] => specs.find((spec) => spec.name === name)!;

async function outcomes(
  operator: string,
  kernels: ReturnType<typeof variantKernels>,
): Promise<Outcome[]> {
  const results = await runLaws([specOf(operator)], kernels, { runs: 100, seed });
  return results.map(({ outcome }) => outcome);
}

describe.each(variants)('$name ($summary)', (variant) => {
  test.each(specs.filter(({ name }) => Object.hasOwn(operators, name)))(
    'passes every law of $name',
    async (spec) => {
      const row = await measureVariant(variant, spec, { runs, seed });
      expect(row!.cases).toBeGreaterThanOrEqual(runs * spec.laws.length);
      expect(row!.failures.map(({ law, failure }) => `${law}: ${failure?.message}`)).toEqual([]);
    },
    60_000,
  );
});

describe('the harness can fail', () => {
  test('one wrong bit of one copied value is caught', async () => {
    const wrongBit: VariantOperator = (call, arithmetic) => {
      const { latents } = operators['batch-topk'](call, arithmetic);
      const at = latents.data.findIndex((latent) => latent !== 0);
      if (at >= 0) latents.data[at] = Math.fround(latents.data[at] * (1 + 2 ** -23));
      return { latents };
    };
    const kernels = variantKernels(named('reversed'), { 'batch-topk': wrongBit });
    expect(await outcomes('batch-topk', kernels)).toContain('fail');
  });

  test.each(['encode', 'decode', 'gradients', 'loss', 'adam-update'])(
    'bfloat16 that is declared to be float32 is caught in %s',
    async (operator) => {
      const kernels = variantKernels(named('bfloat16'), operators, float32);
      expect(await outcomes(operator, kernels)).toContain('fail');
    },
  );

  test.each(['batch-topk', 'above-threshold'])(
    'flushing that is not declared is caught in %s',
    async (operator) => {
      const kernels = variantKernels(named('flushing'), operators, float32);
      expect(await outcomes(operator, kernels)).toContain('fail');
    },
  );

  test('a run without cases does not pass', async () => {
    expect(await runVariants([], seed, { runs: 1 })).toBe(1);
  });
});

describe('arithmetic', () => {
  test('a fused product and sum are rounded once, where rounding twice gives another value', () => {
    const a = 1 + 2 ** -12; // a² = 1 + 2^-11 + 2^-24, halfway between two float32
    expect(fusedMultiplyAdd(a, a, 2 ** -60)).toBe(1 + 2 ** -11 + 2 ** -23);
    expect(fusedMultiplyAdd(a, a, -(2 ** -60))).toBe(1 + 2 ** -11);
    expect(fusedMultiplyAdd(-a, a, -(2 ** -60))).toBe(-(1 + 2 ** -11 + 2 ** -23));
    expect(fusedMultiplyAdd(a, a, 0)).toBe(1 + 2 ** -11); // a tie, to even
    expect(Math.fround(a * a + 2 ** -60)).not.toBe(fusedMultiplyAdd(a, a, 2 ** -60));
  });

  test('every order sums whole numbers exactly, and small terms beside a large one in its own way', () => {
    const orders = ['plain', 'reversed', 'pairwise', 'blocked'] as const;
    const sums = (terms: readonly number[]): number[] =>
      orders.map((order) => sum(arithmeticOf({ order }), Float64Array.from(terms), terms.length));
    for (let n = 0; n < 12; n++) {
      const whole = Array.from({ length: n }, (_, i) => 2 ** i);
      expect(sums(whole)).toEqual(orders.map(() => 2 ** n - 1));
    }
    const small = 2 ** -24;
    const terms = [small, small, small, 1, small, small, small, small];
    expect(new Set(sums(terms)).size).toBeGreaterThan(1);
    expect(sums(terms)[1]).toBe(1 + 2 ** -23 + 2 ** -23); // the last four together, then one, then the rest
  });

  test('flushing leaves no subnormal value, and 2^-126 as it is', () => {
    const { round } = arithmeticOf({ flushes: true });
    expect(round(2 ** -126)).toBe(2 ** -126);
    expect(round(2 ** -126 - 2 ** -149)).toBe(0);
  });

  test('a fused sum of products is no farther from the exact one than n roundings', () => {
    const a = Float64Array.of(0.1, 0.2, 0.3).map(Math.fround);
    const exact = a.reduce((total, value) => total + value * value, 0);
    const fused = sumOfProducts(arithmeticOf({ fused: true }), a.slice(), a, 3);
    expect(Math.abs(fused - exact)).toBeLessThanOrEqual(3 * 2 ** -24 * exact);
  });
});
