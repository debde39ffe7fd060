/**
 * How laws are written, and the two that every operator has.
 * @module
 */
import type fc from 'fast-check';
import { compareTensors, hasNonFinite } from './compare.ts';
import type { Profile } from './error-model.ts';
import {
  KernelCrash,
  Violation,
  type Call,
  type KernelSpec,
  type Law,
  type LawCase,
  type Subject,
  type Tensors,
} from './kernel.ts';

/**
 * @param name - the law, true as written.
 * @param cases - what to try it on.
 * @param check - what is wrong, in words, or null.
 */
export function law<T extends LawCase>(
  name: string,
  cases: fc.Arbitrary<T>,
  check: (given: T, subject: Subject) => Promise<string | null>,
): Law {
  return {
    name,
    cases,
    check: check as Law['check'],
  };
}

/** What the kernel answers, or null if it refuses the call. A crash is no refusal. */
export async function answerOrRefusal(call: Call, { run }: Subject): Promise<Tensors | null> {
  try {
    return await run(call);
  } catch (error) {
    if (error instanceof Violation || error instanceof KernelCrash) throw error;
    return null;
  }
}

/** What is wrong with these answers to this call by the operator's acceptance, or null. */
export function judge(
  spec: KernelSpec,
  call: Call,
  outputs: Tensors,
  profile: Profile,
): Promise<string | null> {
  return spec.laws[0].check(
    { call },
    {
      run: () => Promise.resolve(outputs),
      profile,
      deterministic: true,
    },
  );
}

/** Cases of a law that needs nothing but the call. */
export function only(calls: fc.Arbitrary<Call>): fc.Arbitrary<LawCase> {
  return calls.map((call) => ({ call }));
}

/** Bounds by tensor name, one per value; a tensor without one must be equal. */
export type Bounds = Readonly<Record<string, Float64Array>>;

/** The kernel is within its error bound of the reference. */
export function agreesWithReference(
  calls: fc.Arbitrary<Call>,
  reference: (call: Call) => Tensors,
  bounds: (call: Call, expected: Tensors, profile: Profile) => Bounds,
): Law {
  return law('agrees with the reference', only(calls), async ({ call }, subject) => {
    const expected = reference(call);
    return compareTensors(
      await subject.run(call),
      expected,
      bounds(call, expected, subject.profile),
    );
  });
}

/**
 * A value that is NaN or infinite is refused, or visible in what comes back. A kernel that turns NaN into an ordinary
 * number (as a maximum with 0 or a comparison easily does) hides a broken run.
 * @param calls - calls with such a value: see `withNonFinite`.
 */
export function neverHidesNonFinite(calls: fc.Arbitrary<Call>): Law {
  return law(
    'refuses NaN and infinity or lets them show',
    only(calls),
    async ({ call }, subject) => {
      const outputs = await answerOrRefusal(call, subject);
      return outputs === null || hasNonFinite(outputs)
        ? null
        : 'returned only finite values for an input that is not finite';
    },
  );
}
