/**
 * Metrics as dots with intervals, one row per architecture. Intervals come from the caller; none is computed here.
 * @module
 */
import { formatNumber } from './page.ts';
import { drawRows, type Row } from './plot-rows.ts';

export interface MetricInterval {
  /** A label of `metrics`. */
  readonly metric: string;
  readonly architecture: string;
  /** NaN in any of the three: no value. */
  readonly value: number;
  readonly low: number;
  readonly high: number;
  /** Single values behind the interval, one per seed. */
  readonly seeds?: readonly number[];
}

export interface Intervals {
  readonly title: string;
  readonly alt: string;
  readonly xLabel: string;
  /** One group of rows each, all on one scale. `reference` is a published or expected value. */
  readonly metrics: readonly { readonly label: string; readonly reference?: number }[];
  readonly values: readonly MetricInterval[];
  /** What `low` and `high` are; "95 % interval" if left out. With fewer than five seeds say "range". */
  readonly intervalLabel?: string;
  /** Name of the references in the key; "published" if left out. */
  readonly referenceLabel?: string;
  readonly architectures?: readonly string[];
  readonly domain?: readonly [number, number];
  readonly digits?: number;
  readonly width?: number;
}

/**
 * @throws {@link RangeError} if there is no metric or no value, a value's metric is not listed or appears twice with one
 * architecture, an interval does not hold its value, or `alt` is empty.
 */
export function intervals(input: Intervals): string {
  const { digits = 3, intervalLabel = '95 % interval' } = input;
  const rows = input.values.map(({ metric, architecture, value, low, high, seeds = [] }): Row => {
    const points = seeds.filter((each) => Number.isFinite(each));
    if (![value, low, high].every(Number.isFinite)) {
      return { group: metric, architecture, value: NaN, text: 'no value', points };
    }
    if (!(low <= value && value <= high)) {
      throw new RangeError(
        `intervals: expected low <= value <= high for ${metric}, ${architecture}, got ${low}, ${value}, ${high}`,
      );
    }
    const [mean, from, to] = [value, low, high].map((each) => formatNumber(each, digits));
    const text = `${mean} [${from}, ${to}]`;
    return { group: metric, architecture, value, text, low, high, points };
  });
  return drawRows('intervals', {
    ...input,
    width: input.width ?? 720,
    architectures: input.architectures ?? [],
    shape: 'interval',
    groups: input.metrics.map(({ label, reference }) =>
      reference === undefined ? { label } : { label, marker: reference },
    ),
    rows,
    markerLabel: input.referenceLabel ?? 'published',
    valueLabel: `mean [${intervalLabel}]`,
    domain: input.domain ?? [],
    digits,
  });
}
