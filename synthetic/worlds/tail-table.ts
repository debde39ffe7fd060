/**
 * Whether a number is below Q(t), the normal's upper tail, mostly without computing Q: a table brackets it, and only
 * numbers inside the bracket need the exact value. The answer is exact.
 * @module
 */
import { upperTail } from './normal.ts';

/** The table covers |t| < LIMIT in steps of 1 / STEPS. */
const LIMIT = 8;
const STEPS = 128;
/** Q at those t. */
export const upperTails: Float64Array = Float64Array.from(
  { length: 2 * LIMIT * STEPS + 1 },
  (_, i) => upperTail(i / STEPS - LIMIT),
);

/** value < P(Z > t). An event of that probability, where value is uniform in [0, 1). */
export function belowUpperTail(value: number, t: number): boolean {
  if (!(t >= -LIMIT && t < LIMIT)) return value < upperTail(t);
  const cell = Math.floor((t + LIMIT) * STEPS);
  if (value < upperTails[cell + 1]) return true;
  return value < upperTails[cell] && value < upperTail(t);
}

/** Whether value >= P(Z > t) can be told from the table alone: never true where {@link belowUpperTail} is. */
export function surelyNotBelow(value: number, t: number): boolean {
  if (!(t >= -LIMIT && t < LIMIT)) return t >= LIMIT && value >= upperTails[2 * LIMIT * STEPS];
  return value >= upperTails[Math.floor((t + LIMIT) * STEPS)];
}
