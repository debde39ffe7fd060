/**
 * What an experiment found, first on its page: the claims of `claims`, or each comparison of `run` in a sentence.
 * @module
 */
import { FEWEST_FOR_BOOTSTRAP } from '../bootstrap.ts';
import type { Claim, ClaimEvidence, ExperimentResults } from '../experiments/results.ts';
import { markup, renderBadge, type Content, type Page, type Verdict } from '../page.ts';
import {
  comparisonFinding,
  comparisonTitle,
  differenceText,
  effectText,
  intervalText,
  sentenceLabel,
} from './words.ts';

const BADGES: Readonly<Record<Claim['verdict'], Verdict>> = {
  shown: 'shown',
  'not reproduced': 'not-reproduced',
  undecided: 'undecided',
};

/** Whether every control has its exact value; null if none was run. */
export function controlsHold({ controls }: ExperimentResults): boolean | null {
  if (controls.length === 0) return null;
  return controls.every(({ checks }) => checks.every(({ holds }) => holds));
}

/** One badge for the whole of `claims`; of `run` only where a control fails, since nothing was claimed. */
export function overallVerdict(results: ExperimentResults): Page['verdict'] {
  const controls =
    controlsHold(results) === false
      ? 'A control misses its exact value: do not trust this page.'
      : null;
  if (results.experiment === 'run') {
    return controls === null ? undefined : { verdict: 'fail', summary: controls };
  }
  const { claims } = results;
  const shown = claims.filter(({ verdict }) => verdict === 'shown').length;
  const known = claims.some(({ expected }) => expected);
  const missed = claims.filter(({ expected, verdict }) => expected && verdict !== 'shown');
  const summary = [
    `${shown} of ${claims.length} claims are shown.`,
    missed.length > 0
      ? `Expected on this world but not shown: ${missed.map(({ number }) => number).join(', ')}.`
      : known
        ? 'Every claim that is expected to hold on this world does.'
        : 'Nothing is published of this world: no claim was expected of it.',
    ...weaknesses(results),
  ].join(' ');
  const holds = controls === null && missed.length === 0;
  return {
    verdict: holds ? (known || shown === claims.length ? 'pass' : 'undecided') : 'fail',
    summary: controls === null ? [summary] : [controls, summary],
  };
}

/** What a reader must know before believing any figure. */
export function weaknesses({ cells, seeds, worldSeeds }: ExperimentResults): string[] {
  const unconverged = cells.filter(({ converged }) => !converged).length;
  const unmatched = cells.filter(({ l0Matched }) => !l0Matched).length;
  return [
    ...(seeds.length * worldSeeds.length < FEWEST_FOR_BOOTSTRAP
      ? [
          `With fewer than ${FEWEST_FOR_BOOTSTRAP} runs of each architecture brackets hold the range, which is no measure of certainty.`,
        ]
      : []),
    ...(unconverged > 0
      ? [`In ${unconverged} of ${cells.length} runs MCC still moved at the end.`]
      : []),
    ...(unmatched > 0
      ? [`In ${unmatched} of ${cells.length} runs L0 is further than 3 % from its target.`]
      : []),
  ];
}

export function verdictBody(results: ExperimentResults): Content {
  if (results.experiment === 'claims') {
    const known = results.claims.some(({ expected }) => expected);
    return markup`<ol class="claims">${results.claims.map((claim) => renderClaim(claim, known))}</ol>`;
  }
  if (results.comparisons.length === 0) {
    return [
      'Nothing was compared: there is one architecture.',
      weaknesses(results).join(' ') || null,
    ];
  }
  return [
    markup`<ol class="claims">${results.comparisons.map(
      (comparison) =>
        markup`<li><p><strong>${comparisonTitle(comparison)}</strong>: ${comparisonFinding(comparison)}.</p></li>
`,
    )}</ol>`,
    COMPARED,
    weaknesses(results).join(' ') || null,
  ];
}

const COMPARED =
  'Mean differences, paired by world and seed. “No clear difference” means that the interval holds 0; intervals are in the table of all metrics.';

/** @param known - whether anything is published of this world. */
function renderClaim(
  { number, claim, verdict, expected, evidence }: Claim,
  known: boolean,
): Content {
  const unexpected =
    expected || !known
      ? null
      : markup` <span class="missing">not expected to show on this world</span>`;
  const pairOf = ({ treatment, baseline }: ClaimEvidence): string =>
    `${treatment} against ${baseline}`;
  const pairs = [...new Set(evidence.map(pairOf))].map((pair) => {
    const own = evidence.filter((each) => pairOf(each) === pair);
    return markup`<p>${pair}${runsText(own)}:</p>
<ul>${own.map((each) => markup`<li>${evidenceText(each)}</li>`)}</ul>
`;
  });
  return markup`<li><p>${renderBadge(BADGES[verdict])} <strong>${number}. ${claim}</strong>${unexpected}</p>
${pairs}</li>
`;
}

function runsText(evidence: readonly ClaimEvidence[]): string {
  const runs = Math.max(...evidence.map(({ difference }) => difference?.values.length ?? 0));
  return runs === 0 ? '' : `, ${runs} ${runs === 1 ? 'pair' : 'pairs'} of runs`;
}

/** "MCC: from 0.898 [0.88, 0.92] to 0.932 [0.89, 0.96], difference +0.034 [0.01, 0.05], effect size 1.2". */
export function evidenceText(evidence: ClaimEvidence): string {
  const { metric, baselineInterval, treatmentInterval, difference, verdict } = evidence;
  if (difference === null) return `${sentenceLabel(metric)}: no value in both`;
  const { effectSize } = difference;
  return (
    `${sentenceLabel(metric)}: from ${intervalText(baselineInterval)} to ${intervalText(treatmentInterval)}, ` +
    `difference ${differenceText(difference)}` +
    (effectSize === null ? '' : `, effect size ${effectText(effectSize)}`) +
    (verdict === 'shown' ? '' : ` (${verdict})`)
  );
}
