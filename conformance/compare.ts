/**
 * Comparison that NaN cannot pass: a value is right only if |got - expected| <= bound is true.
 * @module
 */
import type { Tensor, Tensors } from './kernel.ts';

/** The first place where a tensor is wrong, in words; null if it is right everywhere. */
export function compareTensor(
  name: string,
  got: Tensor,
  expected: Tensor,
  bound: (index: number) => number,
): string | null {
  for (let i = 0; i < expected.data.length; i++) {
    const limit = bound(i);
    if (!(Math.abs(got.data[i] - expected.data[i]) <= limit)) {
      return `${name}${place(i, expected.shape)} returned ${got.data[i]}, expected ${expected.data[i]}${limit > 0 ? ` ± ${limit.toExponential(2)}` : ' exactly'}`;
    }
  }
  return null;
}

/** Compares every expected tensor; bounds by name, 0 (exact) where none is given. */
export function compareTensors(
  got: Tensors,
  expected: Tensors,
  bounds: Readonly<Record<string, Float64Array>>,
): string | null {
  for (const [name, tensor] of Object.entries(expected)) {
    const bound = bounds[name];
    const wrong = compareTensor(name, got[name], tensor, (i) => (bound ? bound[i] : 0));
    if (wrong !== null) return wrong;
  }
  return null;
}

/** `[1, 3]` of a row-major index. */
export function place(index: number, shape: readonly number[]): string {
  if (shape.length === 0) return '';
  const coordinates: number[] = [];
  let rest = index;
  for (const size of shape.toReversed()) {
    coordinates.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return `[${coordinates.join(', ')}]`;
}

/** Whether any value of any tensor is NaN or infinite. */
export function hasNonFinite(tensors: Tensors): boolean {
  return Object.values(tensors).some((tensor) =>
    tensor.data.some((value) => !Number.isFinite(value)),
  );
}
