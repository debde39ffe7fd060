/**
 * Cases that are hard for float64: ties, zeros, near cancellation, magnitudes from 2^-60 to 2^60, subnormals, one row,
 * one dimension. Shapes are tiny: exact arithmetic is slow, and what float64 may lose shows in sums of three.
 * @module
 */
import fc from 'fast-check';
import type { Decision } from '../../reference/decisions.ts';
import { decided, decisionList, dialects, type Dialect } from '../../reference/dialects.ts';
import { matrix, type Matrix } from '../../reference/matrix.ts';
import type { SaeParams } from '../../reference/params.ts';

export interface Sizes {
  readonly rows: number;
  readonly d_in: number;
  readonly d_sae: number;
}

export const sizes: fc.Arbitrary<Sizes> = fc.record({
  rows: fc.integer({ min: 1, max: 3 }),
  d_in: fc.integer({ min: 1, max: 3 }),
  d_sae: fc.integer({ min: 1, max: 5 }),
});

const halves = fc.integer({ min: -6, max: 6 }).map((n) => n / 2);
/** All 53 bits in use, magnitude from 2^exponent to twice that. */
const fullBits = (exponent: fc.Arbitrary<number>): fc.Arbitrary<number> =>
  fc
    .tuple(
      fc.constantFrom(-1, 1),
      fc.integer({ min: 2 ** 25, max: 2 ** 26 - 1 }),
      fc.integer({ min: 0, max: 2 ** 27 - 1 }),
      exponent,
    )
    .map(([sign, high, low, e]) => sign * (high * 2 ** 27 + low) * 2 ** (e - 52));
const ordinary = fullBits(fc.integer({ min: -3, max: 2 }));
const spread = fullBits(fc.integer({ min: -60, max: 59 }));
const subnormal = fc.integer({ min: -1000, max: 1000 }).map((n) => positiveZero(n * 2 ** -1074));
/** Of one size and nearly equal, so that sums of them with either sign cancel. */
const cancelling = fc
  .tuple(fc.constantFrom(-1, 1), fc.integer({ min: -4, max: 4 }))
  .map(([sign, ulps]) => sign * (1 + ulps * 2 ** -50));

/** Values of one array, in one of several characters, zeros among them. */
export function values(length: number): fc.Arbitrary<Float64Array> {
  const of = (arbitrary: fc.Arbitrary<number>): fc.Arbitrary<Float64Array> =>
    fc
      .array(arbitrary, { minLength: length, maxLength: length })
      .map((array) => Float64Array.from(array));
  const withZeros = (arbitrary: fc.Arbitrary<number>): fc.Arbitrary<number> =>
    fc.oneof({ weight: 9, arbitrary }, { weight: 1, arbitrary: fc.constant(0) });
  const scaled = fc
    .integer({ min: -60, max: 57 })
    .chain((e) => of(withZeros(ordinary.map((value) => value * 2 ** e))));
  return fc.oneof(
    { weight: 3, arbitrary: of(halves) },
    { weight: 6, arbitrary: of(withZeros(ordinary)) },
    { weight: 2, arbitrary: of(withZeros(spread)) },
    { weight: 2, arbitrary: scaled },
    { weight: 2, arbitrary: of(withZeros(cancelling)) },
    { weight: 1, arbitrary: of(fc.oneof(halves, subnormal)) },
    { weight: 1, arbitrary: of(fc.oneof(fc.constant(0), fc.constant(0), halves)) },
  );
}

/** Values >= 0, as ReLU leaves them: about half are 0. */
export function positiveValues(length: number): fc.Arbitrary<Float64Array> {
  return values(length).map((array) => array.map((value) => Math.max(value, 0)));
}

/** A number as {@link values} has them. */
export const number: fc.Arbitrary<number> = values(1).map(([value]) => value);

export function matrixOf(rows: number, cols: number): fc.Arbitrary<Matrix> {
  return values(rows * cols).map((data) => matrix(rows, cols, data));
}

/** Acts, or latents: values >= 0, about half of them 0. */
export function actsOf(rows: number, cols: number): fc.Arbitrary<Matrix> {
  return positiveValues(rows * cols).map((data) => matrix(rows, cols, data));
}

export function paramsOf({ d_in, d_sae }: Sizes): fc.Arbitrary<SaeParams> {
  return fc.record({
    W_enc: matrixOf(d_in, d_sae),
    b_enc: values(d_sae),
    W_dec: matrixOf(d_sae, d_in),
    b_dec: values(d_in),
  });
}

/** Prefixes m_1 < ... < m_G = d_sae. */
export function prefixesOf(d_sae: number): fc.Arbitrary<number[]> {
  const widths = Array.from({ length: d_sae - 1 }, (_, i) => i + 1);
  return fc.subarray(widths).map((inner) => [...inner, d_sae]);
}

/** Flags, such as which latents are dead: none, some and all alike often. */
export function flags(length: number): fc.Arbitrary<Uint8Array> {
  const of = (least: number, most: number): fc.Arbitrary<Uint8Array> =>
    fc
      .array(fc.integer({ min: least, max: most }), { minLength: length, maxLength: length })
      .map((array) => Uint8Array.from(array));
  return fc.oneof(
    { weight: 1, arbitrary: of(0, 0) },
    { weight: 4, arbitrary: of(0, 1) },
    { weight: 1, arbitrary: of(1, 1) },
  );
}

/** Uniform draws from [0, 1), the ends among them. */
export function uniforms(length: number): fc.Arbitrary<number[]> {
  const draw = fc.oneof(
    { weight: 6, arbitrary: fullBits(fc.constant(0)).map((value) => Math.abs(value) - 1) },
    { weight: 1, arbitrary: fc.constantFrom(0, 0.5, 1 - 2 ** -53, 2 ** -53) },
  );
  return fc.array(draw, { minLength: length, maxLength: length });
}

const small = fullBits(fc.integer({ min: -30, max: 1 })).map(Math.abs);
const inRange: Record<NonNullable<Decision['number']>, fc.Arbitrary<number>> = {
  any: number,
  '> 0': small,
  '>= 0': fc.oneof(fc.constant(0), small),
  '0 to 1': fullBits(fc.integer({ min: -5, max: -1 })).map(Math.abs),
  'whole >= 0': fc.nat(6),
  'whole >= -1': fc.integer({ min: -1, max: 6 }),
};

/** Every published dialect, and random combinations of what each decision may be. */
export const dialect: fc.Arbitrary<Dialect> = fc.oneof(
  fc.constantFrom(...Object.values(dialects)),
  fc
    .tuple(...decisionList.map((decision) => decisionValue(decision, decision.path)))
    .map((chosen) => {
      const sections: Record<string, Record<string, unknown>> = {};
      decisionList.forEach(({ path }, i) => {
        const [section, name] = path.split('.');
        (sections[section] ??= {})[name] = chosen[i];
      });
      return { name: 'random', source: 'drawn', ...sections } as unknown as Dialect;
    }),
);

/** One of a decision's words, a number of its range, or what a published dialect has. */
function decisionValue(decision: Decision, path: string): fc.Arbitrary<unknown> {
  const published = Object.values(dialects).map((each) => decided(each, path));
  const { values: words, number: range } = decision;
  const numbers = range === undefined ? [] : [inRange[range]];
  return fc.oneof(fc.constantFrom(...published, ...words), ...numbers);
}

function positiveZero(value: number): number {
  return value === 0 ? 0 : value;
}
