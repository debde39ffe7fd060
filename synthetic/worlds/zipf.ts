/**
 * Firing probabilities that fall as a power of the feature's rank, shifted and scaled to given ends.
 * Source: SAELens 6.54.12, synthetic/firing_probabilities.py::zipfian_firing_probabilities.
 * @module
 */

/**
 * p_i = p_min + (p_max - p_min) (r_i - r_F) / (1 - r_F) with r_i = i^-exponent, i = 1..features: from p_max down to p_min,
 * strictly. The shift makes it no pure power law. One feature alone has p_max.
 * @throws {@link RangeError} unless 0 < p_min < p_max <= 1 and exponent > 0.
 */
export function zipfProbabilities(
  features: number,
  { exponent, p_max, p_min }: { exponent: number; p_max: number; p_min: number },
): Float64Array {
  if (!(exponent > 0 && exponent < Infinity)) {
    throw new RangeError(`firing.exponent: expected a number > 0, got ${exponent}`);
  }
  if (!(p_max > 0 && p_max <= 1)) {
    throw new RangeError(`firing.p_max: expected a probability in (0, 1], got ${p_max}`);
  }
  if (!(p_min > 0 && p_min < p_max)) {
    throw new RangeError(`firing.p_min: expected it in (0, p_max = ${p_max}), got ${p_min}`);
  }
  const last = features ** -exponent;
  return Float64Array.from({ length: features }, (_, i) =>
    i === 0 ? p_max : p_min + ((p_max - p_min) * ((i + 1) ** -exponent - last)) / (1 - last),
  );
}
