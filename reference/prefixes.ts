/**
 * Prefixes 0 < m_1 < ... < m_G = d_sae and the groups between them.
 *
 * A prefix is the first m_g latents; group g holds what prefix g adds to prefix g - 1. One prefix (G = 1) is a plain
 * BatchTopK SAE. They are fixed for a run, or drawn anew for every batch.
 * @module
 */

/** Latents start <= j < end of one group. */
export interface Group {
  readonly start: number;
  readonly end: number;
}

/** @throws {@link RangeError} unless prefixes are whole numbers, strictly increasing from above 0 to d_sae. */
export function requirePrefixes(prefixes: readonly number[], d_sae: number): void {
  if (prefixes.length === 0) throw new RangeError('prefixes: expected at least one, got none');
  prefixes.forEach((width, g) => {
    const previous = g === 0 ? 0 : prefixes[g - 1];
    if (!Number.isInteger(width) || width <= previous) {
      throw new RangeError(
        `prefixes: expected whole numbers, each above the one before (${previous}), got ${width} in [${prefixes.join(', ')}]`,
      );
    }
  });
  const last = prefixes[prefixes.length - 1];
  if (last !== d_sae) {
    throw new RangeError(
      `prefixes: expected the last to be d_sae = ${d_sae}, got ${last} in [${prefixes.join(', ')}]`,
    );
  }
}

/** @example groups([2, 5]) // [{ start: 0, end: 2 }, { start: 2, end: 5 }] */
export function groups(prefixes: readonly number[]): Group[] {
  return prefixes.map((end, g) => ({ start: g === 0 ? 0 : prefixes[g - 1], end }));
}

/**
 * Prefixes from each group's fraction of d_sae, as dl does: sizes are truncated, and the last group takes the rest.
 * The product is taken in double before it is truncated, so 0.29 of 100 is 28.
 * Source: dl `MatryoshkaBatchTopKTrainer.__init__`.
 * @throws {@link RangeError} if fractions do not add up to 1 within 1e-6, or a group would be empty.
 */
export function prefixesFromFractions(fractions: readonly number[], d_sae: number): number[] {
  const total = fractions.reduce((sum, fraction) => sum + fraction, 0);
  if (!(Math.abs(total - 1) <= 1e-6)) {
    throw new RangeError(`group fractions: expected a sum of 1, got ${total}`);
  }
  const prefixes: number[] = [];
  fractions.forEach((fraction, g) => {
    const start = g === 0 ? 0 : prefixes[g - 1];
    prefixes.push(g === fractions.length - 1 ? d_sae : start + Math.trunc(fraction * d_sae));
  });
  requirePrefixes(prefixes, d_sae);
  return prefixes;
}

/**
 * `count` prefixes, drawn: d_sae always, the others without replacement from least..d_sae - 1, where each draw takes
 * length v with weight (v - least + 1)^power - (v - least)^power among those left: short prefixes more often.
 * Published as a truncated Pareto law of power 0.5. Source: nb `sae.py`, `sample_prefixes`.
 * @param least - the shortest length that may be drawn (1 in nb).
 * @param uniform - draws from [0, 1); called count - 1 times.
 * @throws {@link RangeError} if there are fewer lengths than are to be drawn, or a number is not whole.
 */
export function samplePrefixes(
  d_sae: number,
  count: number,
  least: number,
  power: number,
  uniform: () => number,
): number[] {
  const available = d_sae - least;
  if (!(power > 0)) throw new RangeError(`prefixes: expected a power above 0, got ${power}`);
  const whole = [d_sae, count, least].every(Number.isInteger);
  if (!whole || least < 1 || count < 1 || count - 1 > Math.max(available, 0)) {
    throw new RangeError(
      `prefixes: expected ${count} whole lengths, ${least} <= m_1 < ... <= d_sae = ${d_sae}, to be possible`,
    );
  }
  const drawn = [d_sae];
  const left = new Map<number, number>();
  for (let i = 0; i < available; i++) left.set(least + i, (i + 1) ** power - i ** power);
  while (drawn.length < count) {
    const total = [...left.values()].reduce((sum, weight) => sum + weight, 0);
    const length = lengthAt(left, uniform() * total);
    left.delete(length);
    drawn.push(length);
  }
  return drawn.sort((a, b) => a - b);
}

/** The length at which weights, added up in order, pass `target`. */
function lengthAt(weights: ReadonlyMap<number, number>, target: number): number {
  let sum = 0;
  let last = NaN;
  for (const [length, weight] of weights) {
    sum += weight;
    last = length;
    if (target < sum) return length;
  }
  return last; // rounding may leave the sum just below the target
}
