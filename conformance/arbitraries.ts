/**
 * Cases that matter: ties, zero rows, boundary counts, extreme magnitudes, subnormals, one row, one latent, three
 * dimensions. Every value is a float32, so a float32 kernel receives exactly what the reference receives.
 * @module
 */
import fc from 'fast-check';
import type { Call, Tensor } from './kernel.ts';
import { tensor } from './tensors.ts';

/** Sizes of a small SAE; `lead` is the shape before the last dimension, of one or two dimensions. */
export interface Sizes {
  readonly lead: readonly number[];
  readonly rows: number;
  readonly d_in: number;
  readonly d_sae: number;
}

export const sizes: fc.Arbitrary<Sizes> = fc
  .record({
    lead: fc.oneof(
      { weight: 2, arbitrary: fc.tuple(fc.integer({ min: 1, max: 6 })) },
      {
        weight: 1,
        arbitrary: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
      },
    ),
    d_in: fc.integer({ min: 1, max: 6 }),
    d_sae: fc.integer({ min: 1, max: 9 }),
  })
  .map(({ lead, d_in, d_sae }) => ({
    lead,
    rows: lead.reduce((product, length) => product * length, 1),
    d_in,
    d_sae,
  }));

/** Sizes with one leading dimension. */
export const flatSizes: fc.Arbitrary<Sizes> = sizes.map((size) => ({ ...size, lead: [size.rows] }));

const halves = fc.integer({ min: -6, max: 6 }).map((n) => n / 2);
const ordinary = fc.float({ min: -8, max: 8, noNaN: true }).map(positiveZero);
const spread = fc
  .tuple(fc.integer({ min: -4095, max: 4095 }), fc.integer({ min: -30, max: 10 }))
  .map(([mantissa, exponent]) => mantissa * 2 ** exponent);
const subnormal = fc.integer({ min: -1000, max: 1000 }).map((n) => n * 2 ** -149);

/** Values of one array, in one of several characters: small halves (ties), ordinary, widely spread, subnormal, few. */
export function values(length: number): fc.Arbitrary<number[]> {
  const of = (arbitrary: fc.Arbitrary<number>): fc.Arbitrary<number[]> =>
    fc.array(arbitrary, { minLength: length, maxLength: length });
  return fc.oneof(
    { weight: 4, arbitrary: of(halves) },
    { weight: 4, arbitrary: of(ordinary) },
    { weight: 2, arbitrary: of(spread) },
    { weight: 1, arbitrary: of(fc.oneof(halves, subnormal)) },
    // Mostly zeros: zero rows, and fewer positive values than are asked for.
    {
      weight: 2,
      arbitrary: of(
        fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: halves }),
      ),
    },
  );
}

/** A tensor of {@link values}. */
export function tensorOf(shape: readonly number[]): fc.Arbitrary<Tensor> {
  const size = shape.reduce((product, length) => product * length, 1);
  return values(size).map((data) => tensor(shape, data));
}

/** A tensor of values >= 0, as ReLU leaves them. */
export function actsOf(shape: readonly number[]): fc.Arbitrary<Tensor> {
  return tensorOf(shape).map(({ data }) =>
    tensor(
      shape,
      data.map((value) => Math.max(value, 0)),
    ),
  );
}

/** Latents: acts of which most are zero. */
export function latentsOf(shape: readonly number[]): fc.Arbitrary<Tensor> {
  const size = shape.reduce((product, length) => product * length, 1);
  return fc
    .tuple(
      actsOf(shape),
      fc.array(fc.integer({ min: 0, max: 2 }), { minLength: size, maxLength: size }),
    )
    .map(([acts, keep]) =>
      tensor(
        shape,
        acts.data.map((act, i) => (keep[i] === 0 ? act : 0)),
      ),
    );
}

/** k so that K = trunc(k · rows) falls on, beside and far from the number of positive acts. */
export function kFor(acts: Tensor, rows: number): fc.Arbitrary<number> {
  const n = acts.data.length;
  const positive = acts.data.filter((act) => act > 0).length;
  const counts = [0, positive - 1, positive, positive + 1, n].filter((K) => K >= 0 && K <= n);
  return fc.oneof(
    fc.constantFrom(...counts).map((K) => K / rows),
    // Fractional: trunc(k · rows) must round down.
    fc.integer({ min: 0, max: n - 1 }).map((K) => (K + 0.75) / rows),
    fc.integer({ min: 0, max: Math.floor(n / rows) }),
  );
}

/** Prefixes m_1 < … < m_G = d_sae. */
export function prefixesOf(d_sae: number): fc.Arbitrary<number[]> {
  const widths = Array.from({ length: d_sae - 1 }, (_, i) => i + 1);
  return fc.subarray(widths).map((inner) => [...inner, d_sae]);
}

/** Inputs and outputs of a permutation of 0..n-1. */
export function permutationOf(n: number): fc.Arbitrary<number[]> {
  const identity = Array.from({ length: n }, (_, i) => i);
  return fc.shuffledSubarray(identity, { minLength: n, maxLength: n });
}

/** The same call with one value of one of the named inputs made NaN or infinite. */
export function withNonFinite(
  calls: fc.Arbitrary<Call>,
  inputs: readonly string[],
): fc.Arbitrary<Call> {
  return fc
    .tuple(calls, fc.constantFrom(...inputs), fc.nat(), fc.constantFrom(NaN, Infinity, -Infinity))
    .map(([call, name, at, value]) => {
      const { shape, data } = call.inputs[name];
      const spoiled = data.slice();
      spoiled[at % data.length] = value;
      return { ...call, inputs: { ...call.inputs, [name]: tensor(shape, spoiled) } };
    });
}

function positiveZero(value: number): number {
  return value === 0 ? 0 : value;
}
