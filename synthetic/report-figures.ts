/**
 * The figures of the tree experiment's page, from its results.
 * @module
 */
import { treeMetrics, type TreeCell, type TreeMetric } from './experiments/tree-cell.ts';
import type { ArchitectureName } from './experiments/tree-settings.ts';
import type { TreeResults } from './experiments/tree.ts';
import { formatNumber, type Figure } from './page.ts';
import { barsWithCeiling, curves, heatmap, intervals } from './plots.ts';
import { intervalLabel, verdictSentence } from './report-words.ts';
import type { CurvePoint } from './train.ts';

/** Full absorption of every parent, each run a dot, with the share of samples that have a child. */
export function absorptionFigure(results: TreeResults): Figure {
  const { tree } = results;
  const names = architectureNames(results);
  const label = (parent: number): string => `parent ${tree.features[parent]}`;
  return {
    svg: barsWithCeiling({
      title: 'Full absorption by parent',
      alt: `Full absorption of each parent feature. ${verdictSentence(results)}`,
      xLabel: 'share of the parent’s samples in which it is fully absorbed',
      parents: tree.parents.map(({ parent, noChild }) => ({
        label: label(parent),
        ceiling: 1 - noChild,
      })),
      bars: tree.parents.flatMap(({ parent }) =>
        names.map((architecture) => ({
          parent: label(parent),
          architecture,
          seeds: cellsOf(results, architecture).map(
            (cell) => cell.parents.find((p) => p.parent === parent)?.full ?? NaN,
          ),
        })),
      ),
      architectures: names,
      domain: [0, 1],
    }),
    caption:
      'Dots are single runs. Absorption by children alone ends at the ceiling, the share of the parent’s samples that have a child on. A run passes it only where even the parent alone is carried by a latent that is not its own.',
  };
}

/** Decoder rows against true directions, both architectures, for one pair of runs. */
export function decoderFigures(results: TreeResults): Figure[] {
  const { features } = results.tree;
  const lines = familyStarts(results);
  return typicalPair(results).map((cell) => {
    const { latents, features: matched, values } = cell.cosines;
    const [mcc, leak] = [cell.metrics.mcc, cell.metrics.childLeak].map((value) =>
      formatNumber(value ?? NaN, 3),
    );
    return {
      svg: heatmap({
        title: cell.architecture,
        alt: `Cosines of decoder rows with true directions, ${runLabel(results, cell)}: MCC ${mcc}, child leak ${leak}.`,
        values: values.flat(),
        rows: latents.length,
        cols: features.length,
        rowLabels: latents.map((latent, i) =>
          matched[i] < 0 ? `latent ${latent}` : `${features[matched[i]]} · ${latent}`,
        ),
        colLabels: features,
        rowTitle: 'matched feature · latent',
        colTitle: 'true feature',
        legend: 'cos(decoder row, true direction)',
        separators: { rows: lines, cols: lines },
      }),
      caption: `${runLabel(results, cell)}: MCC ${mcc}, child leak ${leak}`,
    };
  });
}

/** Means of the metrics that live on one scale. */
export function meansFigure(results: TreeResults): Figure {
  const shown: readonly TreeMetric[] = [
    'fullAbsorption',
    'mainRecall',
    'mcc',
    'matchedF1',
    'explainedVariance',
    'maxDecoderCosine',
    'childLeak',
  ];
  const brackets = intervalLabel(results);
  return {
    svg: intervals({
      title: 'Means over runs',
      alt: `Means with intervals of ${shown.length} metrics for both architectures. ${verdictSentence(results)}`,
      xLabel: 'value',
      metrics: shown.map((metric) => ({ label: treeMetrics[metric] })),
      values: shown.flatMap((metric) =>
        results.architectures.map(({ name, metrics }) => ({
          metric: treeMetrics[metric],
          architecture: name,
          value: metrics[metric]?.mean ?? NaN,
          low: metrics[metric]?.low ?? NaN,
          high: metrics[metric]?.high ?? NaN,
          seeds: metrics[metric]?.values ?? [],
        })),
      ),
      intervalLabel: brackets,
      architectures: architectureNames(results),
    }),
    caption: `Brackets: ${brackets}. Dots are single runs.`,
  };
}

/** Absorption, L0 and MCC while training, one line per run. */
export function trainingFigures(results: TreeResults): Figure[] {
  const { settings, tree, cells } = results;
  const draw = (
    title: string,
    yLabel: string,
    valueOf: (point: CurvePoint) => number | null,
    references: readonly { readonly y: number; readonly label: string }[] = [],
  ): Figure => ({
    svg: curves({
      title,
      alt: `${title} over training, both architectures, one line per run. ${verdictSentence(results)}`,
      xLabel: 'step',
      yLabel,
      series: cells.map((cell, i) => ({
        architecture: cell.architecture,
        seed: i,
        x: cell.curve.map(({ step }) => step),
        y: cell.curve.map((point) => valueOf(point) ?? NaN),
      })),
      architectures: architectureNames(results),
      references,
    }),
    caption: `On ${settings.curveSamples} held-out rows, selected batch by batch as in training.`,
  });
  const ceiling = { y: 1 - tree.parents[0].noChild, label: 'P(child | parent)' };
  return [
    draw('Full absorption', 'full absorption', (point) => point.fullAbsorption, [ceiling]),
    draw('L0', 'active latents per row', (point) => point.l0, [{ y: settings.k, label: 'k' }]),
    draw('MCC', 'mean correlation coefficient', (point) => point.mcc),
  ];
}

/** "BatchTopK, seed 3", with the world where there are several. */
export function runLabel({ settings }: TreeResults, cell: TreeCell): string {
  const world = settings.worldSeeds.length > 1 ? `, world ${cell.worldSeed}` : '';
  return `${cell.architecture}, seed ${cell.seed}${world}`;
}

/** The pair of runs whose BatchTopK absorption is the median: neither the best nor the worst example. */
function typicalPair(results: TreeResults): TreeCell[] {
  const [plain, nested] = architectureNames(results).map((name) => cellsOf(results, name));
  const order = [...plain.keys()].sort(
    (a, b) => (plain[a].metrics.fullAbsorption ?? 0) - (plain[b].metrics.fullAbsorption ?? 0),
  );
  const median = order[Math.floor((order.length - 1) / 2)];
  return [plain[median], nested[median]];
}

/** Where one family of the tree ends and the next begins, for lines in the heat map. */
function familyStarts({ tree }: TreeResults): number[] {
  return tree.parents
    .flatMap(({ parent, children }) => [parent, Math.max(...children) + 1])
    .filter((at, i, all) => at > 0 && at < tree.features.length && all.indexOf(at) === i);
}

function architectureNames({ architectures }: TreeResults): ArchitectureName[] {
  return architectures.map(({ name }) => name);
}

function cellsOf({ cells }: TreeResults, name: ArchitectureName): TreeCell[] {
  return cells.filter((cell) => cell.architecture === name);
}
