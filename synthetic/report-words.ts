/**
 * What the tree experiment's page and the terminal both say: figures with their intervals, and the verdict in words.
 * @module
 */
import type { Interval } from './bootstrap.ts';
import type { TreeMetric } from './experiments/tree-cell.ts';
import { L0_TOLERANCE, type ArchitectureSummary, type TreeResults } from './experiments/tree.ts';
import { formatNumber } from './page.ts';
import { CONVERGED_WITHIN } from './train.ts';

/** One sentence for page and terminal: what was found, with its intervals. */
export function verdictSentence(results: TreeResults): string {
  const [plain, nested] = results.architectures;
  const figure = (summary: ArchitectureSummary, metric: TreeMetric): string =>
    intervalText(summary.metrics[metric], 3);
  return (
    `Full absorption ${figure(plain, 'fullAbsorption')} with ${plain.name}, ` +
    `${figure(nested, 'fullAbsorption')} with ${nested.name}; ` +
    `MCC ${figure(plain, 'mcc')} and ${figure(nested, 'mcc')}.`
  );
}

/** "0.316 [0.211, 0.432]", or "no value". */
export function intervalText(interval: Interval | null, digits: number): string {
  if (interval === null) return 'no value';
  const [mean, low, high] = [interval.mean, interval.low, interval.high].map((value) =>
    formatNumber(value, digits),
  );
  return `${mean} [${low}, ${high}]`;
}

/** What stands between the brackets. */
export function intervalLabel(results: TreeResults): string {
  const kind = results.architectures[0].metrics.l0?.kind;
  return kind === 'range' ? 'smallest, largest' : '95 % bootstrap interval';
}

/** What the verdict rests on, and what weakens it, as paragraphs. */
export function verdictParagraphs(results: TreeResults): string[] {
  const { verdict, settings } = results;
  const runs = settings.seeds.length * settings.worldSeeds.length;
  const unconverged = results.architectures.reduce((sum, { unconverged: n }) => sum + n, 0);
  const conditions: readonly (readonly [boolean, string, string])[] = [
    [
      verdict.absorptionReduced,
      'Absorption is lower, and the intervals do not touch.',
      'Absorption is not lower with intervals that do not touch.',
    ],
    [verdict.mccAtLeastAsHigh, 'The mean MCC is at least as high.', 'The mean MCC is lower.'],
    [
      verdict.equalL0,
      `Both measured L0 lie within ${100 * L0_TOLERANCE} % of k.`,
      `A measured L0 lies further than ${100 * L0_TOLERANCE} % from k: the codes are not equally sparse.`,
    ],
    [
      verdict.controlsHold,
      'Every control has its exact value.',
      'A control misses its exact value: do not trust this page.',
    ],
  ];
  return [
    verdictSentence(results),
    conditions.map(([holds, yes, no]) => (holds ? yes : no)).join(' '),
    runs < 5
      ? `With ${runs} pair${runs === 1 ? '' : 's'} of runs the brackets hold the range, which is no measure of certainty.`
      : null,
    unconverged > 0
      ? `In ${unconverged} of ${2 * runs} runs MCC still moved more than ${CONVERGED_WITHIN} over the last fifth.`
      : null,
  ].filter((sentence) => sentence !== null);
}
