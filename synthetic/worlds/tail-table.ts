/**
 * Whether a number is below Q(t), the normal's upper tail, mostly without computing Q: a table brackets it, and only
 * numbers inside the bracket need the exact value. The answer is exact.
 * @module
 */
import { upperTail } from './normal.ts';

/** The table covers |t| < TAIL_LIMIT in steps of 1 / TAIL_STEPS. */
export const TAIL_LIMIT = 8;
export const TAIL_STEPS = 128;
/** Q at those t. */
export const upperTails: Float64Array = Float64Array.from(
  { length: 2 * TAIL_LIMIT * TAIL_STEPS + 1 },
  (_, i) => upperTail(i / TAIL_STEPS - TAIL_LIMIT),
);

/** value < P(Z > t). An event of that probability, where value is uniform in [0, 1). */
export function belowUpperTail(value: number, t: number): boolean {
  if (!(t >= -TAIL_LIMIT && t < TAIL_LIMIT)) return value < upperTail(t);
  const cell = Math.floor((t + TAIL_LIMIT) * TAIL_STEPS);
  if (value < upperTails[cell + 1]) return true;
  return value < upperTails[cell] && value < upperTail(t);
}

/** Whether value >= P(Z > t) can be told from the table alone: never true where {@link belowUpperTail} is. */
export function surelyNotBelow(value: number, t: number): boolean {
  if (!(t >= -TAIL_LIMIT && t < TAIL_LIMIT))
    return t >= TAIL_LIMIT && value >= upperTails[2 * TAIL_LIMIT * TAIL_STEPS];
  return value >= upperTails[Math.floor((t + TAIL_LIMIT) * TAIL_STEPS)];
}
