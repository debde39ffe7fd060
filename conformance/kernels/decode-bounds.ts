/**
 * How far right reconstructions may be from the reference's.
 * @module
 */
import type { Matrix } from '../../reference/matrix.ts';
import { groups } from '../../reference/prefixes.ts';
import { largestMagnitude, underflow, type Profile } from '../error-model.ts';
import { growth } from './loss.ts';

/**
 * Bounds of every x̂_g, or of every x̂_g - target: (prefixes, rows, d_in).
 *
 * x̂_g is a sum of b_dec and one product for each latent of the prefix that is not 0, in any order: from scratch, or as
 * a sum that runs over groups and is stored g times. So |error| <= ρ · (|b_dec| + Σ |a||w|), where ρ is the growth of
 * that many products and g + 1 additions. A kernel may as well start from b_dec - target: one more term, |target|.
 */
export function prefixErrors(
  { latents, W_dec, b_dec }: { latents: Matrix; W_dec: Matrix; b_dec: Float64Array },
  prefixes: readonly number[],
  profile: Profile,
  target?: Float64Array,
): Float64Array {
  const { rows } = latents;
  const d_in = b_dec.length;
  const errors = new Float64Array(prefixes.length * rows * d_in);
  const largest = largestMagnitude(latents.data, W_dec.data, b_dec);
  for (let b = 0; b < rows; b++) {
    const magnitude = b_dec.map(
      (bias, i) => Math.abs(bias) + Math.abs(target?.[b * d_in + i] ?? 0),
    );
    let products = 0;
    groups(prefixes).forEach(({ start, end }, g) => {
      for (let j = start; j < end; j++) {
        const latent = Math.abs(latents.data[b * latents.cols + j]);
        if (latent === 0) continue;
        products++;
        for (let i = 0; i < d_in; i++) magnitude[i] += latent * Math.abs(W_dec.data[j * d_in + i]);
      }
      const additions = g + (target === undefined ? 2 : 3);
      const rho = growth(products, additions, profile);
      const tiny = underflow(2 * (products + additions), largest, profile);
      for (let i = 0; i < d_in; i++) {
        errors[(g * rows + b) * d_in + i] = rho * magnitude[i] + tiny;
      }
    });
  }
  return errors;
}
