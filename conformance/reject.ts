/**
 * Mutants against laws: a suite proves itself by rejecting kernels that are known to be wrong, for the right reason and
 * with a small counterexample.
 * @module
 */
import fc from 'fast-check';
import { float32 } from './error-model.ts';
import type { Call, Kernels, KernelSpec, Law } from './kernel.ts';
import { agreement, type Mutant } from './mutants/mutant.ts';
import { runLaw, type LawResult, type RunOptions } from './run.ts';
import { sizeOf, type CallSize } from './smaller-calls.ts';

export interface Rejection {
  readonly mutant: Mutant;
  /** The first law that rejects it, shrunk; null if it survives them all. */
  readonly by: LawResult | null;
  /** Cases run until then, over all laws. */
  readonly cases: number;
  /**
   * The first law that tells what is wrong. The operator's acceptance and plain agreement see every wrong value, so they
   * count only where they are the right diagnosis. Null if no other law rejects the mutant.
   */
  readonly diagnosis: LawResult | null;
  /** Whether that is what is said to be wrong with it. */
  readonly isRight: boolean;
}

/** Runs the laws of the mutant's operator, in order, until one rejects it, and on until one tells why. */
export async function rejectMutant(
  mutant: Mutant,
  specs: readonly KernelSpec[],
  options: RunOptions,
): Promise<Rejection> {
  const spec = specOf(mutant, specs);
  let by: LawResult | null = null;
  let cases = 0;
  for (const [at, law] of spec.laws.entries()) {
    const tells = isTelling(law, at, mutant);
    if (by !== null && !tells) continue;
    // One counterexample is enough.
    const tried = by === null ? law : unshrunk(law);
    const result = await runLaw(spec, tried, kernelsOf(mutant), options);
    if (by === null) cases += result.cases;
    if (result.outcome === 'pass') continue;
    by ??= result;
    if (tells) return { mutant, by, cases, diagnosis: result, isRight: isRight(mutant, result) };
  }
  return { mutant, by, cases, diagnosis: null, isRight: false };
}

function isRight({ diagnosis, stages }: Mutant, { law, failure }: LawResult): boolean {
  const named =
    stages === undefined || stages.some((stage) => failure?.message.startsWith(`stage ${stage}:`));
  return diagnosis.includes(law) && named;
}

/** Those of the operator's laws, or of the named ones, that reject the mutant, in order. Nothing is shrunk. */
export async function rejectingLaws(
  mutant: Mutant,
  specs: readonly KernelSpec[],
  options: RunOptions,
  among: (law: string) => boolean = () => true,
): Promise<string[]> {
  const spec = specOf(mutant, specs);
  const names: string[] = [];
  for (const law of spec.laws.filter(({ name }) => among(name))) {
    const { outcome } = await runLaw(spec, unshrunk(law), kernelsOf(mutant), options);
    if (outcome !== 'pass') names.push(law.name);
  }
  return names;
}

/** One mutant over several seeds. */
export interface MutantRow {
  readonly mutant: Mutant;
  /** Laws that reject it first, each once; empty if any seed lets it survive. */
  readonly rejectedBy: readonly string[];
  /** What tells what is wrong with it, each law once. */
  readonly diagnosedBy: readonly string[];
  /** Whether every seed rejects it, and for a reason that its author gives. */
  readonly isRight: boolean;
  /** Cases of the rejecting law until it does: what its effort is measured by. Infinity for a survivor. */
  readonly medianCases: number;
  readonly worstCases: number;
  /** The largest final counterexample. */
  readonly size: CallSize;
}

/** Rejects and diagnoses a mutant once for each seed. */
export async function measureMutant(
  mutant: Mutant,
  specs: readonly KernelSpec[],
  options: Pick<RunOptions, 'runs'> & { readonly seeds: readonly number[] },
): Promise<MutantRow> {
  const spec = specOf(mutant, specs);
  const rejections: Rejection[] = [];
  for (const seed of options.seeds) {
    rejections.push(await rejectMutant(mutant, specs, { runs: options.runs, seed }));
  }
  const cases = rejections.map(({ by }) => by?.cases ?? Infinity).sort((a, b) => a - b);
  const survives = rejections.some(({ by }) => by === null);
  const calls = rejections.flatMap(({ by }) => (by?.failure ? [by.failure.call] : []));
  return {
    mutant,
    rejectedBy: survives ? [] : lawNames(rejections.map(({ by }) => by)),
    diagnosedBy: lawNames(rejections.map(({ diagnosis }) => diagnosis)),
    isRight: rejections.every((rejection) => rejection.isRight),
    medianCases: cases[Math.floor(cases.length / 2)],
    worstCases: cases[cases.length - 1],
    size: largest(spec, calls),
  };
}

const lawNames = (results: readonly (LawResult | null)[]): string[] => [
  ...new Set(results.flatMap((result) => (result === null ? [] : [result.law]))),
];

function largest(spec: KernelSpec, calls: readonly Call[]): CallSize {
  const sizes = calls.map((call) => sizeOf(spec, call));
  const most = (of: (size: CallSize) => number): number => Math.max(0, ...sizes.map(of));
  return {
    rows: most(({ rows }) => rows),
    d_sae: most(({ d_sae }) => d_sae),
    d_in: most(({ d_in }) => d_in),
  };
}

/** Whether a counterexample can be read at a glance: at most 2 rows, 4 latents and 2 dimensions. */
export function isSmall({ rows, d_sae, d_in }: CallSize): boolean {
  return rows <= 2 && d_sae <= 4 && d_in <= 2;
}

/** In words: 1 rows, 2 latents, 2 dims; dimensions the operator has none of are left out. */
export function describeSize({ rows, d_sae, d_in }: CallSize): string {
  const parts = [
    [rows, 'rows'],
    [d_sae, 'latents'],
    [d_in, 'dims'],
  ] as const;
  return parts
    .filter(([length]) => length > 0)
    .map(([length, name]) => `${length} ${name}`)
    .join(', ');
}

/** Whether a law may be a diagnosis: all but those that see everything, unless the mutant names them. */
function isTelling(law: Law, at: number, mutant: Mutant): boolean {
  const seesAll = at === 0 || law.name === agreement;
  return !seesAll || mutant.diagnosis.includes(law.name);
}

const unshrunk = (law: Law): Law => ({ ...law, cases: fc.noShrink(law.cases) });

function specOf(mutant: Mutant, specs: readonly KernelSpec[]): KernelSpec {
  const spec = specs.find(({ name }) => name === mutant.operator);
  if (spec === undefined) throw new Error(`mutant ${mutant.name}: no operator ${mutant.operator}`);
  return spec;
}

function kernelsOf(mutant: Mutant): Kernels {
  return {
    name: mutant.name,
    dtype: 'float32',
    profile: float32,
    operators: { [mutant.operator]: mutant.run },
  };
}
