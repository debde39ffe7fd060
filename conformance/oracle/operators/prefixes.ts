/**
 * Prefixes from fractions and from draws. Whole numbers: exact, but for a draw that falls on a boundary of its law.
 * @module
 */
import fc from 'fast-check';
import { uniforms } from '../cases.ts';
import type { Oracle } from '../oracle.ts';
import { big, compare, fractionalPower, mul, real, sub, sum, surely, type Real } from '../real.ts';
import { range } from '../real-matrix.ts';

/** The length at which weights, added up in order, pass `uniform` of their total. */
function lengthAt(left: readonly number[], weights: readonly Real[], uniform: number): number {
  const target = mul(real(uniform), sum(weights));
  const place = left.findIndex((_, i) => surely(compare(target, sum(weights.slice(0, i + 1)))) < 0);
  return left[place];
}

/** d_sae and count - 1 lengths drawn without replacement with weight (v - m + 1)^p - (v - m)^p. */
function drawnPrefixes(
  d_sae: number,
  least: number,
  power: number,
  draws: readonly number[],
): number[] {
  const weight = (v: number): Real =>
    sub(fractionalPower(real(v - least + 1), power), fractionalPower(real(v - least), power));
  let left = range(d_sae - least).map((i) => least + i);
  const drawn = draws.map((uniform) => {
    const length = lengthAt(left, left.map(weight), uniform);
    left = left.filter((other) => other !== length);
    return length;
  });
  return [...drawn, d_sae].sort((a, b) => a - b);
}

interface PrefixCase {
  readonly fractions: readonly number[];
  readonly d_sae: number;
  readonly size: number;
  readonly least: number;
  readonly power: number;
  readonly draws: readonly number[];
}

export const prefixes: Oracle<PrefixCase> = {
  name: 'prefixes',
  holds: ['prefixes.prefixesFromFractions', 'prefixes.samplePrefixes'],
  cases: fc
    .tuple(fc.integer({ min: 2, max: 8 }), fc.integer({ min: 1, max: 3 }))
    .chain(([size, least]) =>
      fc.record({
        fractions: fc.oneof(
          fc.constantFrom(
            [0.29, 0.71],
            [1 / 3, 1 / 3, 1 / 3],
            [1 / 32, 1 / 16, 1 / 8, 1 / 4, 17 / 32],
            [1],
          ),
          fc
            .array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 5 })
            .map((shares) => {
              const total = shares.reduce((a, b) => a + b, 0);
              return shares.map((share) => share / total);
            }),
        ),
        d_sae: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.constant(100)),
        size: fc.constant(size),
        least: fc.constant(Math.min(least, size)),
        power: fc.oneof(fc.constantFrom(0.5, 1), fc.double({ min: 0.05, max: 2, noNaN: true })),
        draws: fc.nat(Math.min(3, size - Math.min(least, size))).chain((count) => uniforms(count)),
      }),
    ),
  check({ fractions, d_sae, size, least, power, draws }, { prefixes }, judge) {
    // A size is a double's product, truncated.
    const sizes = fractions.map((f) => Math.trunc(big(f).mul(d_sae).toNumber()));
    const before = sizes.slice(0, -1);
    const starts = before.map((_, g) => before.slice(0, g + 1).reduce((a, b) => a + b, 0));
    const last = starts[starts.length - 1] ?? 0;
    if (before.includes(0) || last >= d_sae) {
      judge.refused('an empty group', () => prefixes.prefixesFromFractions(fractions, d_sae));
    } else {
      const got = prefixes.prefixesFromFractions(fractions, d_sae);
      judge.same('from fractions', got.join(), [...starts, d_sae].join());
    }
    let next = 0;
    const expected = drawnPrefixes(size, least, power, draws);
    const got = prefixes.samplePrefixes(size, draws.length + 1, least, power, () => draws[next++]);
    judge.same('drawn', got.join(), expected.join());
  },
};
