import { describe, expect, test } from 'vitest';
import type { Recording } from '../../golden-vectors.ts';
import { exact, open, relativeError, type Change } from '../source.ts';
import { tolerances, type Case } from './case.ts';

export const asPublished: Change = (dialect) => dialect;

/**
 * Declares a test for each case in both dtypes, and one that nothing recorded goes unused.
 * @param unused - recorded tensors that no case reads, and why not.
 */
export function testCases(
  folder: string,
  make: (recording: Recording) => readonly Case[],
  unused: Readonly<Record<string, string>>,
): void {
  describe.each(['float64', 'float32'] as const)('single operators in %s', (dtype) => {
    const recording = open({ folder }, 'operators', dtype);
    const cases = make(recording);
    test.each(cases)('$id agrees with what was published', ({ compare }) => {
      let count = 0;
      for (const [name, got, expected, size] of compare(asPublished)) {
        const error = relativeError(got, expected, dtype === 'float32' ? size : 0);
        const tolerance = exact.has(name) ? 0 : tolerances[dtype];
        expect(error, name).toBeLessThanOrEqual(tolerance);
        count++;
      }
      expect(count).toBeGreaterThan(0);
    });

    test('nothing recorded goes unused', () => {
      for (const { compare } of cases) for (const _ of compare(asPublished)) void _;
      const left = recording.names.filter((name) => !recording.used.has(name));
      const reasons = Object.keys(unused);
      expect(left.filter((name) => !reasons.some((start) => name.startsWith(start)))).toEqual([]);
      expect(reasons.filter((start) => !left.some((name) => name.startsWith(start)))).toEqual([]);
    });
  });
}
