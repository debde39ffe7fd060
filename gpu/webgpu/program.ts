/**
 * Own WGSL programs on tfjs tensors. A program has one output; what a workgroup does is in its code, which sees its inputs
 * and `result` as arrays, its numbers as `uniforms.name`, and `group()`, the workgroup's number, `localIndex`, `uniforms.NAN`.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';

export interface Program {
  /** Names a shader: the same name, the same code. */
  readonly name: string;
  /** By name in the code; float32 or int32. */
  readonly inputs: Readonly<Record<string, tf.Tensor>>;
  /** Whole numbers by name in the code. */
  readonly numbers: Readonly<Record<string, number>>;
  /** float32 by name in the code. */
  readonly floats?: Readonly<Record<string, number>>;
  readonly shape: readonly number[];
  readonly dtype: 'float32' | 'int32';
  /** At least so many run; the code has to leave out those beyond. */
  readonly workgroups: number;
  /** Threads of a workgroup. */
  readonly threads: number;
  /** Lets workgroups add to an int32 output that starts at 0: `result` is then an array of atomics. */
  readonly atomic?: boolean;
  /** Functions and workgroup variables, and `fn main() {`. */
  readonly code: string;
}

/** As much of tfjs's WebGPU backend as programs need. */
interface Backend {
  runWebGPUProgram(
    program: Record<string, unknown>,
    inputs: readonly tf.TensorInfo[],
    dtype: tf.DataType,
    uniforms: readonly { type: string; data: number[] }[],
    output?: tf.TensorInfo,
  ): tf.TensorInfo;
}

/** Whether tensors are where these programs run. */
export const onWebgpu = (): boolean => tf.getBackend() === 'webgpu';

/** Runs a program on the backend in use. */
export function run(program: Program): tf.Tensor {
  const { name, inputs, numbers, floats = {}, dtype, workgroups, threads, code } = program;
  const { atomic = false } = program;
  const shape = [...program.shape];
  // A square: one dimension may hold no more than 65,535.
  const columns = Math.ceil(Math.sqrt(workgroups));
  // What a program does not name has no place in its layout, and could not be bound.
  const bound = ['uniforms', ...Object.keys(inputs)].map((each) => `_ = &${each};`).join(' ');
  const output = atomic ? tf.zeros(shape, dtype) : undefined;
  const info = (tf.backend() as unknown as Backend).runWebGPUProgram(
    {
      variableNames: Object.keys(inputs),
      uniforms: [
        ...Object.keys(numbers).map((each) => `${each} : i32,`),
        ...Object.keys(floats).map((each) => `${each} : f32,`),
      ].join(' '),
      outputShape: shape,
      // Two dimensions of the output's coordinates are never used: programs index arrays themselves.
      dispatchLayout: { x: shape.map((_, i) => i), y: [], z: [] },
      dispatch: [columns, Math.ceil(workgroups / columns), 1],
      workgroupSize: [threads, 1, 1],
      atomic,
      shaderKey: `matryoshka_${name}_${threads}`,
      getUserCode: () => `
        fn group() -> i32 {
          return i32(workgroupId.y * numWorkgroups.x + workgroupId.x);
        }
        ${code.replace('fn main() {', `fn main(unused : i32) { ${bound}`)}`,
    },
    Object.values(inputs),
    dtype,
    [
      ...Object.values(numbers).map((value) => ({ type: 'int32', data: [value] })),
      ...Object.values(floats).map((value) => ({ type: 'float32', data: [value] })),
    ],
    output,
  );
  if (output !== undefined) return output;
  return tf.engine().makeTensorFromTensorInfo(info);
}
