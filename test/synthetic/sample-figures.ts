/**
 * One figure of each kind at the sizes of a real report, and a page that holds them: what the tests of page.ts and
 * plots.ts look at. Values are made up, with a fixed sequence in place of noise.
 * @module
 */
import {
  markup,
  renderBadge,
  renderCommand,
  renderFacts,
  renderFigure,
  renderFigureRow,
  renderPage,
  renderTable,
  type Page,
} from '../../synthetic/page.ts';
import {
  barsWithCeiling,
  curves,
  heatmap,
  type AbsorptionBars,
  type Curves,
  type Heatmap,
} from '../../synthetic/plots.ts';
import { drawRows, type Row, type RowsChart } from '../../synthetic/plot-rows.ts';

/** The fractional parts of multiples of the golden ratio: even over (-1, 1), the same on every machine. */
function wobble(n: number): number {
  return 2 * ((n * 0.6180339887498949) % 1) - 1;
}

const PARENTS = [3, 9, 14];
/** Child features follow their parent: 4 to 6 belong to 3, 10 and 11 to 9, 15 to 18 to 14. */
function parentOf(feature: number): number | undefined {
  if (PARENTS.includes(feature)) return undefined;
  if (feature > 3 && feature < 7) return 3;
  if (feature > 9 && feature < 12) return 9;
  return feature > 14 && feature < 19 ? 14 : undefined;
}

export function cosines(size: number, absorbed: boolean): Float64Array {
  const values = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) {
      let value = 0.06 * wobble(i * size + j + 1);
      if (i === j) value = parentOf(i % 20) !== undefined && absorbed ? 0.72 : 0.96;
      else if (i < 20 && parentOf(i) === j) value = absorbed ? 0.69 : 0.05;
      else if (i < 20 && parentOf(j) === i) value = absorbed ? -0.22 : 0.14;
      values[i * size + j] = value;
    }
  }
  return values;
}

export const sampleHeatmap: Heatmap = {
  title: 'BatchTopK: decoder against truth',
  alt: 'Decoder rows of children 4 to 6, 10, 11 and 15 to 18 point halfway to their parents: absorption.',
  values: cosines(20, true),
  rows: 20,
  cols: 20,
  rowTitle: 'latent, matched',
  colTitle: 'true feature',
  legend: 'cos(decoder row, true direction)',
  separators: { rows: [3, 7, 9, 12, 14, 19], cols: [3, 7, 9, 12, 14, 19] },
};

export const sampleHeatmapMatryoshka: Heatmap = {
  ...sampleHeatmap,
  title: 'Matryoshka: decoder against truth',
  alt: 'A clean diagonal with faint positive entries of children in the rows of their parents: hedging.',
  values: cosines(20, false).map((value, at) => (at % 20 === 12 ? NaN : value)),
};

const named = Array.from({ length: 12 }, (_, i) => `child ${i} of “animals”`);

export const sampleHeatmapNamed: Heatmap = {
  ...sampleHeatmap,
  title: 'Named features',
  values: cosines(12, true),
  rows: 12,
  cols: 12,
  rowLabels: named,
  colLabels: named,
  separators: {},
};

export const sampleHeatmapLarge: Heatmap = {
  title: 'Encoder against truth, all 64 latents of the larger world',
  alt: 'A clean diagonal.',
  values: cosines(64, false),
  rows: 64,
  cols: 64,
};

const ARCHITECTURES = ['Matryoshka', 'BatchTopK'] as const;
const SEEDS = [0, 1, 2, 3, 4];

export const sampleBars: AbsorptionBars = {
  title: 'Full absorption of each parent',
  alt: 'BatchTopK absorbs every parent close to its ceiling; Matryoshka stays below 0.05.',
  xLabel: 'share of parent activations absorbed',
  parents: [
    { label: 'parent 3', ceiling: 0.62 },
    { label: 'parent 9', ceiling: 0.4 },
    { label: 'parent 14 (“animals with four legs and a tail”)', ceiling: 0.81 },
    { label: 'parent 21, without children' },
  ],
  bars: [0.6, 0.37, 0.74, 0.01].flatMap((level, p) =>
    ARCHITECTURES.map((architecture, a) => ({
      parent: [
        'parent 3',
        'parent 9',
        'parent 14 (“animals with four legs and a tail”)',
        'parent 21, without children',
      ][p],
      architecture,
      seeds: SEEDS.map((seed) =>
        p === 1 && a === 1 && seed === 4
          ? NaN
          : Math.max(0, (a === 0 ? 0.03 : level) + 0.03 * wobble(17 * p + 5 * a + seed + 1)),
      ),
    })),
  ),
};

export const sampleCurves: Curves = {
  title: 'Full absorption during training',
  alt: 'BatchTopK rises to 0.6 within 10,000 steps; Matryoshka peaks at 0.1 and falls to 0.03.',
  xLabel: 'training step',
  yLabel: 'mean absorption over parents',
  series: ARCHITECTURES.flatMap((architecture, a) =>
    SEEDS.map((seed) => {
      const x = Array.from({ length: 41 }, (_, i) => i * 1000);
      const y = x.map((step, i) => {
        const t = step / 8000;
        const level = a === 0 ? 0.03 + 0.35 * t * Math.exp(-1.6 * t) : 0.6 * (1 - Math.exp(-t));
        return Math.max(
          0,
          level * (1 + 0.1 * wobble(31 * a + 7 * seed + 3)) +
            0.012 * wobble(i * 13 + seed * 41 + a),
        );
      });
      return { architecture, seed, x, y };
    }),
  ),
  references: [{ y: 0.64, label: 'ceiling' }],
};

const METRICS = [
  { label: 'MCC', marker: 0.93 },
  { label: 'F1 of latents as detectors' },
  { label: 'absorption, full', marker: 0.05 },
  { label: 'uniqueness' },
  { label: 'explained variance', marker: 0.985 },
];

export const sampleIntervals: RowsChart = {
  title: 'All metrics, five seeds',
  alt: 'Matryoshka leads on MCC, uniqueness and absorption and trails by 0.01 on explained variance.',
  xLabel: 'metric value',
  width: 720,
  architectures: [],
  shape: 'interval',
  groups: METRICS,
  markerLabel: 'published, Matryoshka',
  valueLabel: 'mean [95 % interval]',
  domain: [0, 1],
  digits: 3,
  rows: [
    [0.94, 0.77],
    [0.88, 0.71],
    [0.03, 0.55],
    [0.97, 0.81],
    [0.979, 0.988],
  ].flatMap((pair, m) =>
    pair.map((value, a): Row => {
      const row = { group: METRICS[m].label, architecture: ARCHITECTURES[a] };
      if (m === 1 && a === 1) return { ...row, value: NaN, text: 'no value', points: [] };
      const half = 0.008 + 0.01 * (1 + wobble(m * 3 + a + 1));
      const points = SEEDS.map((seed) => value + half * wobble(seed + 7 * m + 2 * a + 1));
      const [low, high] = [value - half, value + half];
      const text = `${value.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`;
      return { ...row, value, text, low, high, points };
    }),
  ),
};

/** Every figure once, as SVG. */
export function sampleFigures(): Record<string, string> {
  return {
    heatmap: heatmap(sampleHeatmap),
    heatmapMatryoshka: heatmap(sampleHeatmapMatryoshka),
    heatmapNamed: heatmap(sampleHeatmapNamed),
    heatmapLarge: heatmap(sampleHeatmapLarge),
    bars: barsWithCeiling(sampleBars),
    curves: curves(sampleCurves),
    intervals: drawRows('intervals', sampleIntervals),
  };
}

export function samplePage(): Page {
  const figures = sampleFigures();
  return {
    kicker: 'matryoshka-sae · synthetic experiments',
    title: 'Do Matryoshka prefixes keep children from absorbing their parents?',
    lead: 'Two architectures, trained on the same stream of activations drawn from a known tree of features. What each learned is compared with the truth, feature by feature.',
    verdict: {
      verdict: 'go',
      summary:
        'Absorption falls from 0.55 to 0.03 at equal L0, in all five seeds. Explained variance drops by 0.01.',
    },
    sections: [
      {
        heading: 'Question and settings',
        body: [
          markup`<p>
            A parent that is always on with one of its children can be <em>absorbed</em>: the
            child’s latent carries the parent’s direction, and the parent’s latent stays silent. The
            ceiling of that is <code>P(child | parent)</code>, which the world fixes. More in
            <a href="#absorption-per-parent">the bars</a>.
          </p>`,
          renderFacts([
            ['world', 'tree of 20 features, 3 parents, seed 0'],
            ['d_in, d_sae', '20, 20'],
            ['budget', '40,000 steps of 200 rows'],
            ['training seeds', '0, 1, 2, 3, 4'],
          ]),
        ],
      },
      {
        heading: 'What the decoders learned',
        verdict: 'pass',
        body: [
          'A clean diagonal is recovery. A block left of the diagonal in the rows of children is absorption.',
          renderFigureRow([
            {
              svg: figures.heatmapMatryoshka,
              caption: 'Seed 0. Feature 12 never fired, so its cosine has no value.',
            },
            {
              svg: figures.heatmap,
              caption: 'Seed 0. Rows of children point halfway to their parents.',
            },
          ]),
        ],
      },
      {
        heading: 'Absorption per parent',
        verdict: 'pass',
        body: renderFigure({
          svg: figures.bars,
          caption:
            'Bars are means over seeds, dots are seeds. The dashed line is the most that can be absorbed.',
        }),
      },
      {
        heading: 'During training',
        body: renderFigure({
          svg: figures.curves,
          caption: 'Measured on fresh activations every 1,000 steps.',
        }),
      },
      {
        heading: 'Metrics',
        verdict: 'fail',
        body: [
          renderFigure({
            svg: figures.intervals,
            caption: 'Percentile bootstrap over seeds, 10,000 resamples.',
          }),
          renderTable({
            caption: 'Claims and what was observed',
            columns: [
              { label: 'claim' },
              { label: 'published', align: 'number', digits: 3 },
              { label: 'observed', align: 'number', digits: 3 },
              { label: 'difference', align: 'number', digits: 3 },
              { label: 'seeds', align: 'number' },
              { label: 'verdict' },
            ],
            rows: [
              [
                'Matryoshka absorbs less than BatchTopK',
                -0.48,
                -0.521,
                -0.041,
                5,
                renderBadge('pass'),
              ],
              ['MCC is higher', 0.15, 0.17, 0.02, 5, renderBadge('pass')],
              ['Explained variance is equal', 0, -0.009, -0.009, 5, renderBadge('fail')],
              ['Probing finds parents', 0.05, NaN, null, 0, renderBadge('skip')],
              ['L0 within 3 % of the target', 20, 20.5, 0.5, 5, renderBadge('warn')],
            ],
          }),
        ],
      },
      {
        heading: 'Larger world',
        body: [
          renderFigure({
            svg: figures.heatmapLarge,
            caption: 'Too many rows for every label: hover over a cell.',
          }),
          renderFigure({ svg: figures.heatmapNamed, caption: 'The same with names.' }),
        ],
      },
      {
        heading: 'Repeat',
        body: markup`<pre>${renderCommand('npx matryoshka synthetic --experiment tree --seeds 5 --world 0 --architectures matryoshka,batchtopk --html report.html')}</pre>`,
      },
    ],
    footer: {
      version: '0.1.0',
      seed: 0,
      command: 'matryoshka synthetic --experiment tree --seeds 5',
      facts: [['backend', 'float64 reference']],
    },
  };
}

export function samplePageHtml(): string {
  return renderPage(samplePage());
}
