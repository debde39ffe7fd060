/**
 * Inputs that the tests of several operators share: float32 values, so that reference and port receive the same numbers.
 * @module
 */
import { inject } from 'vitest';
import type { SaeTensors } from '../../gpu/params.ts';
import { uploadMatrix } from '../../gpu/params.ts';
import type { Matrix } from '../../reference/matrix.ts';
import type { SaeParams } from '../../reference/params.ts';
import { createRng, type Rng } from '../../synthetic/rng.ts';
import type * as tf from '@tensorflow/tfjs-core';
import { randomMatrix, randomVector } from './bounds.ts';

/** A stream of its own for each label, from the run's seed. */
export function seeded(label: string): Rng {
  return createRng(inject('seed')).split(label);
}

export function randomParams(d_in: number, d_sae: number, uniform: () => number): SaeParams {
  return {
    W_enc: randomMatrix(d_in, d_sae, uniform),
    b_enc: randomVector(d_sae, uniform),
    W_dec: randomMatrix(d_sae, d_in, uniform),
    b_dec: randomVector(d_in, uniform),
  };
}

export function upload(a: Matrix): tf.Tensor2D {
  return uploadMatrix(a.data, a.rows, a.cols);
}

/** The tensors of a record, for `tf.dispose`. */
export function tensorsOf(params: SaeTensors): tf.Tensor[] {
  return [params.W_enc, params.b_enc, params.W_dec, params.b_dec];
}
