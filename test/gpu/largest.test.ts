import fc from 'fast-check';
import { expect, test } from 'vitest';
import { cutBelowLargest } from '../../gpu/largest.ts';

test('the cut is the K-th largest, and room counts how many equal to it belong to the K largest', () => {
  const values = fc.array(fc.oneof(fc.integer({ min: -2, max: 3 }), fc.float({ noNaN: true })), {
    minLength: 1,
    maxLength: 60,
  });
  fc.assert(
    fc.property(values, fc.nat(), (list, n) => {
      const K = 1 + (n % list.length);
      const given = Float32Array.from(list);
      const { value, room } = cutBelowLargest(given, K);
      expect(given).toEqual(Float32Array.from(list));
      const sorted = Array.from(given).sort((a, b) => b - a);
      expect(value === sorted[K - 1]).toBe(true); // 0 and -0 are one value
      expect(room).toBe(K - sorted.filter((one) => one > value).length);
    }),
  );
});
