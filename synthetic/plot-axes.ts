/**
 * Domains and ticks that the figures with two numeric axes share.
 * @module
 */
import { formatNumber } from './page.ts';

/** Lowest and highest; a single value gets room around it, for an axis of no height shows no line. */
export function extent(values: readonly number[]): [number, number] {
  if (values.length === 0) return [0, 1];
  const low = values.reduce((a, b) => Math.min(a, b));
  const high = values.reduce((a, b) => Math.max(a, b));
  const room = low < high ? 0 : Math.abs(low) / 2 || 1;
  return [low - room, high + room];
}

export function logExtent(values: readonly number[]): [number, number] {
  if (values.length === 0) return [1, 10];
  const [low, high] = extent(values.map(Math.log10));
  return [10 ** low, 10 ** high];
}

/** Powers of ten, with 2 and 5 between them where there are few: all nine per decade would be a grey wall. */
export function logTicks([low, high]: readonly [number, number]): number[] {
  const first = Math.floor(Math.log10(low));
  const count = Math.ceil(Math.log10(high)) - first + 1;
  const step = Math.ceil(count / 8);
  return Array.from({ length: count }, (_, i) => i)
    .filter((i) => i % step === 0)
    .flatMap((i) => (count > 3 ? [1] : [1, 2, 5]).map((digit) => digit * 10 ** (first + i)))
    .filter((tick) => tick >= low && tick <= high);
}

/** Down to zero where the lowest value is not far from it: a level then reads as a share of the axis. */
export function withZero([low, high]: [number, number]): [number, number] {
  return [low > 0 && low < 0.4 * high ? 0 : low, high];
}

/** Tick labels of a log scale: powers of ten where digits would be many. */
export function logNumber(value: number): string {
  if (value >= 1e-3 && value < 1e4) return formatNumber(value);
  return Number(value.toPrecision(3)).toExponential().replace('e+', 'e').replace('e-', 'e−');
}

/** Tick labels in one unit for the whole axis: 0, 10k, 20k. */
export function axisNumbers(largest: number): (value: number) => string {
  const [unit, suffix] = largest >= 1e6 ? [1e6, 'M'] : largest >= 1e4 ? [1e3, 'k'] : [1, ''];
  return (value) => {
    if (value === 0) return '0';
    if (Math.abs(value) < 1e-3) return value.toExponential().replace('e-', 'e−');
    return formatNumber(value / unit) + suffix;
  };
}
