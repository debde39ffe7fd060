/**
 * What a kernel is, what the suite knows about each operator, and what a law is.
 *
 * An operator is called with named tensors and a JSON configuration and answers with named tensors, so the same laws
 * hold our port, a TypeScript module, or a program in another language.
 * @module
 */
import type fc from 'fast-check';
import type { Profile } from './error-model.ts';
import type { FloatFormat } from './number-formats.ts';

/** Row-major values; a scalar has shape []. float64 carries any narrower type exactly. */
export interface Tensor {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

export type Tensors = Readonly<Record<string, Tensor>>;

/** Settings of one call, as JSON. */
export type Config = Readonly<Record<string, number | string | null | readonly number[]>>;

export interface Call {
  readonly config: Config;
  readonly inputs: Tensors;
}

/**
 * One operator of one kernel. Refuses a call by throwing.
 * @param fill - what buffers for outputs hold before the call, where the kernel is given any: NaN unless a law says.
 */
export type Operator = (call: Call, fill?: number) => Tensors | Promise<Tensors>;

/** A set of kernels under test. */
export interface Kernels {
  readonly name: string;
  readonly dtype: FloatFormat;
  readonly profile: Profile;
  /** Whether the same call always has the same bits; true unless it says otherwise. */
  readonly deterministic?: boolean;
  /** By operator name; a missing operator is skipped, never passed. */
  readonly operators: Readonly<Record<string, Operator>>;
  /** The same kernels in further processes, which may run beside these. */
  readonly replicas?: readonly Kernels[];
}

/** What the suite knows about one operator. */
export interface KernelSpec {
  /** Name of the operator, kebab-case. */
  readonly name: string;
  readonly summary: string;
  /** Tensor name → shape, in words. */
  readonly inputs: Readonly<Record<string, string>>;
  readonly outputs: Readonly<Record<string, string>>;
  /** Setting → meaning. */
  readonly config: Readonly<Record<string, string>>;
  /** The shape each output must have. */
  readonly outputShapes: (call: Call) => Readonly<Record<string, readonly number[]>>;
  /** The reference's answer, in float64. */
  readonly reference: (call: Call) => Tensors;
  /** The first is the operator's acceptance: it needs no more than one answer to one call. */
  readonly laws: readonly Law[];
}

/** Something every right kernel satisfies, with generated cases to try it on. */
export interface Law {
  /** The law itself, true as written. */
  readonly name: string;
  /** What is wrong in one case, in words, or null. */
  readonly check: (given: LawCase, subject: Subject) => Promise<string | null>;
  readonly cases: fc.Arbitrary<LawCase>;
}

/** A law's case: the first call, and whatever else the law needs to build further calls. */
export interface LawCase {
  readonly call: Call;
}

/** The operator under test, as laws see it. */
export interface Subject {
  /** Calls the operator and checks the names and shapes of what it returns. */
  readonly run: (call: Call, fill?: number) => Promise<Tensors>;
  readonly profile: Profile;
  readonly deterministic: boolean;
}

/** How a law was broken: the place, and both values. */
export class Violation extends Error {
  readonly law: string;
  readonly call: Call;

  constructor(law: string, message: string, call: Call) {
    super(message);
    this.name = 'Violation';
    this.law = law;
    this.call = call;
  }
}

/** A kernel that died, hung, or answered what is no answer: never a refusal, whatever the call. */
export class KernelCrash extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'KernelCrash';
  }
}
