/**
 * Which recorded vector rejects a dialect in which one decision is made otherwise. A decision that no vector rejects is a
 * decision that nothing holds to the published code.
 */
import {
  applies,
  decided,
  decisionList,
  withDecision,
  type Dialect,
  type NamedDecision,
  type Value,
} from '../../../reference/dialects.ts';
import { paper } from '../../../reference/dialects/paper.ts';
import type { Recording } from '../golden-vectors.ts';
import {
  dictionaryLearningJumpReluSource,
  dictionaryLearningReluSource,
  saelensJumpReluSource,
  saelensReluSource,
} from './architectures.ts';
import { bussmannSource } from './bussmann.ts';
import { dictionaryLearningSource } from './dictionary-learning.ts';
import { listingCase } from './listing.ts';
import { nabeshimaSource } from './nabeshima.ts';
import { bussmannCases } from './operators/bussmann.ts';
import type { Case } from './operators/case.ts';
import {
  dictionaryLearningCases,
  dictionaryLearningJumpReluCases,
  dictionaryLearningReluCases,
} from './operators/dictionary-learning.ts';
import { nabeshimaCases } from './operators/nabeshima.ts';
import { saelensCases, saelensJumpReluCases, saelensReluCases } from './operators/saelens.ts';
import { exportedRun } from './operators/saelens-export.ts';
import { saelensSource } from './saelens.ts';
import { open, relativeError, replay, stepsOf, type Change, type Source } from './source.ts';

const column: readonly {
  readonly source: Source;
  readonly cases: (recording: Recording) => readonly Case[];
}[] = [
  { source: dictionaryLearningSource, cases: dictionaryLearningCases },
  { source: bussmannSource, cases: bussmannCases },
  {
    source: saelensSource,
    cases: (recording) => [
      ...saelensCases(recording),
      ...saelensSource.runs.map((id) => ({
        ...exportedRun(open(saelensSource, id, 'float64'), saelensSource.dialect),
        id: `${id}, exported`,
      })),
    ],
  },
  { source: nabeshimaSource, cases: nabeshimaCases },
  { source: dictionaryLearningJumpReluSource, cases: dictionaryLearningJumpReluCases },
  { source: dictionaryLearningReluSource, cases: dictionaryLearningReluCases },
  { source: saelensJumpReluSource, cases: saelensJumpReluCases },
  { source: saelensReluSource, cases: saelensReluCases },
];

const onePrefix = 'it trains with one prefix, the whole SAE';
/** A first update is one from a start below 0, as the reference tells it. */
const startsAtZero = 'its threshold starts at 0, and is never below';
const constantRate = 'its learning rate is constant';

/** Decisions that the published trainer never comes to, by dialect: nothing it does depends on them. */
export const notReached: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  saelens: { 'threshold.first': startsAtZero },
  bussmann: {
    'threshold.first': startsAtZero,
    'learningRate.warmup': constantRate,
    'learningRate.decay': constantRate,
  },
  ...Object.fromEntries(
    [
      'dictionary_learning_jumprelu',
      'dictionary_learning_relu',
      'saelens_jumprelu',
      'saelens_relu',
    ].map((name) => [
      name,
      {
        'prefixes.drawn': onePrefix,
        'loss.overLevels': onePrefix,
        'loss.defaultWeight': onePrefix,
        'loss.innerLevels': onePrefix,
        ...(name.endsWith('_relu') ? { 'penalty.overPrefixes': onePrefix } : {}),
      },
    ]),
  ),
};

/** A case or a step, and what it is called. */
interface Vector {
  readonly name: string;
  /** One of many, tried last. */
  readonly late?: boolean;
  readonly compare: Case['compare'];
}

/** The first steps of each run, which are quick; then operators; then all steps; then what defaults say. */
function vectorsOf({ source, cases }: (typeof column)[number]): Vector[] {
  const steps = source.runs.flatMap((id) => {
    const recording = open(source, id, 'float64');
    return stepsOf(recording).map((step) => ({
      t: step.t,
      name: `${id} step ${step.t}`,
      *compare(change: Change) {
        const config = source.configOf(recording, change);
        const result = replay(source, recording, config, step);
        yield* source.quantities(result, recording, config, step.s, step.after);
      },
    }));
  });
  const all = cases(open(source, 'operators', 'float64')).map(({ id, compare }) => ({
    name: id,
    compare,
  }));
  const of = (start: string): Vector[] => all.filter(({ name }) => name.startsWith(start));
  return [
    ...steps.filter(({ t }) => t < 6),
    ...all.filter(({ name }) => !name.startsWith('defaults') && !name.startsWith('prefixes.')),
    ...steps.filter(({ t }) => t >= 6).map((step) => ({ ...step, late: true })),
    ...of('defaults'),
    // Slow.
    ...of('prefixes.'),
  ];
}

/** Every other value that a decision may take; of numbers one that is moderately different. */
export function otherValues({ values, number }: NamedDecision, value: Value): Value[] {
  const words = (values as readonly Value[]).filter((word) => word !== value);
  if (number === undefined) return words;
  if (typeof value !== 'number') return [...words, 1];
  switch (number) {
    case 'any':
    case '>= 0':
      return [...words, value === 0 ? 0.25 : 1.5 * value];
    case '> 0':
      return [...words, 1.5 * value];
    case '0 to 1':
      return [...words, value < 0.5 ? value + 0.25 : 1 - 1.5 * (1 - value)];
    case 'whole >= 0':
    case 'whole >= -1':
      return [...words, value < 2 ? value + 1 : Math.ceil(1.5 * value)];
  }
}

/** How a vector rejects a dialect: by a quantity, or because a step of it is refused. */
interface Rejection {
  readonly vector: string;
  readonly quantity: string;
}

/**
 * The first quantity that is off by more than 1e-9 where the published dialect is within 1e-12. A vector whose run sets the
 * decision itself says nothing of the dialect's own value, and is passed over.
 */
function rejectedBy(
  vector: Vector,
  published: Dialect,
  path: string,
  value: Value,
): Rejection | null {
  let isOwn = true;
  const change: Change = (dialect) => {
    isOwn &&= decided(dialect, path) === decided(published, path);
    return withDecision(dialect, path, value);
  };
  let at = 0;
  let quantity: string | null = null;
  try {
    for (const [name, got, expected] of vector.compare(change)) {
      if (!isOwn) return null;
      if (!(relativeError(got, expected) <= 1e-9)) {
        quantity = name;
        break;
      }
      at++;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    if (!isOwn) return null;
    quantity = 'refused';
  }
  if (quantity === null) return null;
  // Published: agrees up to there, and there.
  let i = 0;
  for (const [name, got, expected] of vector.compare((dialect) => dialect)) {
    if (!(relativeError(got, expected) <= 1e-12)) {
      throw new Error(`${vector.name}: ${name} of the published dialect itself disagrees`);
    }
    if (i++ === at && quantity !== 'refused') break;
  }
  return { vector: vector.name, quantity };
}

/** A vector that disagrees; else one in which the changed dialect is refused; null if there is neither. */
function rejection(
  vectors: readonly Vector[],
  published: Dialect,
  path: string,
  value: Value,
): Rejection | null {
  let refused: Rejection | null = null;
  for (const vector of vectors) {
    if (refused !== null && vector.late === true) continue;
    const found = rejectedBy(vector, published, path, value);
    if (found !== null && found.quantity !== 'refused') return found;
    refused ??= found;
  }
  return refused;
}

/** One decision of one dialect. */
export interface Cell {
  readonly path: string;
  readonly dialect: string;
  /** Why nothing is to be seen of it, if nothing is. */
  readonly notApplicable?: string;
  /** For each other value, what rejects it; null where nothing does. */
  readonly rejections: readonly { readonly value: Value; readonly by: Rejection | null }[];
}

/** Every decision of every dialect that has recordings. */
export function decisionCells(): Cell[] {
  return column.flatMap((each) => {
    const vectors = vectorsOf(each);
    return decisionList.map((decision) => cellOf(decision, each.source.dialect, vectors));
  });
}

/** The paper's decisions that its Listing 1 and appendix B fix. */
export function paperCells(): Cell[] {
  const { compare } = listingCase;
  return decisionList.map((decision) => cellOf(decision, paper, [{ name: 'Listing 1', compare }]));
}

function cellOf(decision: NamedDecision, dialect: Dialect, vectors: readonly Vector[]): Cell {
  const { path } = decision;
  const common = { path, dialect: dialect.name };
  const reason = notReached[dialect.name]?.[path];
  const rejections = (): Cell['rejections'] =>
    otherValues(decision, decided(dialect, path)).map((value) => ({
      value,
      by: rejection(vectors, dialect, path, value),
    }));
  if (reason !== undefined) return { ...common, notApplicable: reason, rejections: rejections() };
  if (applies(decision, dialect)) return { ...common, rejections: rejections() };
  const conditions = decision.onlyIf!.map(
    (condition) => `${condition.decision} is ${decided(dialect, condition.decision)}`,
  );
  return { ...common, notApplicable: conditions.join(' and '), rejections: [] };
}

/** Markdown: a row for each decision, a column for each dialect, and what of it rejects the decision made otherwise. */
export function decisionsTable(cells: readonly Cell[]): string {
  const names = [...new Set(cells.map(({ dialect }) => dialect))];
  const text = ({ notApplicable, rejections }: Cell): string => {
    if (notApplicable !== undefined) return `– (${notApplicable})`;
    const found = rejections.map(({ by, value }) =>
      by === null ? `nothing rejects ${String(value)}` : `${by.vector}: ${by.quantity}`,
    );
    return [...new Set(found)].join('; ');
  };
  const rows = decisionList.map(({ path }) => {
    const own = names.map((name) => {
      const cell = cells.find((each) => each.dialect === name && each.path === path);
      return cell === undefined ? '' : text(cell);
    });
    return [`\`${path}\``, ...own];
  });
  return [['decision', ...names], names.map(() => '---').concat('---'), ...rows]
    .map((row) => `| ${row.join(' | ')} |`)
    .join('\n');
}
