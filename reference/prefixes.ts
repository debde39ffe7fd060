/**
 * Prefixes 0 < m_1 < ... < m_G = d_sae and the groups between them.
 *
 * A prefix is the first m_g latents; group g holds what prefix g adds to prefix g - 1. One prefix (G = 1) is a plain
 * BatchTopK SAE. Does not draw random prefixes.
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
