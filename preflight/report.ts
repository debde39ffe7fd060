/**
 * The preflight's record as one self-contained HTML page: the verdict table first, then what it rests on.
 * @module
 */
import type { LawResult } from '../conformance/run.ts';
import {
  formatNumber,
  renderBadge,
  renderFacts,
  renderFigure,
  renderFigureRow,
  renderPage,
  renderTable,
  type Figure,
  type Section,
} from '../synthetic/page.ts';
import { curves } from '../synthetic/plots.ts';
import { trainingPictures } from '../synthetic/report/curve-pictures.ts';
import { matrixPictures } from '../synthetic/report/matrix-pictures.ts';
import { absorptionPictures } from '../synthetic/report/parent-pictures.ts';
import { weaknesses } from '../synthetic/report/verdict.ts';
import { intervalText } from '../synthetic/report/words.ts';
import type { SampleArchitecture, SamplePoint } from '../training/sample-run.ts';
import type { PreflightRecord } from './preflight.ts';
import { absorptionFindings, LEAST_EXPLAINED_VARIANCE } from './verdict.ts';

/** In the words of the other figures, which give each architecture its colour. */
const architectureNames: Readonly<Record<SampleArchitecture, string>> = {
  batchtopk: 'BatchTopK',
  matryoshka: 'Matryoshka BatchTopK',
};

/** @param command - how to make the page again, printed at its foot. */
export function preflightReport(record: PreflightRecord, command: string): string {
  const { verdict, checks } = record;
  const failed = checks.filter((check) => check.verdict === 'NO-GO').map(({ name }) => name);
  return renderPage({
    title: 'Ready for a full-scale run?',
    kicker: 'Preflight of Matryoshka and BatchTopK SAE kernels',
    lead: 'Four checks on this machine: which backends work, whether the chosen one computes what the float64 reference defines, whether nesting reduces absorption where the features are known, and whether training on real activations learns.',
    verdict: {
      verdict: verdict === 'GO' ? 'go' : 'no-go',
      summary:
        failed.length === 0
          ? `All ${checks.length} checks passed.`
          : `Failed: ${failed.join(', ')}.`,
    },
    sections: [
      verdictSection(record),
      absorptionSection(record),
      trainingSection(record),
      conformanceSection(record),
      doctorSection(record),
    ],
    footer: {
      version: record.version,
      seed: record.seed,
      command,
      facts: [
        ['started', record.started],
        ['took', `${formatNumber(record.seconds, 0)} s`],
        [
          'machine',
          `${record.doctor.cpu}, ${record.doctor.cores} cores; ${record.doctor.platform}`,
        ],
      ],
    },
  });
}

function verdictSection({ checks }: PreflightRecord): Section {
  return {
    heading: 'Verdict',
    body: renderTable({
      caption: 'Every check must be GO',
      columns: [
        { label: 'check' },
        { label: 'verdict' },
        { label: 'reason' },
        { label: 'seconds', align: 'number', digits: 1 },
      ],
      rows: checks.map(({ name, verdict, reason, seconds }) => [
        name,
        renderBadge(verdict === 'GO' ? 'go' : 'no-go'),
        reason,
        seconds,
      ]),
    }),
  };
}

function absorptionSection({ tree, checks }: PreflightRecord): Section {
  return {
    heading: 'Absorption on a known tree of features',
    verdict: badgeOf(checks, 'absorption'),
    body: [
      ...absorptionParagraphs(tree),
      ...absorptionPictures(tree).map(renderFigure),
      'Rows are latents, each in the place of the feature it is matched with. A clean diagonal is recovery. A bright block left of the diagonal in a child’s row of the decoder is absorption: the child’s latent writes its parent too, and the parent’s row of the encoder is negative on the child.',
      renderFigureRow(matrixPictures(tree)),
      ...trainingPictures(tree).map(renderFigure),
    ],
  };
}

/** What the verdict rests on, and what weakens it. */
function absorptionParagraphs(tree: PreflightRecord['tree']): (string | null)[] {
  const { reduced, mccAtLeastAsHigh, controlsHold } = absorptionFindings(tree);
  const means = (metric: string): string =>
    tree.summaries
      .map(({ architecture, metrics }) => `${intervalText(metrics[metric])} with ${architecture}`)
      .join(', ');
  return [
    `Full absorption ${means('fullAbsorption')}; MCC ${means('mcc')}.`,
    [
      reduced
        ? 'Absorption is lower, and the intervals do not touch.'
        : 'Absorption is not lower with intervals that do not touch.',
      mccAtLeastAsHigh ? 'The mean MCC is at least as high.' : 'The mean MCC is lower.',
      controlsHold
        ? 'Every control has its exact value.'
        : 'A control misses its exact value: do not trust this page.',
    ].join(' '),
    weaknesses(tree).join(' ') || null,
    'Trained by the float64 reference, whatever the backend: this is what the definition does. The other checks are of the backend.',
  ];
}

function trainingSection({ sample, checks }: PreflightRecord): Section {
  return {
    heading: 'Training on real activations',
    verdict: badgeOf(checks, 'training'),
    body: [
      renderTable({
        caption: `Held-out rows; explained variance must exceed ${LEAST_EXPLAINED_VARIANCE}`,
        columns: [
          { label: 'architecture' },
          { label: 'explained variance (threshold)', align: 'number', digits: 3 },
          { label: 'explained variance (batch)', align: 'number', digits: 3 },
          { label: 'L0 (threshold)', align: 'number', digits: 1 },
          { label: 'silent latents', align: 'number' },
          { label: 'steps', align: 'number' },
          { label: 'tokens/s', align: 'number', digits: 0 },
        ],
        rows: sample.runs.map((run) => [
          architectureNames[run.architecture],
          run.threshold.explainedVariance,
          run.batch.explainedVariance,
          run.threshold.l0,
          run.threshold.dead,
          run.steps,
          run.tokensPerSecond,
        ]),
      }),
      renderFigure(
        sampleFigure(sample, 'Training loss on real activations', 'loss', 'loss', 'log'),
      ),
      renderFacts([
        ['kernel', sample.kernel],
        ...Object.entries(sample.settings).map(([name, value]) => [name, value] as const),
      ]),
      'A short run on a few thousand rows: enough to see training learn, not to judge an SAE. The losses of the two architectures are sums over different prefixes and are not to be compared with each other.',
    ],
  };
}

function sampleFigure(
  { runs, seed }: PreflightRecord['sample'],
  title: string,
  yLabel: string,
  field: keyof SamplePoint,
  yScale: 'linear' | 'log',
): Figure {
  return {
    svg: curves({
      title,
      alt: `${title}: ${runs.map(({ architecture, curve }) => `${architectureNames[architecture]} from ${formatNumber(curve[0][field])} to ${formatNumber(curve[curve.length - 1][field])}`).join('; ')}.`,
      xLabel: 'training step',
      yLabel,
      yScale,
      architectures: Object.values(architectureNames),
      series: runs.map(({ architecture, curve }) => ({
        architecture: architectureNames[architecture],
        seed,
        x: curve.map((point) => point.step),
        y: curve.map((point) => point[field]),
      })),
    }),
    caption: 'One run each; every step is a point.',
  };
}

function conformanceSection({ conformance, checks }: PreflightRecord): Section {
  const kernels = [...new Set(conformance.kernels.map(({ kernel }) => kernel))];
  const broken = conformance.kernels.filter(({ failure }) => failure !== undefined);
  return {
    heading: 'Conformance',
    verdict: badgeOf(checks, 'conformance'),
    body: [
      renderTable({
        caption: `Laws over generated cases, ${conformance.backend} (${conformance.device}), ${conformance.dtype}, seed ${conformance.seed}`,
        columns: [
          { label: 'operator' },
          { label: 'laws', align: 'number' },
          { label: 'cases', align: 'number', digits: 0 },
          { label: 'seconds', align: 'number', digits: 2 },
          { label: 'outcome' },
        ],
        rows: kernels.map((kernel) => {
          const laws = conformance.kernels.filter((law) => law.kernel === kernel);
          return [
            kernel,
            laws.length,
            laws.reduce((sum, { cases }) => sum + cases, 0),
            laws.reduce((sum, { seconds }) => sum + seconds, 0),
            renderBadge(worst(laws)),
          ];
        }),
      }),
      broken.length === 0
        ? null
        : renderFacts(
            broken.map(
              ({ kernel, law, failure }) => [`${kernel}: ${law}`, failure!.message] as const,
            ),
          ),
    ],
  };
}

function worst(laws: readonly Pick<LawResult, 'outcome'>[]): 'pass' | 'fail' | 'skip' {
  if (laws.some(({ outcome }) => outcome !== 'pass' && outcome !== 'skip')) return 'fail';
  return laws.some(({ outcome }) => outcome === 'skip') ? 'skip' : 'pass';
}

function doctorSection({ doctor }: PreflightRecord): Section {
  return {
    heading: 'Backends',
    body: renderTable({
      caption: `Node ${doctor.node} on ${doctor.platform}; ${doctor.cpu}, ${doctor.cores} cores, ${doctor.memoryGiB} GiB; auto takes ${doctor.auto ?? 'none'}`,
      columns: [
        { label: 'backend' },
        { label: 'status' },
        { label: 'device' },
        { label: 'reason' },
        { label: 'remedy' },
      ],
      rows: doctor.backends.map(({ name, status, device, reason, remedy }) => [
        name,
        status,
        device ?? '',
        reason ?? '',
        remedy ?? '',
      ]),
    }),
  };
}

function badgeOf(checks: PreflightRecord['checks'], name: string): 'pass' | 'fail' {
  return checks.find((check) => check.name === name)?.verdict === 'GO' ? 'pass' : 'fail';
}
