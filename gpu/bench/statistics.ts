/**
 * Medians and quartiles of repeated measurements.
 * @module
 */

export interface Spread {
  readonly median: number;
  readonly q1: number;
  readonly q3: number;
  readonly count: number;
}

/**
 * The value below which a share of the values lies, linear between neighbours (type 7 of Hyndman and Fan 1996: what
 * NumPy and R do unless asked otherwise).
 * @param sorted - at least one, finite.
 * @param share - in 0..1.
 */
export function quantileOfSorted(sorted: ArrayLike<number>, share: number): number {
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (at - low) * (sorted[high] - sorted[low]);
}

/**
 * {@link quantileOfSorted}, of values in any order.
 * @throws {@link RangeError} if there is no value, or one is not finite.
 */
export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new RangeError('quantile: expected at least one value, got none');
  const bad = values.find((value) => !Number.isFinite(value));
  if (bad !== undefined) throw new RangeError(`quantile: expected finite values, got ${bad}`);
  return quantileOfSorted(
    [...values].sort((a, b) => a - b),
    share,
  );
}

/** @throws {@link RangeError} as {@link quantile}. */
export function spread(values: readonly number[]): Spread {
  return {
    median: quantile(values, 0.5),
    q1: quantile(values, 0.25),
    q3: quantile(values, 0.75),
    count: values.length,
  };
}

/**
 * How many times as long the other took, round by round: two neighbours in time share the machine's mood, so that the
 * ratios spread less than the times do.
 * @param own - seconds in each round.
 * @param other - as many, of the same rounds.
 * @throws {@link RangeError} if lengths differ, there is no round, or a time is not above 0.
 */
export function ratios(own: readonly number[], other: readonly number[]): number[] {
  if (own.length !== other.length) {
    throw new RangeError(
      `ratios: expected as many rounds of both, got ${own.length} and ${other.length}`,
    );
  }
  const bad = [...own, ...other].find((seconds) => !(seconds > 0));
  if (bad !== undefined) throw new RangeError(`ratios: expected times above 0, got ${bad}`);
  return own.map((seconds, round) => other[round] / seconds);
}
