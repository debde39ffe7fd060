/**
 * The five claims of Bussmann et al. 2025 (arXiv:2503.17547) as verdicts on an experiment, and how close its figures are
 * to those of other implementations.
 * @module
 */
import type { PairedDifference } from '../bootstrap.ts';
import { TOLERANCE, type ClaimPlan, type ClaimRow } from './claim-rows.ts';
import type {
  Acceptance,
  Claim,
  ClaimEvidence,
  Comparison,
  ExperimentResults,
  Summary,
} from './results.ts';
import { cellsOf, type Verdicts } from './summarise.ts';

/** A reconstruction cost up to this much explained variance is small: the paper's own is 0.02. */
export const SMALL_COST = 0.05;

/** Pairs of runs below which nothing is decided. */
export const FEWEST_RUNS = 3;

/** Metrics that every seed must move the way other implementations' means moved. */
const SIGNED = ['mcc', 'f1', 'explainedVariance', 'fullAbsorption', 'rootAbsorption'] as const;

interface Statement {
  readonly number: Claim['number'];
  readonly claim: string;
  /** Metrics that decide, each with the way the claim says it moves; `small loss` may fall, but not by more. */
  readonly decides: Readonly<Record<string, 'up' | 'down' | 'small loss'>>;
  /** Metrics printed beside them: known to be unreliable, or said less of. */
  readonly beside: Readonly<Record<string, 'up' | 'down'>>;
}

const STATEMENTS: readonly Statement[] = [
  {
    number: 1,
    claim: 'Matryoshka SAEs absorb less: a parent’s latent stays on when a child is on',
    // Of roots, as the runs compared with count it: a narrow SAE has no latent for most parents further down.
    decides: { rootAbsorption: 'down' },
    beside: { fullAbsorption: 'down', cleanGap: 'down', absorptionFraction: 'down' },
  },
  {
    number: 2,
    claim: 'Their decoder is disentangled: latents are less alike',
    decides: { maxDecoderCosine: 'down' },
    beside: { maxDecoderCosineAlive: 'down' },
  },
  {
    number: 3,
    claim: 'One latent tells a feature better: sparse probing',
    decides: { probeTop1: 'up' },
    beside: { probeTop5: 'up' },
  },
  {
    number: 4,
    claim: 'A concept is erased by fewer latents',
    decides: { erasure1: 'up' },
    // Default settings of TPP tell architectures apart poorly (arXiv:2605.18229): it decides nothing.
    beside: { erasureN95: 'down', tpp1: 'up' },
  },
  {
    number: 5,
    claim: `Reconstruction costs little: at most ${SMALL_COST} of explained variance`,
    decides: { explainedVariance: 'small loss' },
    beside: {},
  },
];

/** Claims and acceptance of results whose architectures are those of the plan. */
export function claimVerdicts(results: ExperimentResults, plan: ClaimPlan): Verdicts {
  return {
    claims: STATEMENTS.map((statement) => judge(statement, results, plan)),
    acceptance: [
      ...plan.rows.flatMap((row) => acceptanceOf(row, results)),
      ...results.comparisons.flatMap((comparison) => signsOf(comparison, results, plan)),
    ],
  };
}

/** Whether every claim that is expected on this world is shown, and every control came out exact. */
export function allShown({ claims, controls }: ExperimentResults): boolean {
  return (
    claims.every(({ expected, verdict }) => !expected || verdict === 'shown') &&
    controls.every(({ checks }) => checks.every(({ holds }) => holds))
  );
}

function judge(statement: Statement, results: ExperimentResults, plan: ClaimPlan): Claim {
  const { number, claim, decides, beside } = statement;
  const evidence = results.comparisons.flatMap((comparison) =>
    Object.entries({ ...decides, ...beside }).map(([metric, way]) =>
      evidenceOf(metric, way, comparison, results.summaries),
    ),
  );
  const [first] = results.comparisons;
  const deciding = evidence.filter(
    ({ metric, treatment }) => Object.hasOwn(decides, metric) && treatment === first.architecture,
  );
  return {
    number,
    claim,
    verdict: together(deciding.map(({ verdict }) => verdict)),
    expected: plan.expected.includes(number),
    evidence,
  };
}

/** Shown by all metrics that decide, or refuted by one. */
function together(verdicts: readonly Claim['verdict'][]): Claim['verdict'] {
  if (verdicts.includes('not reproduced')) return 'not reproduced';
  return verdicts.length > 0 && verdicts.every((one) => one === 'shown') ? 'shown' : 'undecided';
}

function evidenceOf(
  metric: string,
  way: 'up' | 'down' | 'small loss',
  { architecture, baseline, targetL0, differences }: Comparison,
  summaries: readonly Summary[],
): ClaimEvidence {
  const intervalOf = (name: string): ClaimEvidence['baselineInterval'] =>
    summaries.find((one) => one.architecture === name && one.targetL0 === targetL0)?.metrics[
      metric
    ] ?? null;
  const difference = differences[metric] ?? null;
  return {
    metric,
    baseline,
    treatment: architecture,
    difference,
    baselineInterval: intervalOf(baseline),
    treatmentInterval: intervalOf(architecture),
    verdict: verdictOf(difference, way),
  };
}

/** The whole interval on the claim's side, on the other, or neither. */
function verdictOf(
  difference: PairedDifference | null,
  way: 'up' | 'down' | 'small loss',
): Claim['verdict'] {
  if (difference === null || difference.values.length < FEWEST_RUNS) return 'undecided';
  const { low, high } = difference;
  const least = way === 'small loss' ? -SMALL_COST : 0;
  const [worst, best] = way === 'down' ? [-high, -low] : [low, high];
  if (worst > least) return 'shown';
  return best < least ? 'not reproduced' : 'undecided';
}

/** Means beside the other implementation's. */
function acceptanceOf(
  { architecture, targetL0, theirs, tolerances, source }: ClaimRow,
  { summaries }: ExperimentResults,
): Acceptance[] {
  const summary = summaries.find(
    (one) => one.architecture === architecture.name && one.targetL0 === targetL0,
  );
  return Object.entries(theirs).map(([metric, value]) => {
    const ours = summary?.metrics[metric]?.mean ?? null;
    const tolerance = tolerances?.[metric] ?? TOLERANCE;
    return {
      architecture: architecture.name,
      metric,
      ours,
      theirs: value,
      tolerance,
      holds: ours !== null && Math.abs(ours - value) <= tolerance,
      source,
    };
  });
}

/** The share of seeds that move as the other implementation's means did: 1 is asked for. */
function signsOf(
  { architecture, baseline, targetL0, differences }: Comparison,
  { cells }: ExperimentResults,
  { rows }: ClaimPlan,
): Acceptance[] {
  const [own, theirs] = [architecture, baseline].map((name) =>
    rows.find((row) => row.architecture.name === name && row.targetL0 === targetL0),
  );
  if (own === undefined || theirs === undefined) return [];
  const seeds = cellsOf(cells, architecture, targetL0).length;
  return SIGNED.flatMap((metric) => {
    const change = own.theirs[metric] - theirs.theirs[metric];
    if (!Number.isFinite(change)) return [];
    const values = differences[metric]?.values ?? [];
    const alike = values.filter((value) => Math.sign(value) === Math.sign(change)).length;
    return [
      {
        architecture: `${architecture} minus ${baseline}`,
        metric: `${metric}, share of seeds with the same sign`,
        ours: seeds === 0 ? null : alike / seeds,
        theirs: 1,
        tolerance: 0,
        holds: seeds > 0 && alike === seeds,
        source: own.source,
      },
    ];
  });
}
