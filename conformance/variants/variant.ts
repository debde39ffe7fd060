/**
 * A right kernel that computes in another way than the reference. The suite must accept it whatever the case: a failure
 * is a false alarm, a defect of a law or of a bound.
 * @module
 */
import type { Profile } from '../error-model.ts';
import type { Call, Kernels, Tensors } from '../kernel.ts';
import { declaredBy, type Arithmetic } from './arithmetic.ts';

/** An operator in any arithmetic. */
export type VariantOperator = (call: Call, arithmetic: Arithmetic) => Tensors;

export interface Variant {
  readonly name: string;
  /** How it computes, in words. */
  readonly summary: string;
  readonly arithmetic: Arithmetic;
}

/** The variant as kernels under test. @param profile - what it declares, if not the truth. */
export function variantKernels(
  { name, arithmetic }: Variant,
  operators: Readonly<Record<string, VariantOperator>>,
  profile: Profile = declaredBy(arithmetic),
): Kernels {
  return {
    name,
    dtype: arithmetic.dtype,
    profile,
    deterministic: true,
    operators: Object.fromEntries(
      Object.entries(operators).map(([operator, compute]) => [
        operator,
        (call: Call) => compute(read(call, arithmetic), arithmetic),
      ]),
    ),
  };
}

/**
 * The call as the kernel reads it: subnormals as 0 if it flushes.
 * @throws {@link RangeError} on a value that is not finite.
 */
function read(call: Call, { flushes }: Arithmetic): Call {
  for (const [name, { data }] of Object.entries(call.inputs)) {
    for (let i = 0; i < data.length; i++) {
      if (!Number.isFinite(data[i])) {
        throw new RangeError(`${name}: expected finite values, got ${data[i]}`);
      }
    }
  }
  if (!flushes) return call;
  const inputs = Object.entries(call.inputs).map(([name, { shape, data }]) => [
    name,
    { shape, data: data.map((value) => (Math.abs(value) < 2 ** -126 ? 0 : value)) },
  ]);
  return { ...call, inputs: Object.fromEntries(inputs) as Tensors };
}
