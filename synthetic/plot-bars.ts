/**
 * Absorption per parent: a bar per architecture, its seeds, and the ceiling that P(child | parent) sets.
 * @module
 */
import { formatNumber } from './page.ts';
import { drawRows, type Row } from './plot-rows.ts';

export interface AbsorptionBars {
  readonly title: string;
  readonly alt: string;
  readonly xLabel: string;
  /** One group of bars each, with a line at its ceiling. */
  readonly parents: readonly { readonly label: string; readonly ceiling?: number }[];
  /** `parent` is a label of `parents`. The bar is the mean of `seeds`; NaN is a seed without a value. */
  readonly bars: readonly {
    readonly parent: string;
    readonly architecture: string;
    readonly seeds: readonly number[];
    /** Of the mean, drawn as a whisker and printed; none if left out. */
    readonly interval?: readonly [low: number, high: number];
  }[];
  /** What the intervals are; needed where there are any. */
  readonly intervalLabel?: string;
  /** Name of the ceiling in the key; "ceiling P(child | parent)" if left out. */
  readonly ceilingLabel?: string;
  /** Order of the architectures, which decides their colours; of first appearance if left out. */
  readonly architectures?: readonly string[];
  /** Scale, widened if the data goes beyond; from 0 to the largest value if left out. */
  readonly domain?: readonly [number, number];
  /** Decimals of the printed means; 2 if left out. */
  readonly digits?: number;
  /** px; 720 if left out. */
  readonly width?: number;
}

/**
 * @throws {@link RangeError} if there is no parent or no bar, a bar's parent is not listed or appears twice with one
 * architecture, or `alt` is empty.
 */
export function barsWithCeiling(input: AbsorptionBars): string {
  const { digits = 2 } = input;
  const rows = input.bars.map(({ parent, architecture, seeds, interval }): Row => {
    const points = seeds.filter((value) => Number.isFinite(value));
    const value = points.reduce((sum, each) => sum + each, 0) / points.length;
    const some = points.length < seeds.length && points.length > 0;
    const between = interval?.map((end) => formatNumber(end, digits)).join(', ');
    const text =
      formatNumber(value, digits) +
      (between === undefined ? '' : ` [${between}]`) +
      (some ? ` (${points.length} of ${seeds.length})` : '');
    const row = { group: parent, architecture, value, text, points };
    return interval === undefined ? row : { ...row, low: interval[0], high: interval[1] };
  });
  return drawRows('barsWithCeiling', {
    ...input,
    width: input.width ?? 720,
    architectures: input.architectures ?? [],
    shape: 'bar',
    groups: input.parents.map(({ label, ceiling }) =>
      ceiling === undefined ? { label } : { label, marker: ceiling },
    ),
    rows,
    markerLabel: input.ceilingLabel ?? 'ceiling P(child | parent)',
    valueLabel: input.intervalLabel === undefined ? 'mean' : `mean [${input.intervalLabel}]`,
    domain: input.domain === undefined ? [0] : [0, ...input.domain],
    digits,
  });
}
