/**
 * Each check's verdict, and the reason in one line.
 * @module
 */
import type { Certificate } from '../conformance/records/certificate.ts';
import type { ComputeName } from '../gpu/choose.ts';
import type { Diagnosis } from '../gpu/doctor.ts';
import type { ExperimentResults } from '../synthetic/experiments/results.ts';
import { controlsHold } from '../synthetic/report/verdict.ts';
import type { SampleResults } from '../training/sample-run.ts';

export interface Check {
  readonly name: string;
  readonly verdict: 'GO' | 'NO-GO';
  readonly reason: string;
  readonly seconds: number;
}

type Judgement = Pick<Check, 'verdict' | 'reason'>;

/** Explained variance on held-out rows below which a training run has not learnt. */
export const LEAST_EXPLAINED_VARIANCE = 0.6;

function judgement(go: boolean, reason: string): Judgement {
  return { verdict: go ? 'GO' : 'NO-GO', reason };
}

/** The backend asked for works. */
export function judgeDoctor(diagnosis: Diagnosis, asked: ComputeName | 'auto'): Judgement {
  const name = asked === 'auto' ? diagnosis.auto : asked;
  const record = diagnosis.backends.find((backend) => backend.name === name);
  if (record === undefined) return judgement(false, 'no backend works on this machine');
  if (record.status !== 'works') {
    return judgement(
      false,
      `${record.name} is ${record.status}: ${record.reason ?? 'no reason known'}`,
    );
  }
  return judgement(true, `${record.name} on ${record.device ?? 'an unnamed device'}`);
}

/** No law fails, and every operator was tried. */
export function judgeConformance({ verdict, counts, kernels, backend }: Certificate): Judgement {
  const cases = kernels.reduce((sum, law) => sum + law.cases, 0).toLocaleString('en');
  const operators = new Set(kernels.map(({ kernel }) => kernel)).size;
  const broken = kernels.find(({ outcome }) => outcome === 'fail' || outcome === 'crashed');
  if (broken !== undefined) {
    const bad = counts.fail + counts.crashed;
    return judgement(
      false,
      `${bad} of ${kernels.length} laws broken on ${backend}, first ${broken.kernel}: ${broken.law}`,
    );
  }
  return judgement(
    verdict === 'pass' && counts.skip === 0,
    `${counts.pass} laws of ${operators} operators hold on ${backend} over ${cases} cases${counts.skip > 0 ? `; ${counts.skip} skipped` : ''}`,
  );
}

/** What the absorption check rests on. */
export interface AbsorptionFindings {
  /** Full absorption is lower, and the two intervals do not touch. */
  readonly reduced: boolean;
  /** The mean MCC is not lower. */
  readonly mccAtLeastAsHigh: boolean;
  /** Every control came out at its exact values. */
  readonly controlsHold: boolean;
}

/** @param results - whose first architecture is the baseline of the second. */
export function absorptionFindings(results: ExperimentResults): AbsorptionFindings {
  const [plain, nested] = results.summaries.map(({ metrics }) => metrics);
  const [high, low] = [plain.fullAbsorption ?? null, nested.fullAbsorption ?? null];
  const [before, after] = [plain.mcc ?? null, nested.mcc ?? null];
  return {
    reduced: high !== null && low !== null && low.high < high.low,
    mccAtLeastAsHigh: before !== null && after !== null && after.mean >= before.mean,
    controlsHold: controlsHold(results) === true,
  };
}

/** Absorption falls with intervals apart, MCC does not, and the controls give their exact values. */
export function judgeAbsorption(results: ExperimentResults): Judgement {
  const [plain, nested] = results.summaries.map(
    ({ metrics }) => metrics.fullAbsorption?.mean.toFixed(3) ?? 'none',
  );
  const found = absorptionFindings(results);
  const figures = `full absorption ${plain} → ${nested} over ${results.seeds.length} seeds`;
  if (!found.controlsHold) return judgement(false, `a control missed its exact value; ${figures}`);
  if (!found.reduced) return judgement(false, `${figures}, intervals not apart`);
  if (!found.mccAtLeastAsHigh) return judgement(false, `MCC fell; ${figures}`);
  return judgement(true, `${figures}, intervals apart; MCC at least as high`);
}

/** Both architectures explain enough of rows they were not trained on. */
export function judgeSample({ runs }: SampleResults): Judgement {
  const figures = runs
    .map((run) => `${run.architecture} ${run.explainedVariance.toFixed(3)}`)
    .join(', ');
  const enough = runs.every((run) => run.explainedVariance > LEAST_EXPLAINED_VARIANCE);
  return judgement(
    enough && runs.length > 0,
    `explained variance on held-out rows: ${figures}${enough ? '' : ` (needs more than ${LEAST_EXPLAINED_VARIANCE})`}`,
  );
}
