/**
 * A run's figures, and the page that shows them with its table.
 * @module
 */
import {
  markup,
  renderFigure,
  renderPage,
  renderTable,
  type Figure,
} from '../../synthetic/page.ts';
import { drawRows } from '../../synthetic/plot-rows.ts';
import type { ShapeResult } from './bench.ts';
import { rowsOf, type Row, type Timed } from './compare.ts';
import { growthCurves, type GrowthCurve } from './growth-plot.ts';
import { circumstances, type BenchRecord } from './record.ts';
import { shapeName } from './shape.ts';
import type { Spread } from './statistics.ts';
import { benchLegend, tableCells } from './table.ts';

type Growth = BenchRecord['growth'][number];

/** Ratios at all shapes, then times over each size that grows; none of what was not measured. */
export function benchFigures(record: BenchRecord): Figure[] {
  const shapes = new Set(record.shapes.map(({ shape }) => shape));
  const rows = record.rows.filter(({ shape, ratio }) => ratio !== null && shapes.has(shape));
  return [
    ...(rows.length > 0 ? [ratioFigure(rows)] : []),
    ...(['d_sae', 'batch'] as const).flatMap((axis) => {
      const points = record.growth.filter((one) => one.axis === axis);
      return points.some(({ result }) => result.sides.some(({ rounds }) => rounds.length > 0))
        ? [growthFigure(axis, points)]
        : [];
    }),
  ];
}

export function benchPage(record: BenchRecord, figures: readonly Figure[]): string {
  const [head, ...rows] = tableCells(record.rows);
  const [, , command] = circumstances(record);
  const notes = record.rows.flatMap((row) =>
    row.notes.map((note) => `${shapeName(row.shape)}, ${row.dialect}: ${note}`),
  );
  return renderPage({
    title: 'Training steps, timed',
    kicker: 'matryoshka bench',
    lead: 'Whole training steps of matryoshka-sae and of the published trainers, in turns, in one run, on the same activations from the same start.',
    sections: [
      {
        heading: 'Times',
        body: [
          renderTable({
            caption: 'Ours beside its peers.',
            columns: head.map((label) => ({ label })),
            rows: rows.map((cells) => cells.map(unbroken)),
          }),
          ...benchLegend(record.rows),
          ...notes,
        ],
      },
      ...(figures.length > 0
        ? [{ heading: 'Figures', body: markup`${figures.map(renderFigure)}` }]
        : []),
    ],
    footer: {
      version: record.version,
      seed: record.seed,
      command: command.replaceAll('`', ''),
      facts: [
        ['date', record.date],
        ['machine', circumstances(record)[0]],
        ['with', circumstances(record)[1]],
      ],
    },
  });
}

/** A cell's text in one line: a number and its quartiles are read together. */
function unbroken(text: string): string {
  return text.replaceAll(' ', '\u00a0').replaceAll('–', '–\u2060');
}

function ratioFigure(rows: readonly Row[]): Figure {
  const backends = new Set(rows.map(({ ours }) => ours!.name));
  const name = ({ dialect, ours }: Row): string =>
    backends.size > 1 ? `${ours!.name}, beside ${dialect}` : `beside ${dialect}`;
  const shapes = [...new Set(rows.map(({ shape }) => shapeName(shape)))];
  const worst = Math.min(...rows.map(({ ratio }) => ratio!.median));
  const best = Math.max(...rows.map(({ ratio }) => ratio!.median));
  const svg = drawRows('ratios', {
    title: 'Times as fast as the peer, a whole training step',
    alt: `Times as fast as the peer at ${shapes.length} shapes: from ${worst.toFixed(2)} to ${best.toFixed(2)}.`,
    xLabel: 'peer’s time by ours',
    width: 720,
    architectures: [...new Set(rows.map(name))],
    shape: 'interval',
    groups: shapes.map((label) => ({ label, marker: 1 })),
    rows: rows.map((row) => {
      const { median, q1, q3 } = row.ratio!;
      return {
        group: shapeName(row.shape),
        architecture: name(row),
        value: median,
        low: q1,
        high: q3,
        text: `${median.toFixed(2)} [${q1.toFixed(2)}, ${q3.toFixed(2)}]`,
        points: row.ratios,
      };
    }),
    markerLabel: 'as fast as the peer',
    valueLabel: 'median [quartiles]',
    domain: [0],
    digits: 0,
  });
  return {
    svg,
    caption:
      'Shapes are d_in/d_sae/B/k. Small dots: the ratio of each round; line: their quartiles. To the right of 1 ours is faster.',
  };
}

function growthFigure(axis: Growth['axis'], points: readonly Growth[]): Figure {
  const { d_in, d_sae, batch, k } = points[0].result.shape;
  const others =
    axis === 'd_sae' ? `d_in ${d_in}, B ${batch}, k ${k}` : `d_in ${d_in}, d_sae ${d_sae}, k ${k}`;
  const label = axis === 'd_sae' ? 'd_sae' : 'B, rows of a batch';
  const curves = curvesOf(points.map(({ result }) => ({ at: result.shape[axis], result })));
  return {
    svg: growthCurves({
      title: `Time of a training step over ${axis === 'd_sae' ? 'd_sae' : 'B'} (${others})`,
      alt: `Time of a training step over ${label} at ${others}, for ${curves.map(({ name }) => name).join(', ')}.`,
      xLabel: label,
      curves,
    }),
    caption: 'Both scales are logarithmic. Dots: medians over rounds; bars: quartiles.',
  };
}

/** A curve for each of ours and one for each peer, which stands beside several of ours. */
function curvesOf(points: readonly { at: number; result: ShapeResult }[]): GrowthCurve[] {
  const curves = new Map<string, Map<number, Spread>>();
  const add = (name: string, at: number, side: Timed | null): void => {
    const own = curves.get(name) ?? new Map<number, Spread>();
    if (side !== null) curves.set(name, own.set(at, side.step));
  };
  for (const { at, result } of points) {
    for (const { ours, peer, dialect } of rowsOf(result)) {
      if (ours !== null) add(`ours on ${ours.name}, as ${dialect}`, at, ours);
      add(dialect, at, peer);
    }
  }
  return [...curves].map(([name, own]) => ({
    name,
    points: [...own].map(([at, step]) => ({ at, step })),
  }));
}
