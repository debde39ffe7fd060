/**
 * The tree experiment as one self-contained HTML page: everything on it is in the results, nothing is computed anew.
 * @module
 */
import { treeMetrics, type TreeMetric } from './experiments/tree-cell.ts';
import type { ComparedMetric, TreeResults } from './experiments/tree.ts';
import {
  formatNumber,
  renderBadge,
  renderFacts,
  renderFigure,
  renderFigureRow,
  renderPage,
  renderTable,
  type Html,
  type Section,
} from './page.ts';
import {
  absorptionFigure,
  decoderFigures,
  meansFigure,
  runLabel,
  trainingFigures,
} from './report-figures.ts';
import { intervalLabel, intervalText, verdictParagraphs } from './report-words.ts';

/** @param command - how to make the page again, printed at its foot. */
export function treeReport(results: TreeResults, command: string): string {
  const { settings, verdict } = results;
  return renderPage({
    title: 'Does nesting reduce absorption?',
    kicker: 'Synthetic experiment: the feature tree',
    lead: [
      'A parent feature is absorbed when its own latent falls silent because the latent of a child has taken over its direction. Both architectures were trained on the same stream of a tree whose features are known, with the same number of latents per row.',
    ],
    verdict: { verdict: verdict.shown ? 'pass' : 'fail', summary: verdictParagraphs(results) },
    sections: [
      absorptionSection(results),
      decoderSection(results),
      numbersSection(results),
      { heading: 'Training', body: trainingFigures(results).map(renderFigure) },
      worldSection(results),
      controlsSection(results),
      { heading: 'Settings', body: settingsFacts(results) },
    ],
    footer: {
      version: results.version,
      seed: settings.seeds[0],
      command,
      facts: [
        [
          'dialect',
          typeof settings.dialect === 'string' ? settings.dialect : settings.dialect.name,
        ],
      ],
    },
  });
}

function absorptionSection(results: TreeResults): Section {
  const parents = results.tree.parents.map(({ parent }) => parent);
  return {
    heading: 'Absorption',
    body: [
      renderFigure(absorptionFigure(results)),
      renderTable({
        caption:
          'Every run: full absorption of each parent, recall of the parents’ latents, dead latents, and whether MCC had come to rest',
        columns: [
          { label: 'run' },
          ...parents.map((parent) => ({
            label: `full, ${results.tree.features[parent]}`,
            align: 'number' as const,
            digits: 3,
          })),
          { label: 'parent recall', align: 'number', digits: 3 },
          { label: 'MCC', align: 'number', digits: 3 },
          { label: 'L0', align: 'number', digits: 3 },
          { label: 'dead', align: 'number' },
          { label: 'at rest' },
        ],
        rows: results.cells.map((cell) => [
          runLabel(results, cell),
          ...parents.map((parent) => cell.parents.find((p) => p.parent === parent)?.full ?? null),
          cell.metrics.mainRecall,
          cell.metrics.mcc,
          cell.metrics.l0,
          cell.metrics.deadLatents,
          cell.converged ? 'yes' : 'no',
        ]),
      }),
    ],
  };
}

function decoderSection(results: TreeResults): Section {
  return {
    heading: 'Decoder against truth',
    body: [
      'Rows are latents, each in the place of the feature it is matched with. A clean diagonal is recovery. A bright block left of the diagonal in a child’s row is absorption: the child’s latent writes its parent too. A faint plus in a parent’s row is hedging, a faint minus in a child’s row corrects for it. Shown is the run with the median absorption under BatchTopK, and its pair.',
      renderFigureRow(decoderFigures(results)),
    ],
  };
}

function numbersSection(results: TreeResults): Section {
  const [plain, nested] = results.architectures;
  const brackets = intervalLabel(results);
  const metrics = Object.keys(treeMetrics) as TreeMetric[];
  return {
    heading: 'Numbers',
    body: [
      renderFigure(meansFigure(results)),
      renderTable({
        caption: `Means over runs [${brackets}] and their paired difference`,
        columns: [
          { label: 'metric' },
          { label: plain.name },
          { label: nested.name },
          { label: 'difference' },
          { label: 'effect', align: 'number', digits: 2 },
        ],
        rows: metrics.map((metric) => [
          treeMetrics[metric],
          unbroken(intervalText(plain.metrics[metric], 3)),
          unbroken(intervalText(nested.metrics[metric], 3)),
          unbroken(intervalText(results.differences[metric], 3)),
          results.differences[metric]?.effectSize ?? null,
        ]),
      }),
      'The effect size is the mean of the paired differences over their standard deviation.',
      comparisonTable(results),
      'SAELens trains differently (free decoder norms, unweighted levels, another initialisation), so its means are neighbours, not targets. On Gemma 2 2B the paper reports a first-letter absorption rate of 0.49 for BatchTopK and 0.05 for Matryoshka, which is another task.',
    ],
  };
}

function comparisonTable({ architectures, comparison }: TreeResults): Html {
  const metrics = Object.keys(comparison.BatchTopK) as ComparedMetric[];
  return renderTable({
    caption: `Beside ${comparison.source}`,
    columns: [
      { label: 'metric' },
      ...architectures.flatMap(({ name }) => [
        { label: name, align: 'number' as const, digits: 3 },
        { label: 'in SAELens', align: 'number' as const, digits: 3 },
      ]),
    ],
    rows: metrics.map((metric) => [
      treeMetrics[metric],
      ...architectures.flatMap(({ name, metrics: ours }) => [
        ours[metric]?.mean ?? null,
        comparison[name][metric],
      ]),
    ]),
  });
}

/** With spaces that do not break: an interval split over lines is three numbers. */
function unbroken(text: string): string {
  return text.replaceAll(' ', '\u00a0');
}

function worldSection(results: TreeResults): Section {
  const { tree, worlds } = results;
  const norms = worlds.flatMap(({ directionNorms }) => directionNorms);
  return {
    heading: 'The world',
    body: [
      renderFacts([
        ['features', tree.features.length],
        ['expected L0', formatNumber(tree.expectedL0, 4)],
        ['L0 of a fully absorbed code', formatNumber(tree.absorbedL0 ?? NaN, 4)],
        ['P(x = 0)', formatNumber(tree.silent ?? NaN, 4)],
        [
          'direction norms',
          `${formatNumber(Math.min(...norms), 3)} to ${formatNumber(Math.max(...norms), 3)}`,
        ],
        [
          'max cosine between true directions',
          worlds.map((w) => formatNumber(w.maxCosineFloor ?? NaN, 3)).join(', '),
        ],
      ]),
      renderTable({
        caption: 'Firing probabilities, exact',
        columns: [
          { label: 'parent' },
          { label: 'P(parent)', align: 'number' },
          { label: 'children' },
          { label: 'P(child | parent), each' },
          { label: 'P(no child | parent)', align: 'number' },
        ],
        rows: tree.parents.map((p) => [
          tree.features[p.parent],
          tree.marginals[p.parent],
          p.children.map((child) => tree.features[child]).join(', '),
          p.givenParent.map((given) => formatNumber(given)).join(', '),
          p.noChild,
        ]),
      }),
      'Children of one parent exclude one another. All other features fire on their own. Directions are orthogonal. Nabeshima’s tree, github.com/noanabeshima/matryoshka-saes, tree.json; the paper states its L0 as 1.2338, which the committed tree does not give.',
    ],
  };
}

function controlsSection(results: TreeResults): Section {
  return {
    heading: 'Controls',
    verdict: results.verdict.controlsHold ? 'pass' : 'fail',
    body: [
      renderTable({
        caption: 'Codes written down from the truth, through the same evaluation',
        columns: [
          { label: 'control' },
          { label: 'metric' },
          { label: 'got', align: 'number', digits: 6 },
          { label: 'exact', align: 'number', digits: 6 },
          { label: 'holds' },
        ],
        rows: results.controls.flatMap((control) =>
          control.checks.map((check) => [
            control.name,
            check.metric,
            check.got,
            check.expected,
            renderBadge(check.holds ? 'pass' : 'fail'),
          ]),
        ),
      }),
      renderFacts(results.controls.map(({ name, meaning }) => [name, meaning])),
    ],
  };
}

function settingsFacts({ settings }: TreeResults): Html {
  return renderFacts([
    ['training seeds', settings.seeds.join(', ')],
    ['world seeds', settings.worldSeeds.join(', ')],
    ['k', settings.k],
    ['d_sae', settings.d_sae],
    ['prefixes', settings.prefixes.join(', ')],
    ['steps', settings.steps],
    ['rows per step', settings.batch],
    ['learning rate', settings.learningRate],
    ['warm-up steps', settings.warmupSteps],
    ['threshold kept from step', settings.thresholdStartStep],
    ['dead after', `${settings.deadAfter} tokens`],
    ['evaluation rows', settings.evaluationSamples],
  ]);
}
