/**
 * What happens to parent features: how often each is absorbed, how many latents erase it, and how well its latent
 * detects it.
 * @module
 */
import { meanInterval } from '../bootstrap.ts';
import type { ArchitectureRecord, Cell, ExperimentResults } from '../experiments/results.ts';
import { barsWithCeiling, lines, scatter } from '../plots.ts';
import { fileWord, type Picture } from './picture.ts';
import { drawnArchitectures, runLabel, shownCells, shownL0, typicalCell } from './selection.ts';
import { intervalKind, meansText } from './words.ts';

/** Parents with a group of bars each; more would be a page of bars. */
const PARENTS = 12;
/** Latents in a scatter. */
const LATENTS = 1500;

/** A group of bars for each parent; of many, those that are on most often. */
export function absorptionPictures(results: ExperimentResults): Picture[] {
  const { world } = results;
  const architectures = drawnArchitectures(results);
  const parents = [...world.statistics.parents]
    .sort((a, b) => world.statistics.marginals[b.parent] - world.statistics.marginals[a.parent])
    .slice(0, PARENTS)
    .sort((a, b) => a.parent - b.parent);
  const bars = parents.flatMap(({ parent }) =>
    architectures.map((architecture) => {
      const seeds = shownCells(results, architecture).map(
        (cell) => cell.parents.find((each) => each.parent === parent)?.full ?? NaN,
      );
      const interval = meanInterval(seeds.filter(Number.isFinite), 0);
      return {
        parent: `parent ${world.features[parent]}`,
        architecture: architecture.name,
        seeds,
        ...(interval === null ? {} : { interval: [interval.low, interval.high] as const }),
      };
    }),
  );
  if (bars.every(({ seeds }) => seeds.every(Number.isNaN))) return [];
  const cut = world.statistics.parents.length - parents.length;
  const means = meansText(
    architectures.map((architecture) => [
      architecture.name,
      meanOver(results, architecture, 'fullAbsorption'),
    ]),
  );
  return [
    {
      name: 'absorption-by-parent',
      svg: barsWithCeiling({
        title: 'Full absorption by parent',
        alt: `Full absorption, mean over all parents: ${means}.`,
        xLabel: 'share of the parent’s samples in which it is fully absorbed',
        parents: parents.map(({ parent, noChild }) => ({
          label: `parent ${world.features[parent]}`,
          ceiling: 1 - noChild,
        })),
        bars,
        intervalLabel: intervalKind(results),
        ceilingLabel: 'ceiling P(any child | parent)',
        architectures: architectures.map(({ name }) => name),
        domain: [0, 1],
      }),
      caption:
        `Mean over all parents: ${means}. Dots are single runs; a whisker is the interval of the mean. Absorption by children alone ends at the ceiling.` +
        (cut > 0
          ? ` Drawn are the ${PARENTS} parents that are on most often; ${cut} more are in results.json.`
          : ''),
    },
  ];
}

function meanOver(
  results: ExperimentResults,
  architecture: ArchitectureRecord,
  metric: string,
): number | null {
  const summary = results.summaries.find(
    (each) =>
      each.architecture === architecture.name && each.targetL0 === shownL0(results, architecture),
  );
  return summary?.metrics[metric]?.mean ?? null;
}

/** Drop of the probe's accuracy on a parent after n latents are ablated, mean over parents. */
export function erasurePictures(results: ExperimentResults): Picture[] {
  const architectures = drawnArchitectures(results);
  const series = architectures.map((architecture) => {
    const cells = shownCells(results, architecture);
    const ns = [...new Set(cells.flatMap(({ erasure }) => erasure.flatMap(({ n }) => n)))];
    const points = ns
      .sort((a, b) => a - b)
      .flatMap((n) => {
        const interval = meanInterval(
          cells.flatMap((cell) => meanDrop(cell, n)),
          0,
        );
        if (interval === null) return [];
        const { mean, low, high } = interval;
        return [{ x: n, y: mean, low, high }];
      });
    return { architecture: architecture.name, points };
  });
  if (series.every(({ points }) => points.length === 0)) return [];
  const found = meansText(series.map(({ architecture, points }) => [architecture, points[0]?.y]));
  return [
    {
      name: 'erasure',
      svg: lines({
        title: 'Erasing a parent feature',
        alt: `Drop of the probe’s accuracy on a parent when its best latent is ablated: ${found}.`,
        xLabel: 'latents ablated',
        yLabel: 'drop of the probe’s accuracy on the parent',
        series,
        architectures: architectures.map(({ name }) => name),
        xScale: 'log',
        yMarker: { at: 0.5, label: 'fully erased' },
        width: 620,
      }),
      caption: `Mean over parents. One latent: ${found}. A parent with a latent of its own is erased by it alone (0.5); an absorbed one only together with its children’s latents.`,
    },
  ];
}

function meanDrop({ erasure }: Cell, n: number): number[] {
  const drops = erasure.flatMap((curve) => {
    const at = curve.n.indexOf(n);
    return at < 0 ? [] : [curve.drop[at]];
  });
  return drops.length === 0 ? [] : [drops.reduce((sum, drop) => sum + drop, 0) / drops.length];
}

/** What a latent's closest feature is. */
const KINDS = ['of a parent', 'of a child', 'of another feature', 'of none'] as const;

/** One square per architecture, one dot per latent of the typical run. */
export function detectorPictures(results: ExperimentResults): Picture[] {
  return drawnArchitectures(results).flatMap((architecture): Picture[] => {
    const cell = typicalCell(results, architecture);
    if (cell === undefined || cell.detectors.length === 0) return [];
    const drawn = [...cell.detectors].sort((a, b) => b.rate - a.rate).slice(0, LATENTS);
    const points = drawn.map(({ latent, feature, precision, recall }) => ({
      x: recall,
      y: precision,
      kind: kindOf(results, feature),
      label: `latent ${latent}` + (feature < 0 ? '' : ` for ${results.world.features[feature]}`),
    }));
    const found = meansText(
      KINDS.map((kind) => {
        const own = points.filter((point) => point.kind === kind).map(({ x }) => x);
        return [kind, own.reduce((sum, x) => sum + x, 0) / own.length];
      }),
    );
    return [
      {
        name: `detectors-${fileWord(architecture.name)}`,
        svg: scatter({
          title: architecture.name,
          alt: `Latents of ${runLabel(results, cell)} as detectors of features, mean recall of those ${found}.`,
          xLabel: 'recall',
          yLabel: 'precision',
          kinds: KINDS,
          points,
        }),
        caption:
          `${runLabel(results, cell)}. Mean recall of latents ${found}.` +
          (drawn.length < cell.detectors.length
            ? ` The ${LATENTS} most active of ${cell.detectors.length} latents.`
            : ''),
      },
    ];
  });
}

function kindOf({ world }: ExperimentResults, feature: number): (typeof KINDS)[number] {
  if (feature < 0) return 'of none';
  if (world.statistics.parents.some(({ parent }) => parent === feature)) return 'of a parent';
  return world.edges.some(({ child }) => child === feature) ? 'of a child' : 'of another feature';
}
