/**
 * The numbers of the page: every metric with its interval, figures of other implementations, controls, settings.
 * @module
 */
import type {
  Acceptance,
  ArchitectureRecord,
  ExperimentResults,
  Summary,
} from '../experiments/results.ts';
import { metricList } from '../metric-list.ts';
import {
  formatNumber,
  markup,
  renderBadge,
  renderFacts,
  renderTable,
  type Content,
  type Html,
} from '../page.ts';
import {
  absenceReason,
  differenceText,
  intervalKind,
  intervalText,
  labelWithDirection,
  metricLabel,
  metricNames,
} from './words.ts';

/** One table where every architecture has one L0, else one for each L0. */
export function metricTables(results: ExperimentResults): Content {
  const { summaries, architectures } = results;
  const single = architectures.every(({ targetL0s }) => targetL0s.length === 1);
  const l0s = [...new Set(summaries.map(({ targetL0 }) => targetL0))].sort((a, b) => a - b);
  const groups = single ? [summaries] : l0s.map((l0) => summaries.filter((s) => s.targetL0 === l0));
  const absent = metricNames(results).filter((name) =>
    summaries.some(({ metrics }) => (metrics[name] ?? null) === null),
  );
  return [
    ...groups.map((group) => [metricTable(results, group), differenceTable(results, group)]),
    '↑ higher is better, ↓ lower is better.',
    absent.length === 0
      ? null
      : markup`<p>“–” stands where there is no value. ${absent.map((name) => `${absenceReason(results, name)} `)}</p>`,
    markup`<h3>What they measure</h3>`,
    renderFacts(
      metricNames(results).flatMap((name) => {
        const metric = metricList.find((each) => each.name === name);
        return metric === undefined ? [] : [[metric.label, metric.definition] as const];
      }),
    ),
  ];
}

function metricTable(results: ExperimentResults, summaries: readonly Summary[]): Html {
  const l0s = new Set(summaries.map(({ targetL0 }) => targetL0));
  return renderTable({
    caption: `Means over runs${atL0(l0s)} [${intervalKind(results)}]`,
    columns: [
      { label: 'metric' },
      ...summaries.map(({ architecture, targetL0 }) => ({
        label: l0s.size === 1 ? architecture : `${architecture}, L0 ${formatNumber(targetL0)}`,
      })),
    ],
    rows: [
      ...metricNames(results).map((name) => [
        labelWithDirection(name),
        ...summaries.map((summary) => metricCell(results, summary, name)),
      ]),
      ['runs not at rest', ...summaries.map(({ unconverged }) => String(unconverged))],
      ['runs off their L0', ...summaries.map(({ unmatchedL0 }) => String(unmatchedL0))],
    ],
  });
}

/** None where nothing was compared. */
function differenceTable(results: ExperimentResults, summaries: readonly Summary[]): Html | null {
  const compared = results.comparisons.filter(({ architecture, targetL0 }) =>
    summaries.some((s) => s.architecture === architecture && s.targetL0 === targetL0),
  );
  if (compared.length === 0) return null;
  return renderTable({
    caption: `Mean differences${atL0(new Set(compared.map(({ targetL0 }) => targetL0)))}, paired by world and seed [${intervalKind(results)}]`,
    columns: [
      { label: 'metric' },
      ...compared.map(({ architecture, baseline }) => ({
        label: `${architecture} minus ${baseline}`,
      })),
    ],
    rows: metricNames(results).map((name) => [
      labelWithDirection(name),
      ...compared.map(({ differences }) => differenceText(differences[name])),
    ]),
  });
}

function atL0(l0s: ReadonlySet<number>): string {
  return l0s.size === 1 ? ` at a target L0 of ${formatNumber([...l0s][0])}` : '';
}

function metricCell(results: ExperimentResults, summary: Summary, name: string): Html | string {
  const interval = summary.metrics[name] ?? null;
  if (interval === null) {
    return markup`<span class="missing" title="${absenceReason(results, name)}">–</span>`;
  }
  const runs = results.cells.filter(
    (cell) => cell.architecture === summary.architecture && cell.targetL0 === summary.targetL0,
  ).length;
  const found = interval.values.length;
  const text = intervalText(interval);
  return found < runs ? `${text} (${found} of ${runs} runs)` : text;
}

/** Ours beside what others gave, a table for each architecture and source. */
/** "49 of 53". */
export function agreeing({ acceptance }: ExperimentResults): string {
  return `${acceptance.filter(({ holds }) => holds).length} of ${acceptance.length}`;
}

export function acceptanceBody(results: ExperimentResults): Content {
  const { acceptance } = results;
  const captionOf = ({ architecture, source }: Acceptance): string => `${architecture}, ${source}`;
  return [
    `${agreeing(results)} means agree with what other implementations gave with the same settings.`,
    ...[...new Set(acceptance.map(captionOf))].map((caption) =>
      renderTable({
        caption,
        columns: [
          { label: 'metric' },
          { label: 'here', align: 'number', digits: 3 },
          { label: 'there', align: 'number', digits: 3 },
          { label: 'allowed ±', align: 'number', digits: 3 },
          { label: 'agrees' },
        ],
        rows: acceptance
          .filter((row) => captionOf(row) === caption)
          .map(({ metric, ours, theirs, tolerance, holds }) => [
            // A name, or a name and what of it is compared.
            metric.replace(/^\w+/, metricLabel),
            ours ?? markup`<span class="missing">–</span>`,
            theirs,
            tolerance,
            renderBadge(holds ? 'pass' : 'fail'),
          ]),
      }),
    ),
  ];
}

export function controlsBody({ controls }: ExperimentResults): Content {
  const missing = markup`<span class="missing">–</span>`;
  return [
    renderTable({
      caption: 'Codes written down from the truth, through the same evaluation',
      columns: [
        { label: 'control' },
        { label: 'metric' },
        { label: 'got', align: 'number', digits: 6 },
        { label: '' },
        { label: 'expected', align: 'number', digits: 6 },
        { label: 'holds' },
      ],
      rows: controls.flatMap(({ name, checks }) =>
        checks.map(({ metric, got, expected, relation, holds }) => [
          name,
          metricLabel(metric),
          got ?? missing,
          relation === 'equal' ? '=' : '≤',
          expected ?? missing,
          renderBadge(holds ? 'pass' : 'fail'),
        ]),
      ),
    }),
    renderFacts(controls.map(({ name, meaning }) => [name, meaning])),
  ];
}

/** What an architecture is trained with, a line of the table each. */
const SETTINGS: readonly (readonly [string, (architecture: ArchitectureRecord) => string])[] = [
  ['dialect', ({ dialect }) => (typeof dialect === 'string' ? dialect : dialect.name)],
  ['selection', ({ selection }) => selection],
  ['target L0', ({ targetL0s }) => targetL0s.map((l0) => formatNumber(l0)).join(', ')],
  ['latents', ({ d_sae }) => String(d_sae)],
  [
    'prefixes',
    ({ prefixes, drawnPrefixes }) =>
      drawnPrefixes ? `drawn; evaluated at ${prefixes.join(', ')}` : prefixes.join(', '),
  ],
  ['steps', ({ steps }) => String(steps)],
  ['rows per step', ({ batch }) => String(batch)],
  ['learning rate', ({ learningRate }) => formatNumber(learningRate)],
  [
    'other settings',
    ({ settings }) =>
      Object.entries(settings)
        .map(([name, value]) => `${name} ${Array.isArray(value) ? value.join('/') : String(value)}`)
        .join(', ') || '–',
  ],
];

export function settingsBody(results: ExperimentResults): Content {
  const { world, architectures, cells } = results;
  return [
    renderTable({
      caption: 'What each architecture was trained with',
      columns: [{ label: 'setting' }, ...architectures.map(({ name }) => ({ label: name }))],
      rows: SETTINGS.map(([label, valueOf]) => [label, ...architectures.map(valueOf)]),
    }),
    renderFacts([
      ['training seeds', results.seeds.join(', ')],
      ['world seeds', results.worldSeeds.join(', ')],
      ['evaluation rows', results.evaluationSamples],
      ['computed by', [...new Set(cells.map(({ kernel }) => kernel))].join(', ')],
    ]),
    markup`<details><summary>Parameters of the world ${world.name}</summary><pre><code>${JSON.stringify(world.parameters, null, 2)}</code></pre></details>`,
  ];
}
