import { describe, expect, test } from 'vitest';
import { pairedDifference } from '../../../synthetic/bootstrap.ts';
import { claimPlans } from '../../../synthetic/experiments/claim-rows.ts';
import { planFor } from '../../../synthetic/experiments/claim-settings.ts';
import { worldNamed } from '../../../synthetic/worlds/presets.ts';
import { allShown, claimVerdicts } from '../../../synthetic/experiments/claims.ts';
import type { Claim, ExperimentResults } from '../../../synthetic/experiments/results.ts';
import { dictionaryLearning } from '../../../reference/dialects.ts';

const plan = planFor(worldNamed('tree'), dictionaryLearning.name);

/** Differences of one pair in five seeds, by metric. */
function verdictsOf(differences: Readonly<Record<string, readonly number[]>>): Claim['verdict'][] {
  const results = {
    cells: [],
    summaries: [],
    comparisons: [
      {
        architecture: 'Matryoshka BatchTopK',
        baseline: 'BatchTopK',
        targetL0: 1.12,
        differences: Object.fromEntries(
          Object.entries(differences).map(([metric, values]) => [
            metric,
            pairedDifference(
              values,
              values.map(() => 0),
              0,
            ),
          ]),
        ),
      },
    ],
  } as unknown as ExperimentResults;
  return claimVerdicts(results, plan).claims.map(({ verdict }) => verdict);
}

const up = [0.1, 0.2, 0.15, 0.12, 0.18];
const down = up.map((value) => -value);
const either = [0.1, -0.1, 0.05, -0.06, 0.01];
const asClaimed = {
  rootAbsorption: down,
  maxDecoderCosine: down,
  probeTop1: up,
  erasure1: up,
  explainedVariance: [-0.02, -0.03, -0.01, -0.02, -0.03],
};

describe('the verdict on a claim', () => {
  test('is shown where the whole interval is on its side; a small loss of variance is one', () => {
    expect(verdictsOf(asClaimed)).toEqual(['shown', 'shown', 'shown', 'shown', 'shown']);
  });

  test('is not reproduced where the whole interval is on the other side', () => {
    expect(
      verdictsOf({
        rootAbsorption: up,
        maxDecoderCosine: up,
        probeTop1: down,
        erasure1: down,
        explainedVariance: down,
      }),
    ).toEqual(Array.from({ length: 5 }, () => 'not reproduced'));
  });

  test('is undecided where the interval holds no effect, where nothing differs, or nothing is defined', () => {
    const [absorption, , probing, erasure] = verdictsOf({
      ...asClaimed,
      rootAbsorption: either,
      probeTop1: [0, 0, 0, 0, 0],
      erasure1: [],
    });
    expect([absorption, probing, erasure]).toEqual(['undecided', 'undecided', 'undecided']);
  });

  test('rests on the erasure curve for claim 4, whatever TPP says', () => {
    expect(verdictsOf({ ...asClaimed, tpp1: down })[3]).toBe('shown');
  });
});

test('all is shown only if every expected claim is, and every control holds', () => {
  const claim = (verdict: Claim['verdict'], expected: boolean) => ({ verdict, expected });
  const of = (claims: object[], holds: boolean) =>
    allShown({ claims, controls: [{ checks: [{ holds }] }] } as unknown as ExperimentResults);
  expect(of([claim('shown', true), claim('not reproduced', false)], true)).toBe(true);
  expect(of([claim('undecided', true)], true)).toBe(false);
  expect(of([claim('shown', true)], false)).toBe(false);
});

describe('acceptance', () => {
  const treePlan = claimPlans['tree'];
  const [row] = treePlan.rows;
  const resultsWith = (mcc: number, differences: readonly number[]) =>
    ({
      cells: differences.map((_, seed) => ({
        architecture: 'Matryoshka BatchTopK',
        targetL0: 1.12,
        worldSeed: seed,
        seed,
      })),
      summaries: [
        { architecture: row.architecture.name, targetL0: 1.12, metrics: { mcc: { mean: mcc } } },
      ],
      comparisons: [
        {
          architecture: 'Matryoshka BatchTopK',
          baseline: 'BatchTopK',
          targetL0: 1.12,
          differences: { mcc: { values: differences } },
        },
      ],
    }) as unknown as ExperimentResults;
  const entry = (results: ExperimentResults, metric: string, architecture: string) =>
    claimVerdicts(results, treePlan).acceptance.find(
      (one) => one.metric === metric && one.architecture === architecture,
    )!;

  test('holds within .05 of the other implementation’s mean, not beyond', () => {
    expect(entry(resultsWith(0.898 + 0.049, []), 'mcc', 'BatchTopK').holds).toBe(true);
    expect(entry(resultsWith(0.898 - 0.051, []), 'mcc', 'BatchTopK').holds).toBe(false);
  });

  test('asks every seed for the sign of the other implementation’s difference', () => {
    const metric = 'mcc, share of seeds with the same sign';
    const pair = 'Matryoshka BatchTopK minus BatchTopK';
    expect(entry(resultsWith(0.9, [0.01, 0.02]), metric, pair)).toMatchObject({
      ours: 1,
      holds: true,
    });
    expect(entry(resultsWith(0.9, [0.01, -0.02]), metric, pair)).toMatchObject({
      ours: 0.5,
      holds: false,
    });
  });
});
