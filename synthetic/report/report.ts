/**
 * The page of `synthetic run` and `synthetic claims`: one self-contained HTML file. Everything on it is in the
 * results; only means over parents and the intervals of single curves are taken here.
 * @module
 */
import type { ExperimentResults } from '../experiments/results.ts';
import {
  formatNumber,
  renderFacts,
  renderFigure,
  renderFigureRow,
  renderPage,
  type Content,
  type Section,
} from '../page.ts';
import type { Picture } from './picture.ts';
import { picturesOf } from './pictures.ts';
import { drawnArchitectures, typicalRun } from './selection.ts';
import { acceptanceBody, agreeing, controlsBody, metricTables, settingsBody } from './tables.ts';
import { controlsHold, overallVerdict, verdictBody } from './verdict.ts';

/** Architectures that a title names. */
const MOST_NAMED = 4;

/**
 * @param command - how to make the page again, printed at its foot.
 * @param outlook - a sentence on what a longer run would take.
 */
export function experimentReport(
  results: ExperimentResults,
  command: string,
  outlook: string | null = null,
): string {
  const { experiment, world, architectures } = results;
  const verdict = overallVerdict(results);
  const names = architectures.map(({ name }) => name);
  return renderPage({
    title:
      experiment === 'claims'
        ? `Five claims about Matryoshka SAEs, on the world ${world.name}`
        : `${names.length > MOST_NAMED ? `${names.length} architectures` : listed(names)} on the world ${world.name}`,
    kicker: `matryoshka synthetic ${experiment}`,
    lead: [lead(results), ...(outlook === null ? [] : [outlook])].join(' '),
    ...(verdict === undefined ? {} : { verdict }),
    sections: sections(results),
    footer: {
      version: results.version,
      seed: results.seeds.join(', '),
      command,
      facts: [['worlds', results.worldSeeds.join(', ')]],
    },
  });
}

function lead({ world, architectures, seeds, worldSeeds, cells }: ExperimentResults): string {
  const { statistics, features, d_in, edges } = world;
  const hierarchy =
    edges.length === 0
      ? 'no feature depends on another'
      : `${statistics.parents.length} of them parents whose children are on only with them`;
  return (
    `${features.length} known features in ${d_in} dimensions, ${hierarchy}; ` +
    `${formatNumber(Number(statistics.expectedL0.toPrecision(4)))} are on at a time. ` +
    `${architectures.length === 1 ? 'One architecture' : `${architectures.length} architectures`}, ` +
    `${seeds.length} training ${seeds.length === 1 ? 'seed' : 'seeds'}, ` +
    `${worldSeeds.length} ${worldSeeds.length === 1 ? 'world' : 'worlds'}: ${cells.length} ${cells.length === 1 ? 'run' : 'runs'}.`
  );
}

function sections(results: ExperimentResults): Section[] {
  const pictures = picturesOf(results);
  const controls = controlsHold(results);
  const drawn = drawnArchitectures(results).length;
  const all = results.architectures.length;
  const run = typicalRun(results);
  const typical =
    run === undefined
      ? ''
      : ` Shown is the run in which ${results.architectures[0].name} has its median absorption (seed ${run.seed}, world ${run.worldSeed}), and its pairs.`;
  const body = (made: readonly Picture[], text: Content, absent: string): Content =>
    made.length === 0 ? absent : [text, renderFigureRow(made)];
  return [
    {
      heading: 'Verdict',
      body: [
        verdictBody(results),
        drawn < all ? `Pictures show ${drawn} of ${all} architectures, tables all of them.` : null,
      ],
    },
    {
      heading: 'Latents against features',
      body: body(
        pictures.matrices,
        `Rows are latents, each in the place of the feature it is matched with, in the order of the tree. A clean diagonal is recovery. A bright block left of the diagonal in a child’s row is absorption: the child’s latent writes its parent too, and its encoder is negative on the child in the parent’s row. A faint plus in a parent’s row is hedging.${typical}`,
        'Not drawn: the world has more than 64 features.',
      ),
    },
    {
      heading: 'Absorption',
      body:
        pictures.absorption.length === 0
          ? 'Nothing to absorb: no parent of this world has a latent and enough samples.'
          : [...pictures.absorption.map(renderFigure)],
    },
    {
      heading: 'Erasure',
      body:
        pictures.erasure.length === 0
          ? 'No parent whose erasure could be measured.'
          : [...pictures.erasure.map(renderFigure)],
    },
    {
      heading: 'Precision and recall',
      body: body(
        pictures.detectors,
        `“Latent active” as a detector of “feature on”, for the feature whose direction is closest to the latent’s decoder row. An absorbed parent keeps its precision and loses recall.${typical}`,
        'No latent was judged.',
      ),
    },
    {
      heading: 'Against L0',
      body: body(
        pictures.pareto,
        'Means over runs with their intervals, at the L0 that was measured. Almost every metric moves with L0: compare architectures where their L0s are alike.',
        'No main metric has a value.',
      ),
    },
    {
      heading: 'By prefix',
      body: body(
        pictures.prefixes,
        'The same SAE cut to its first latents. An architecture trained with one prefix has one point.',
        'Every architecture has one prefix.',
      ),
    },
    {
      heading: 'Training',
      body:
        pictures.training.length === 0
          ? 'No curve was recorded.'
          : pictures.training.map(renderFigure),
    },
    { heading: 'All metrics', body: metricTables(results) },
    ...(results.acceptance.length === 0
      ? []
      : [
          {
            // No verdict: a figure apart, of fifty, is no failure of the experiment.
            heading: `Beside others: ${agreeing(results)} agree`,
            body: acceptanceBody(results),
          },
        ]),
    { heading: 'The world', body: [...pictures.world.map(renderFigure), worldFacts(results)] },
    ...(controls === null
      ? []
      : [
          {
            heading: 'Controls',
            verdict: controls ? 'pass' : 'fail',
            body: controlsBody(results),
          } satisfies Section,
        ]),
    { heading: 'Settings', body: settingsBody(results) },
  ];
}

function worldFacts({ world }: ExperimentResults): Content {
  const { statistics } = world;
  const known = (value: number | null): string =>
    value === null ? '–' : formatNumber(Number(value.toFixed(6)));
  return [
    renderFacts([
      ['features', world.features.length],
      ['dimensions', world.d_in],
      ['expected L0', known(statistics.expectedL0)],
      ['L0 of a fully absorbed code', known(statistics.absorbedL0)],
      ['P(no feature on)', known(statistics.silent)],
      ['max cosine of true directions', world.maxCosineFloor.map(known).join(', ')],
    ]),
    statistics.exact ? null : 'Probabilities leave correlations between features out.',
    ...world.warnings,
  ];
}

function listed(names: readonly string[]): string {
  if (names.length < 2) return names.join('');
  return `${names.slice(0, -1).join(', ')} and ${names[names.length - 1]}`;
}
