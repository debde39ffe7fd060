/**
 * Gradient-norm clipping, the learning-rate schedule, and Adam as torch computes it. Schedule and bias corrections are
 * taken on the host in double; they depend on the step alone.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import { learningRate, power, type Schedule } from '../reference/adam.ts';
import type { Dialect } from '../reference/dialects.ts';
import { eachParam, paramNames, type SaeTensors } from './params.ts';
import { sumOfSquares } from './product.ts';
import { tidy } from './tidy.ts';
import { adamStep } from './webgpu/adam.ts';
import { onWebgpu } from './webgpu/program.ts';

export { learningRate, type Schedule };

/** 2-norm of the four gradients together. */
export function gradientNorm(gradients: SaeTensors): tf.Scalar {
  return tf.tidy(() => tf.sqrt(tf.addN(paramNames.map((name) => sumOfSquares(gradients[name])))));
}

/**
 * Every gradient times min(1, maxNorm / (norm + 1e-6)).
 * @param norm - of the gradients, if it is known already.
 */
export function clipGradients(
  gradients: SaeTensors,
  maxNorm: number,
  norm?: tf.Scalar,
): SaeTensors {
  return tidy(() => {
    const factor = tf.minimum(tf.div(maxNorm, tf.add(norm ?? gradientNorm(gradients), 1e-6)), 1);
    return eachParam((name) => tf.mul(gradients[name], factor));
  });
}

export interface AdamResult {
  readonly params: SaeTensors;
  readonly m: SaeTensors;
  readonly v: SaeTensors;
}

/**
 * m ← m + (1 - β1)(g - m);  v ← β2 v + (1 - β2) g²;
 * w ← w - lr / (1 - β1^t) · m / (√v / √(1 - β2^t) + ε), t counted from 1.
 * @param step - updates done before this one.
 */
export function adamUpdate(
  params: SaeTensors,
  gradients: SaeTensors,
  m: SaeTensors,
  v: SaeTensors,
  step: number,
  rate: number,
  dialect: Dialect,
): AdamResult {
  const { beta1, beta2, epsilon } = dialect.adam;
  const correction1 = 1 - power(beta1, step + 1);
  const correction2 = Math.sqrt(1 - power(beta2, step + 1));
  if (onWebgpu()) {
    const constants = {
      newM: 1 - beta1,
      oldV: beta2,
      newV: 1 - beta2,
      rate: rate / correction1,
      root: correction2,
      epsilon,
    };
    const stepped = Object.fromEntries(
      paramNames.map((name) => [
        name,
        adamStep<tf.Tensor>([params[name], m[name], v[name], gradients[name]], constants),
      ]),
    );
    return {
      params: eachParam((name) => stepped[name].p),
      m: eachParam((name) => stepped[name].m),
      v: eachParam((name) => stepped[name].v),
    };
  }
  const nextM = eachParam((name) =>
    tf.add(m[name], tf.mul(tf.sub(gradients[name], m[name]), 1 - beta1)),
  );
  const nextV = eachParam((name) =>
    tf.add(tf.mul(v[name], beta2), tf.mul(tf.square(gradients[name]), 1 - beta2)),
  );
  const nextParams = eachParam((name) =>
    tf.sub(
      params[name],
      tf.div(
        tf.mul(nextM[name], rate / correction1),
        tf.add(tf.div(tf.sqrt(nextV[name]), correction2), epsilon),
      ),
    ),
  );
  return { params: nextParams, m: nextM, v: nextV };
}
