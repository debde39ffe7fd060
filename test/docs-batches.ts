/** What the README's example trains on. */
import { matrix, type Matrix } from '../reference/matrix.ts';
import { createRng } from '../synthetic/rng.ts';

const rng = createRng(1);
const batch = (): Matrix =>
  matrix(
    30,
    20,
    Float64Array.from({ length: 600 }, () => rng.normal()),
  );

export const batches: readonly Matrix[] = [batch(), batch(), batch()];
export const x: Matrix = batch();
