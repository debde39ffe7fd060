/**
 * A process as kernels under test: its operators as functions, each answer checked for what no value can show: dtype,
 * inputs left alone, nothing written beside an output.
 * @module
 */
import { float32, type Profile } from './error-model.ts';
import type { Hello } from './kernel-hello.ts';
import type { Answer, KernelProcess } from './kernel-process.ts';
import { Violation, type Call, type Kernels, type KernelSpec, type Operator } from './kernel.ts';
import { storedAs, unitRoundoff, type FloatFormat } from './number-formats.ts';

/** The arithmetic a kernel declares, in one of its dtypes. */
export function profileOf(
  dtype: FloatFormat,
  hello: Pick<Hello, 'flushes_subnormals' | 'split_encode' | 'truncates'>,
): Profile {
  const sums = dtype === 'float64' ? unitRoundoff.float64 : unitRoundoff.float32;
  return {
    ...float32,
    // A matrix unit reads tf32 operands of 11 digits; 16-bit operands are what was sent, rounded again before each product.
    u_in:
      dtype === 'tf32'
        ? 2 ** -11
        : dtype === 'float64' || dtype === 'float32'
          ? 0
          : unitRoundoff[dtype],
    u_acc: hello.truncates ? 2 * sums : sums,
    u_out: unitRoundoff[dtype],
    flushesSubnormals: hello.flushes_subnormals,
    splitEncode: hello.split_encode,
    ...(dtype === 'float16' && { leastNormal: 2 ** -14 }),
  };
}

/** The process's kernels in one of the dtypes it offers. */
export function processKernels(
  process: KernelProcess,
  dtype: FloatFormat,
  specs: readonly KernelSpec[],
): Kernels {
  const { hello } = process;
  const offered = specs.filter(({ name }) => hello.operators.includes(name));
  return {
    name: hello.name,
    dtype,
    profile: profileOf(dtype, hello),
    deterministic: hello.deterministic,
    operators: Object.fromEntries(
      offered.map((spec) => [spec.name, operatorOf(process, spec, dtype)]),
    ),
  };
}

function operatorOf(process: KernelProcess, spec: KernelSpec, dtype: FloatFormat): Operator {
  return async (call, fill = NaN) => {
    const outputs = spec.outputShapes(call);
    const answer = await process.call(spec.name, call, outputs, dtype, fill);
    requireConduct(answer, Object.keys(outputs), dtype, call);
    return answer.tensors;
  };
}

function requireConduct(
  { dtypes, notes }: Answer,
  outputs: readonly string[],
  dtype: FloatFormat,
  call: Call,
): void {
  const unknown = Object.keys(dtypes).find((name) => !outputs.includes(name));
  if (unknown !== undefined) {
    const wrong = `returned a tensor ${unknown}, expected ${outputs.join(', ')} and no other`;
    throw new Violation('outputs', wrong, call);
  }
  for (const name of outputs) {
    const got = dtypes[name];
    if (got !== undefined && got !== storedAs[dtype]) {
      throw new Violation(
        'outputs',
        `${name} has dtype ${got}, expected ${storedAs[dtype]} (${dtype})`,
        call,
      );
    }
  }
  if (notes.length > 0) throw new Violation('conduct', notes.join('; '), call);
}
