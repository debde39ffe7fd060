/**
 * Seeded random numbers, the same bits on every machine: xoshiro128** 1.1 (Blackman and Vigna 2018,
 * arXiv:1805.01407, prng.di.unimi.it), its 128 bits of state filled by a splitmix-style hash of the seed.
 * Sub-streams are derived by name from the seed, not from the state: drawing from one never shifts another.
 * Not for cryptography.
 * @module
 */

/** A stream of random numbers. Every function but `split` advances it. None needs its `this`. */
export interface Rng {
  /** Uniform in [0, 1) on the grid of multiples of 2^-53. */
  readonly uniform: () => number;
  /** Standard normal. Polar method: its only transcendental is `log`, so no `sin` or `cos` of the engine enters. */
  readonly normal: () => number;
  /**
   * Whole number uniform in 0..n-1, without modulo bias.
   * @throws {@link RangeError} if n is not a whole number in 1..2^32.
   */
  readonly below: (n: number) => number;
  /** The sub-stream called `label`: depends on the seed and the labels so far, not on what was drawn. */
  readonly split: (label: string) => Rng;
}

/**
 * @param seed - whole number in 0..2^53-1.
 * @throws {@link RangeError} for any other seed: rounding one silently would repeat another run.
 * @example createRng(7).split('world').uniform()
 */
export function createRng(seed: number): Rng {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RangeError(`createRng: expected a whole number seed in 0..2^53-1, got ${seed}`);
  }
  return streamOf(absorb(new Uint32Array(4), [seed >>> 0, Math.floor(seed / 2 ** 32)]));
}

/** What a stream is at: where another program draws on, and from where this one does again. */
export interface RngState {
  /** (4). */
  readonly words: Int32Array;
  /** (1): the normal that is drawn already, NaN where there is none. */
  readonly spare: Float64Array;
}

const states = new WeakMap<Rng, RngState>();

/** Shared with the stream, not a copy. Undefined for sources of numbers that are not made here. */
export function stateOf(rng: Rng): RngState | undefined {
  return states.get(rng);
}

/** The generator itself, from its four state words. Exported so that published vectors can check it. */
export function xoshiro128(state: Uint32Array): () => number {
  return drawsFrom(Int32Array.from(state));
}

/** In a typed array: variables of a closure that outgrow 31 bits are boxed anew at every draw. */
function drawsFrom(s: Int32Array): () => number {
  return () => {
    const s0 = s[0];
    const s1 = s[1];
    const s2 = s[2] ^ s0;
    const s3 = s[3] ^ s1;
    const product = Math.imul(s1, 5);
    s[0] = s0 ^ s3;
    s[1] = s1 ^ s2;
    s[2] = s2 ^ (s1 << 9);
    s[3] = (s3 << 11) | (s3 >>> 21);
    return Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
  };
}

function streamOf(key: Uint32Array): Rng {
  // The all-zero state is the generator's one fixed point.
  const words = Int32Array.from(key.every((word) => word === 0) ? [1, 0, 0, 0] : key);
  const bits = drawsFrom(words);
  const uniform = (): number => ((bits() >>> 5) * 2 ** 26 + (bits() >>> 6)) / 2 ** 53;
  const spare = Float64Array.of(NaN);

  function normal(): number {
    const kept = spare[0];
    if (!Number.isNaN(kept)) {
      spare[0] = NaN;
      return kept;
    }
    // Marsaglia and Bray 1964: a point uniform in the unit disc gives two independent normals.
    for (;;) {
      const u = 2 * uniform() - 1;
      const v = 2 * uniform() - 1;
      const s = u * u + v * v;
      if (s >= 1 || s === 0) continue;
      const scale = Math.sqrt((-2 * Math.log(s)) / s);
      spare[0] = v * scale;
      return u * scale;
    }
  }

  function below(n: number): number {
    if (!Number.isInteger(n) || n < 1 || n > 2 ** 32) {
      throw new RangeError(`below: expected a whole number n in 1..2^32, got ${n}`);
    }
    const limit = 2 ** 32 - (2 ** 32 % n);
    for (;;) {
      const value = bits();
      if (value < limit) return value % n;
    }
  }

  const rng: Rng = {
    uniform,
    normal,
    below,
    split(label) {
      // The length first, so that 'ab' then 'c' is not 'a' then 'bc'.
      const codes = Array.from({ length: label.length }, (_, i) => label.charCodeAt(i));
      return streamOf(absorb(key, [label.length, ...codes]));
    },
  };
  states.set(rng, { words, spare });
  return rng;
}

/** Hashes words into a 128-bit key, four lanes that start apart. */
function absorb(key: Uint32Array, words: readonly number[]): Uint32Array {
  return Uint32Array.from(key, (lane, i) => {
    let hash = mix(lane + Math.imul(i + 1, 0x9e3779b9));
    for (const word of words) hash = mix((hash ^ word) + 0x9e3779b9);
    return hash;
  });
}

/** The 32-bit finaliser of splitmix32: constants of C. Wellons, hash-prospector, bias 0.107. */
function mix(value: number): number {
  let z = value | 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return (z ^ (z >>> 15)) >>> 0;
}
