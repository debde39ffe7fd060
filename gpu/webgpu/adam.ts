/**
 * Adam in three programs a parameter, one for each of its results, where stock ops take thirteen.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import { run } from './program.ts';

const THREADS = 256;

/** What a value becomes, from the inputs at its place. */
function each(
  name: string,
  inputs: Readonly<Record<string, tf.Tensor>>,
  floats: Readonly<Record<string, number>>,
  expression: string,
): tf.Tensor {
  const [first] = Object.values(inputs);
  return run({
    name: `adam_${name}`,
    inputs,
    numbers: { n: first.size },
    floats,
    shape: first.shape,
    dtype: 'float32',
    workgroups: Math.ceil(first.size / THREADS),
    threads: THREADS,
    code: `
      fn main() {
        let i = group() * ${THREADS} + i32(localIndex);
        if (i < uniforms.n) { result[i] = ${expression}; }
      }`,
  });
}

/** Constants of one update: 1 - β1; β2; 1 - β2; rate / (1 - β1^t); √(1 - β2^t); ε. */
export interface AdamConstants {
  readonly newM: number;
  readonly oldV: number;
  readonly newV: number;
  readonly rate: number;
  readonly root: number;
  readonly epsilon: number;
}

/** @returns the new parameter and moments, of the parameter's shape. */
export function adamStep<T extends tf.Tensor>(
  [p, m, v, g]: readonly [T, T, T, T],
  { newM, oldV, newV, rate, root, epsilon }: AdamConstants,
): { readonly p: T; readonly m: T; readonly v: T } {
  const nextM = each('m', { m, g }, { newM }, 'm[i] + uniforms.newM * (g[i] - m[i])');
  const nextV = each(
    'v',
    { v, g },
    { oldV, newV },
    'uniforms.oldV * v[i] + uniforms.newV * (g[i] * g[i])',
  );
  const nextP = each(
    'p',
    { p, m: nextM, v: nextV },
    { rate, root, epsilon },
    'p[i] - (uniforms.rate * m[i]) / (sqrt(v[i]) / uniforms.root + uniforms.epsilon)',
  );
  return { p: nextP as T, m: nextM as T, v: nextV as T };
}
