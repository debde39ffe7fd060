/**
 * Decoder and encoder against the true features, in the order of the tree: where a reader sees whether parents are
 * kept as parents.
 * @module
 */
import type { ArchitectureRecord, Cell, ExperimentResults } from '../experiments/results.ts';
import { mean } from '../metrics/mean.ts';
import { formatNumber } from '../page.ts';
import { heatmap } from '../plots.ts';
import type { MatchedCosines } from '../evaluate.ts';
import { fileWord, type Picture } from './picture.ts';
import { drawnArchitectures, runLabel, typicalCell } from './selection.ts';

/** Architectures two by two, a pair's decoders and then its encoders, so that columns are architectures. */
export function matrixPictures(results: ExperimentResults): Picture[] {
  const shown = drawnArchitectures(results).flatMap((architecture) => {
    const cell = typicalCell(results, architecture);
    return cell === undefined || cell.cosines === null ? [] : [{ architecture, cell }];
  });
  return Array.from({ length: Math.ceil(shown.length / 2) }, (_, pair) => {
    const two = shown.slice(2 * pair, 2 * pair + 2);
    return [
      ...two.flatMap(({ architecture, cell }) =>
        matrixPicture(results, architecture, cell, 'decoder', cell.cosines),
      ),
      ...two.flatMap(({ architecture, cell }) =>
        matrixPicture(results, architecture, cell, 'encoder', cell.encoderCosines),
      ),
    ];
  }).flat();
}

function matrixPicture(
  results: ExperimentResults,
  { name }: ArchitectureRecord,
  cell: Cell,
  side: 'decoder' | 'encoder',
  cosines: MatchedCosines | null,
): Picture[] {
  if (cosines === null) return [];
  const { features } = results.world;
  const { latents, features: matched, values } = cosines;
  const found = finding(results, cell, side, cosines);
  const lines = treeStarts(results);
  return [
    {
      name: `${side}-${fileWord(name)}`,
      svg: heatmap({
        title: `${name}, ${side}`,
        alt: `${side === 'decoder' ? 'Decoder' : 'Encoder'} of ${runLabel(results, cell)}: ${found}.`,
        values: values.flat(),
        rows: latents.length,
        cols: features.length,
        rowLabels: latents.map((latent, i) =>
          matched[i] < 0 ? `latent ${latent}` : `${features[matched[i]]} · ${latent}`,
        ),
        colLabels: features,
        rowTitle: 'matched feature · latent',
        colTitle: 'true feature',
        legend:
          side === 'decoder' ? 'cos(decoder row, direction)' : 'cos(encoder column, direction)',
        separators: { rows: lines, cols: lines },
      }),
      caption: `${runLabel(results, cell)}: ${found}.`,
    },
  ];
}

/** What the colours say, in numbers. */
function finding(
  { world }: ExperimentResults,
  { metrics }: Cell,
  side: 'decoder' | 'encoder',
  { features, values }: MatchedCosines,
): string {
  const diagonal = mean(
    features.flatMap((feature, i) => (feature < 0 ? [] : [values[i][feature]])),
  );
  // Absorption shows in the decoder of the child and in the encoder of the parent.
  const between = mean(
    world.edges.flatMap(({ parent, child }) => {
      const [own, other] = side === 'decoder' ? [child, parent] : [parent, child];
      const row = features.indexOf(own);
      return row < 0 ? [] : [values[row][other]];
    }),
  );
  const number = (value: number): string => formatNumber(value, 2);
  const mcc = metrics.mcc ?? null;
  return [
    ...(side === 'decoder' && mcc !== null ? [`MCC ${number(mcc)}`] : []),
    diagonal === null
      ? 'no latent is matched'
      : `a matched latent has ${number(diagonal)} on average`,
    ...(between === null
      ? []
      : side === 'decoder'
        ? [`a child’s latent ${number(between)} with its parent`]
        : [`a parent’s latent ${number(between)} with its children`]),
  ].join(', ');
}

/** Where one tree ends and the next begins, for worlds that number their trees one after the other. */
function treeStarts({ world }: ExperimentResults): number[] {
  const count = world.features.length;
  const root = [...Array(count).keys()];
  for (const { parent, child } of world.edges) root[child] = root[parent];
  const hasTree = new Set(world.edges.map(({ parent }) => root[parent]));
  return [...Array(count).keys()].filter(
    (f) => f > 0 && root[f] !== root[f - 1] && (hasTree.has(root[f]) || hasTree.has(root[f - 1])),
  );
}
