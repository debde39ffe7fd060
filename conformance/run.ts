/**
 * Laws against kernels → outcomes. The only engine: the command, the tests and the mutants all come through here.
 * @module
 */
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import {
  Violation,
  type Call,
  type Kernels,
  type KernelSpec,
  type Law,
  type LawCase,
  type Subject,
  type Tensors,
} from './kernel.ts';
import { roundTo, type FloatFormat } from './number-formats.ts';
import { lawResults, unitsOf, type Unit, type UnitResult } from './shards.ts';

export type Outcome = 'pass' | 'fail' | 'skip' | 'unexpectedPass' | 'crashed';

/** One law on one kernel. */
export interface LawResult {
  readonly kernel: string;
  readonly law: string;
  readonly outcome: Outcome;
  /** Generated cases that were run; shrinking is not counted. */
  readonly cases: number;
  readonly seconds: number;
  readonly failure?: Failure;
  /** Why it was skipped, or expected to fail. */
  readonly reason?: string;
}

export interface Failure {
  readonly message: string;
  /** The smallest failing call. */
  readonly call: Call;
  /** What the kernel answers to it; nothing if it does not answer. */
  readonly got?: Tensors;
  readonly seed: number;
  readonly path: string;
  readonly shrinks: number;
}

export interface RunOptions {
  /** Cases per law. */
  readonly runs: number;
  readonly seed: number;
  /** Replays one case of one law: the path a failure printed. */
  readonly path?: string;
}

/** Runs one law. A kernel without the operator is skipped. */
export async function runLaw(
  spec: KernelSpec,
  law: Law,
  kernels: Kernels,
  options: RunOptions,
): Promise<LawResult> {
  const started = performance.now();
  const result = (outcome: Outcome, cases: number, failure?: Failure): LawResult => ({
    kernel: spec.name,
    law: law.name,
    outcome,
    cases,
    seconds: (performance.now() - started) / 1000,
    ...(failure && { failure }),
  });
  if (kernels.operators[spec.name] === undefined) return result('skip', 0);

  const details = await fc.check(propertyOf(law, subject(spec, kernels), kernels.dtype), {
    numRuns: options.runs,
    seed: options.seed,
    ...(options.path !== undefined && { path: options.path }),
  });
  if (!details.failed) return result('pass', details.numRuns);
  const error = details.errorInstance;
  const call = error instanceof Violation ? error.call : details.counterexample![0].call;
  const got = error instanceof Violation ? await answerTo(call, spec, kernels) : null;
  return result(error instanceof Violation ? 'fail' : 'crashed', details.numRuns, {
    message: error instanceof Error ? error.message : String(error),
    call,
    ...(got !== null && { got }),
    seed: details.seed,
    path: details.counterexamplePath ?? '',
    shrinks: details.numShrinks,
  });
}

/** What the kernel answers, whatever it is worth; null if it does not. */
async function answerTo(
  call: Call,
  { name }: KernelSpec,
  kernels: Kernels,
): Promise<Tensors | null> {
  try {
    return await kernels.operators[name](call, NaN);
  } catch {
    return null;
  }
}

/** Shrinking tries this many smaller cases at most, and for this long: a kernel may take seconds to die. */
const mostShrinks = 2000;
const shrinkSeconds = 30;

/**
 * The law as a property that fails with a {@link Violation}, or with whatever the kernel throws. A smaller case counts only
 * if it fails in the same way: a kernel that is wrong must not end as one that crashes, or the cause would be lost.
 */
function propertyOf(law: Law, subject: Subject, dtype: FloatFormat): fc.IAsyncProperty<[LawCase]> {
  let kind: string | null = null;
  let failedAt = 0;
  let tries = 0;
  return fc.asyncProperty(representable(law.cases, dtype), async (given) => {
    if (kind !== null) {
      tries++;
      if (tries > mostShrinks || performance.now() - failedAt > shrinkSeconds * 1000) return;
    }
    try {
      const wrong = await law.check(given, subject);
      if (wrong !== null) throw new Violation(law.name, wrong, given.call);
    } catch (error) {
      const own = error instanceof Violation ? `violation of ${error.law}` : nameOf(error);
      if (kind === null) {
        kind = own;
        failedAt = performance.now();
      }
      if (kind === own) throw error;
    }
  });
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : 'thrown value';
}

/** Cases whose tensors hold only values of the kernel's format, so that both sides receive the same numbers. */
function representable(cases: fc.Arbitrary<LawCase>, dtype: FloatFormat): fc.Arbitrary<LawCase> {
  if (dtype === 'float64' || dtype === 'float32' || dtype === 'tf32') return cases;
  return cases.map((given) => ({ ...given, call: roundedCall(given.call, dtype) }));
}

function roundedCall({ config, inputs }: Call, dtype: FloatFormat): Call {
  const rounded = Object.entries(inputs).map(([name, { shape, data }]) => [
    name,
    { shape, data: data.map((value) => roundTo(value, dtype)) },
  ]);
  return { config, inputs: Object.fromEntries(rounded) as Tensors };
}

/** Runs all laws of the given specs, in order. */
export async function runLaws(
  specs: readonly KernelSpec[],
  kernels: Kernels,
  options: RunOptions,
  onResult: (result: LawResult) => void = () => {},
): Promise<LawResult[]> {
  const units = unitsOf(specs, options.runs, options.seed);
  return lawResults(await runUnits(units, kernels, { ...options, onResult }));
}

export interface UnitOptions {
  /** Replays one case of one law. */
  readonly path?: string;
  /** Told of each law once its last unit here is done. */
  readonly onResult?: (result: LawResult) => void;
  /** The reason why a law is not to be run, if there is one. */
  readonly skipped?: (kernel: string, law: string) => string | undefined;
  /** The seed and path of a case to try first: what failed before. */
  readonly first?: (
    kernel: string,
    law: string,
  ) => { readonly seed: number; readonly path: string } | undefined;
}

/**
 * Runs units, which come law by law: a law as a whole on one of the kernels' replicas, each of which takes the next law when
 * it is done with one. Results are told and returned in the order of the units, whatever ran first.
 */
export async function runUnits(
  units: readonly Unit[],
  kernels: Kernels,
  options: UnitOptions,
): Promise<UnitResult[]> {
  const laws = byLaw(units);
  const results: UnitResult[][] = [];
  let taken = 0;
  let told = 0;
  const lane = async (replica: Kernels): Promise<void> => {
    while (taken < laws.length) {
      const at = taken++;
      results[at] = await runLawUnits(laws[at], replica, options);
      for (; results[told] !== undefined; told++) options.onResult?.(lawResults(results[told])[0]);
    }
  };
  await Promise.all([kernels, ...(kernels.replicas ?? [])].map(lane));
  return results.flat();
}

function byLaw(units: readonly Unit[]): Unit[][] {
  const laws: Unit[][] = [];
  for (const unit of units) {
    const last = laws.at(-1);
    if (last?.[0].law === unit.law && last[0].spec === unit.spec) last.push(unit);
    else laws.push([unit]);
  }
  return laws;
}

/** Runs the units of one law in order; after one that is not a pass, the later ones are left out. */
async function runLawUnits(
  units: readonly Unit[],
  kernels: Kernels,
  { path, skipped, first }: UnitOptions,
): Promise<UnitResult[]> {
  const results: UnitResult[] = [];
  for (const { spec, law, chunk, runs, seed } of units) {
    const reason = skipped?.(spec.name, law.name);
    const known = chunk === 0 ? first?.(spec.name, law.name) : undefined;
    let result: LawResult | null = null;
    if (reason !== undefined) result = skip(spec, law, reason);
    else if (known !== undefined) result = await failsAgain(spec, law, kernels, known);
    result ??= await runLaw(spec, law, kernels, {
      runs,
      seed,
      ...(path !== undefined && { path }),
    });
    results.push({ ...result, chunk });
    // Kernels in process answer at once, so that nothing else, an interrupt among it, would get a turn.
    await setImmediate();
    if (result.outcome !== 'pass') break;
  }
  return results;
}

/** The result of a case that failed before; null if it does not fail now. */
async function failsAgain(
  spec: KernelSpec,
  law: Law,
  kernels: Kernels,
  { seed, path }: { readonly seed: number; readonly path: string },
): Promise<LawResult | null> {
  const result = await runLaw(spec, law, kernels, { runs: 1, seed, path });
  return result.outcome === 'fail' || result.outcome === 'crashed' ? result : null;
}

function skip({ name }: KernelSpec, law: Law, reason: string): LawResult {
  return { kernel: name, law: law.name, outcome: 'skip', cases: 0, seconds: 0, reason };
}

export type Counts = Record<Outcome, number>;

export function countOutcomes(results: readonly { readonly outcome: Outcome }[]): Counts {
  const counts: Counts = { pass: 0, fail: 0, skip: 0, unexpectedPass: 0, crashed: 0 };
  for (const { outcome } of results) counts[outcome]++;
  return counts;
}

/** The operator as laws see it: names and shapes of its outputs are checked before any value is. */
function subject(spec: KernelSpec, kernels: Kernels): Subject {
  const operator = kernels.operators[spec.name];
  return {
    profile: kernels.profile,
    deterministic: kernels.deterministic ?? true,
    run: async (call, fill = NaN) => {
      const outputs = await operator(call, fill);
      requireOutputs(spec, call, outputs);
      return outputs;
    },
  };
}

function requireOutputs(spec: KernelSpec, call: Call, outputs: Tensors): void {
  const expected = spec.outputShapes(call);
  for (const [name, shape] of Object.entries(expected)) {
    const got = outputs[name];
    const names = Object.keys(outputs).join(', ') || 'nothing';
    const wrong =
      got === undefined
        ? `returned ${names}, expected a tensor ${name}`
        : got.shape.join() !== shape.join() || got.data.length !== product(shape)
          ? `${name} has shape [${got.shape.join(', ')}], expected [${shape.join(', ')}]`
          : null;
    if (wrong !== null) throw new Violation('outputs', wrong, call);
  }
}

function product(shape: readonly number[]): number {
  return shape.reduce((total, length) => total * length, 1);
}
