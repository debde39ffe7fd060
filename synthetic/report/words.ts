/**
 * Figures in words: names of metrics, means with their intervals, differences, and why a figure is missing. Used by
 * the page and by the terminal.
 * @module
 */
import type { Interval, PairedDifference } from '../bootstrap.ts';
import type { Comparison, ExperimentResults } from '../experiments/results.ts';
import { metricList } from '../metric-list.ts';
import { formatNumber } from '../page.ts';

/** In the order of the metric list, then whatever else the results hold. */
export function metricNames(results: ExperimentResults): string[] {
  const found = new Set(results.summaries.flatMap(({ metrics }) => Object.keys(metrics)));
  const listed = metricList.map(({ name }): string => name);
  return [
    ...listed.filter((name) => found.has(name)),
    ...[...found].filter((name) => !listed.includes(name)),
  ];
}

/** What readers call a metric; its name where nothing else is known. */
export function metricLabel(name: string): string {
  return metricList.find((metric) => metric.name === name)?.label ?? name;
}

/** "Full absorption (lower is better)", for an axis. */
export function axisLabel(name: string): string {
  const direction = metricList.find((metric) => metric.name === name)?.direction;
  const better =
    direction === 'up' ? ' (higher is better)' : direction === 'down' ? ' (lower is better)' : '';
  return metricLabel(name) + better;
}

/** With a capital, to begin a sentence. */
export function sentenceLabel(name: string): string {
  const label = metricLabel(name);
  return label.charAt(0).toUpperCase() + label.slice(1);
}

/** The label with an arrow to where better is. */
export function labelWithDirection(name: string): string {
  const direction = metricList.find((metric) => metric.name === name)?.direction;
  const arrow = direction === 'up' ? '\u00a0↑' : direction === 'down' ? '\u00a0↓' : '';
  // The last word and the arrow stay together: neither means anything on a line of its own.
  return metricLabel(name).replace(/ (\S{1,2})$/, '\u00a0$1') + arrow;
}

/**
 * "0.316 [0.211, 0.432]"; the mean alone where it is of one value, "–" for none. Breaks before the bracket only:
 * inside, an interval would be two numbers.
 */
export function intervalText(interval: Interval | null | undefined, digits = 3): string {
  if (interval === null || interval === undefined) return '–';
  const [mean, low, high] = [interval.mean, interval.low, interval.high].map((value) =>
    formatNumber(value, digits),
  );
  return interval.values.length === 1 ? mean : `${mean} [${low},\u00a0${high}]`;
}

/** A difference with its sign: "+0.100 [0.050, 0.150]". */
export function differenceText(difference: Interval | null | undefined, digits = 3): string {
  const text = intervalText(difference, digits);
  return (difference?.mean ?? 0) > 0 ? `+${text}` : text;
}

/** What stands between the brackets. */
export function intervalKind(results: ExperimentResults): string {
  const kinds = new Set(
    results.summaries.flatMap(({ metrics }) =>
      Object.values(metrics).map((interval) => interval?.kind),
    ),
  );
  return kinds.has('bootstrap 95 %') ? '95 % bootstrap interval' : 'smallest, largest';
}

/** Why a metric has no value in any run of the experiment. */
export function absenceReason(results: ExperimentResults, name: string): string {
  const lacksParents = results.world.edges.length === 0;
  return lacksParents
    ? `${metricLabel(name)}: not defined in any run; this world has no parent with children.`
    : `${metricLabel(name)}: not defined in any run of the architecture.`;
}

/** Whether a difference is an improvement, a loss, or not told apart from none: its interval holds 0. */
export function judged(
  name: string,
  { low, high }: PairedDifference,
): 'better' | 'worse' | 'no clear difference' {
  const direction = metricList.find((metric) => metric.name === name)?.direction;
  if ((low <= 0 && high >= 0) || (direction !== 'up' && direction !== 'down')) {
    return 'no clear difference';
  }
  return low > 0 === (direction === 'up') ? 'better' : 'worse';
}

/** Differences that vary by rounding alone have effect sizes without meaning. */
const LARGEST_EFFECT = 100;

export function effectText(effectSize: number): string {
  return Math.abs(effectSize) > LARGEST_EFFECT
    ? `beyond ${effectSize < 0 ? '−' : ''}${LARGEST_EFFECT}`
    : formatNumber(effectSize, 1);
}

/** Those a comparison is told by, in this order. */
export const MAIN_METRICS: readonly string[] = [
  'fullAbsorption',
  'mcc',
  'f1',
  'uniqueness',
  'maxDecoderCosine',
  'probeTop1',
  'erasure1',
  'tpp1',
  'explainedVariance',
];

/** "Matryoshka against BatchTopK at L0 6". */
export function comparisonTitle({ architecture, baseline, targetL0 }: Comparison): string {
  return `${architecture} against ${baseline} at L0 ${formatNumber(targetL0)}`;
}

/** "better in MCC (+0.140); worse in explained variance (−0.030)". */
export function comparisonFinding({ differences }: Comparison): string {
  const found = MAIN_METRICS.flatMap((name) => {
    const difference = differences[name];
    if (difference === null || difference === undefined) return [];
    const sign = difference.mean > 0 ? '+' : '';
    const number = `${sign}${formatNumber(difference.mean, 3)}`;
    return [{ verdict: judged(name, difference), text: `${metricLabel(name)} (${number})` }];
  });
  const parts = (['better', 'worse', 'no clear difference'] as const).flatMap((verdict) => {
    const own = found.filter((each) => each.verdict === verdict).map(({ text }) => text);
    return own.length === 0 ? [] : [`${verdict} in ${own.join(', ')}`];
  });
  return parts.length === 0 ? 'no main metric is defined for both' : parts.join('; ');
}

/** "BatchTopK 0.298; Matryoshka 0.068": a mean for each to three digits, those without left out. */
export function meansText(
  means: readonly (readonly [name: string, mean: number | null | undefined])[],
): string {
  const known = means.flatMap(([name, mean]) =>
    mean === null || mean === undefined || Number.isNaN(mean) ? [] : [`${name} ${rounded(mean)}`],
  );
  return known.length === 0 ? 'no value' : known.join('; ');
}

/** To three significant digits and at most four decimals, for running text. */
export function rounded(value: number): string {
  return formatNumber(Number(Number(value.toPrecision(3)).toFixed(4)));
}
