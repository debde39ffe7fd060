/**
 * The mean of a metric that may be undefined.
 * @module
 */

/** @returns null for no values: an average over nothing is not 0. */
export function mean(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, v) => sum + v, 0) / values.length;
}

/** The mean of the values that are defined; null if none is. */
export function meanDefined(values: readonly (number | null)[]): number | null {
  return mean(values.filter((value) => value !== null));
}
