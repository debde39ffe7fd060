/**
 * Metrics against L0, against the prefix of the SAE that is used, and against the training step.
 * @module
 */
import { meanInterval } from '../bootstrap.ts';
import { meanDefined } from '../metrics/mean.ts';
import type { ArchitectureRecord, CurveRecord, ExperimentResults } from '../experiments/results.ts';
import { formatNumber } from '../page.ts';
import { curves, lines, type LinePoint } from '../plots.ts';
import { fileWord, type Picture } from './picture.ts';
import { drawnArchitectures, shownCells, shownL0 } from './selection.ts';
import { axisLabel, MAIN_METRICS, meansText, metricLabel, sentenceLabel } from './words.ts';

/** L0 against each main metric, one line per architecture over the L0s it was trained for. */
export function paretoPictures(results: ExperimentResults): Picture[] {
  const architectures = drawnArchitectures(results);
  const { expectedL0 } = results.world.statistics;
  const floor = meanDefined(results.world.maxCosineFloor);
  return MAIN_METRICS.flatMap((metric): Picture[] => {
    const series = architectures.map((architecture) => ({
      architecture: architecture.name,
      points: results.summaries
        .filter((summary) => summary.architecture === architecture.name)
        .flatMap(({ metrics }): LinePoint[] => {
          const [x, y] = [metrics.l0, metrics[metric]];
          if (!x || !y) return [];
          return [{ x: x.mean, xLow: x.low, xHigh: x.high, y: y.mean, low: y.low, high: y.high }];
        })
        .sort((a, b) => a.x - b.x),
    }));
    if (series.every(({ points }) => points.length === 0)) return [];
    const near = meansText(
      architectures.map((architecture, a) => [
        architecture.name,
        closest(series[a].points, shownL0(results, architecture))?.y,
      ]),
    );
    const found = `${sentenceLabel(metric)} at the L0 nearest the world’s own ${formatNumber(Number(expectedL0.toPrecision(3)))}: ${near}.`;
    return [
      {
        name: `l0-${fileWord(metricLabel(metric))}`,
        svg: lines({
          title: sentenceLabel(metric),
          alt: found,
          xLabel: 'measured L0',
          yLabel: axisLabel(metric),
          series,
          architectures: architectures.map(({ name }) => name),
          xMarker: { at: expectedL0, label: 'true L0' },
          ...(metric === 'maxDecoderCosine' && floor !== null
            ? { yMarker: { at: floor, label: 'true directions' } }
            : {}),
        }),
        caption: found,
      },
    ];
  });
}

function closest(points: readonly LinePoint[], x: number): LinePoint | undefined {
  return [...points].sort((a, b) => Math.abs(a.x - x) - Math.abs(b.x - x))[0];
}

/** Metrics of the SAE cut to each of its prefixes; a picture for each that any architecture has. */
export function prefixPictures(results: ExperimentResults): Picture[] {
  const architectures = drawnArchitectures(results);
  // One prefix each is no curve.
  if (architectures.every(({ prefixes }) => prefixes.length < 2)) return [];
  const cells = architectures.flatMap((architecture) => shownCells(results, architecture));
  const names = new Set(
    cells.flatMap((cell) => cell.prefixes.flatMap(({ metrics }) => Object.keys(metrics))),
  );
  return [...names].flatMap((metric): Picture[] => {
    const series = architectures.map((architecture) => ({
      architecture: architecture.name,
      points: prefixPoints(results, architecture, metric),
    }));
    if (series.every(({ points }) => points.length === 0)) return [];
    const found = `${sentenceLabel(metric)} of the smallest prefix: ${meansText(
      series
        .filter(({ points }) => points.length > 1)
        .map(({ architecture, points }) => [architecture, points[0].y]),
    )}. Of the whole: ${meansText(
      series.map(({ architecture, points }) => [architecture, points.at(-1)?.y]),
    )}.`;
    return [
      {
        name: `prefix-${fileWord(metricLabel(metric))}`,
        svg: lines({
          title: sentenceLabel(metric),
          alt: found,
          xLabel: 'latents in the prefix',
          yLabel: axisLabel(metric),
          series,
          architectures: architectures.map(({ name }) => name),
          xScale: 'log',
        }),
        caption: found,
      },
    ];
  });
}

function prefixPoints(
  results: ExperimentResults,
  architecture: ArchitectureRecord,
  metric: string,
): LinePoint[] {
  const all = shownCells(results, architecture).flatMap((cell) => cell.prefixes);
  const prefixes = [...new Set(all.map(({ prefix }) => prefix))].sort((a, b) => a - b);
  return prefixes.flatMap((prefix) => {
    const values = all
      .filter((each) => each.prefix === prefix)
      .flatMap(({ metrics }) => metrics[metric] ?? []);
    const interval = meanInterval(values, 0);
    if (interval === null) return [];
    return [{ x: prefix, y: interval.mean, low: interval.low, high: interval.high }];
  });
}

interface Trained {
  readonly title: string;
  readonly yLabel: string;
  readonly valueOf: (point: CurveRecord) => number | null;
  readonly yScale?: 'log';
}

const TRAINED: readonly Trained[] = [
  { title: 'MCC', yLabel: 'MCC', valueOf: ({ mcc }) => mcc },
  {
    title: 'Full absorption',
    yLabel: 'full absorption',
    valueOf: ({ fullAbsorption }) => fullAbsorption,
  },
  { title: 'L0', yLabel: 'active latents per row', valueOf: ({ l0 }) => l0 },
  { title: 'Dead latents', yLabel: 'dead latents', valueOf: ({ deadLatents }) => deadLatents },
  { title: 'Loss', yLabel: 'loss', valueOf: ({ loss }) => loss, yScale: 'log' },
];

/** One line per run at the architecture's shown L0. */
export function trainingPictures(results: ExperimentResults): Picture[] {
  const architectures = drawnArchitectures(results);
  return TRAINED.flatMap(({ title, yLabel, valueOf, yScale }): Picture[] => {
    const series = architectures.flatMap((architecture) =>
      shownCells(results, architecture).map((cell, i) => ({
        architecture: architecture.name,
        seed: i,
        x: cell.curve.map(({ step }) => step),
        y: cell.curve.map((point) => valueOf(point) ?? NaN),
      })),
    );
    if (!series.some(({ y }) => y.some(Number.isFinite))) return [];
    const last = meansText(
      architectures.map(({ name }) => {
        const ends = series
          .filter(({ architecture }) => architecture === name)
          .flatMap(({ y }) => y.findLast(Number.isFinite) ?? []);
        return [name, ends.reduce((sum, y) => sum + y, 0) / ends.length];
      }),
    );
    const l0 = architectures.map((architecture) => shownL0(results, architecture));
    return [
      {
        name: `training-${fileWord(title)}`,
        svg: curves({
          title,
          alt: `${title} at the end of training: ${last}.`,
          xLabel: 'step',
          yLabel,
          series,
          architectures: architectures.map(({ name }) => name),
          ...(yScale === undefined ? {} : { yScale }),
          ...(title === 'L0' ? { references: l0Lines(l0) } : {}),
        }),
        caption:
          `At the end: ${last}.` +
          (title === 'Loss' ? ' Each architecture minimises a loss of its own.' : ''),
      },
    ];
  });
}

function l0Lines(l0: readonly number[]): { y: number; label: string }[] {
  return [...new Set(l0)].map((y) => ({ y, label: `target ${formatNumber(y)}` }));
}
