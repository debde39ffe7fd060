/**
 * Small made-up activations on disk, which a small SAE can learn: each row is a few of 24 directions, and some noise.
 */
import { writeFileSync } from 'node:fs';
import { encodeSafetensors } from '../../training/formats/safetensors.ts';
import { createRng } from '../../synthetic/rng.ts';

export const d_in = 16;

/** (rows, d_in), the same directions for every seed. */
export function madeRows(rows: number, seed: number): Float32Array {
  const world = createRng(1).split('directions');
  const directions = Float64Array.from({ length: 24 * d_in }, () => world.normal());
  const rng = createRng(seed).split('rows');
  const x = new Float32Array(rows * d_in);
  for (let row = 0; row < rows; row++) {
    for (let t = 0; t < d_in; t++) x[row * d_in + t] = 0.5 + 0.05 * rng.normal();
    for (let active = 0; active < 3; active++) {
      const direction = rng.below(24);
      const strength = 0.5 + rng.uniform();
      for (let t = 0; t < d_in; t++) {
        x[row * d_in + t] += strength * directions[direction * d_in + t];
      }
    }
  }
  return x;
}

/** Writes a shard. @param cols - width, if not {@link d_in}: then the values are zeros and ones. */
export function writeShard(path: string, rows: number, seed: number, cols: number = d_in): string {
  const data =
    cols === d_in
      ? madeRows(rows, seed)
      : Float32Array.from({ length: rows * cols }, (_, i) => (i * 7) % 2);
  const tensor = { name: 'activations', dtype: 'F32', shape: [rows, cols], data } as const;
  writeFileSync(path, encodeSafetensors([tensor]));
  return path;
}
