/**
 * Gradients by latent, over the latents that are not 0. Latents are transposed first, so that what a latent receives from
 * all rows lies together.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import type { SaeTensors } from '../params.ts';
import { tidy } from '../tidy.ts';
import { levelDots, levelSums } from './sparse.ts';

/** Latents and what each row gives them. */
export interface Term {
  /** (rows, d_sae), 0 where not selected. */
  readonly latents: tf.Tensor2D;
  /** Not 0 where the gradient passes: (rows, d_sae). */
  readonly passes: tf.Tensor2D;
  /** Gradient of the reconstruction, for latents up to each end: (rows, d_in) each. */
  readonly upstream: readonly tf.Tensor2D[];
  readonly ends: readonly number[];
}

/**
 * Sums over all terms of: ∂w_j = Σ_b a[b,j] t[b], with t the upstream gradient of j's level; δ[b,j] = t[b]·w_j where it
 * passes; ∂W_enc column j = Σ_b δ[b,j] input[b]; ∂b_enc[j] = Σ_b δ[b,j].
 * @param terms - one or more.
 * @param input - what W_enc multiplies, (rows, d_in).
 */
export function gradientsByLatent(
  terms: readonly Term[],
  input: tf.Tensor2D,
  W_dec: tf.Tensor2D,
): Omit<SaeTensors, 'b_dec'> {
  return tidy(() => {
    const parts = terms.map(({ latents, passes, upstream, ends }) => {
      const sources = tf.stack([...upstream]) as tf.Tensor3D;
      const byLatent: tf.Tensor2D = tf.transpose(latents);
      const pattern: tf.Tensor2D = passes === latents ? byLatent : tf.transpose(passes);
      return {
        W_dec: levelSums(byLatent, sources, ends),
        delta: levelDots(pattern, W_dec, sources, ends),
      };
    });
    // addN of one would be the same, at the cost of a copy.
    const sum = (all: tf.Tensor2D[]): tf.Tensor2D => all.reduce((a, b) => tf.add(a, b));
    const delta = sum(parts.map((part) => part.delta)); // (d_sae, rows)
    const W_encTransposed = levelSums(delta, tf.expandDims(input, 0), [delta.shape[0]]);
    return {
      W_enc: tf.transpose(W_encTransposed),
      b_enc: tf.sum<tf.Tensor1D>(delta, 1),
      W_dec: sum(parts.map((part) => part.W_dec)),
    };
  });
}
