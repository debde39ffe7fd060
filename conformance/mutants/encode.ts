/**
 * Wrong encoders.
 * @module
 */
import { dictionaryLearning, type Dialect } from '../../reference/dialects.ts';
import { preActivations, relu } from '../../reference/encode.ts';
import { map, type Matrix } from '../../reference/matrix.ts';
import type { Call, Tensors } from '../kernel.ts';
import { fromMatrix, tensor, toMatrix, toParams, withLast } from '../tensors.ts';
import type { Mutant } from './mutant.ts';

function encoding(
  activate: (pre: Matrix, call: Call) => Matrix,
  encode: Partial<Dialect['encode']> = {},
): Mutant['run'] {
  return (call): Tensors => {
    const { x, W_enc } = call.inputs;
    const [d_in, d_sae] = W_enc.shape;
    const W_dec = tensor([d_sae, d_in], new Float64Array(d_in * d_sae));
    const dialect = { ...dictionaryLearning, encode: { ...dictionaryLearning.encode, ...encode } };
    const pre = preActivations(toMatrix(x), toParams({ ...call.inputs, W_dec }), dialect);
    return { acts: fromMatrix(activate(pre, call), withLast(x.shape, d_sae)) };
  };
}

export const mutants: readonly Mutant[] = [
  {
    operator: 'encode',
    name: 'b_dec not subtracted',
    imitates: "noanabeshima/matryoshka-saes, and dictionary_learning's JumpReluAutoEncoder",
    run: encoding(relu, { subtractsDecoderBias: false }),
  },
  {
    operator: 'encode',
    name: 'b_enc left out',
    imitates: 'bartbussmann/matryoshka_sae: b_enc is a parameter and never used',
    run: encoding(relu, { usesEncoderBias: false }),
  },
  {
    operator: 'encode',
    name: 'absolute value instead of ReLU',
    imitates: 'selection by magnitude, which keeps negative pre-activations',
    run: encoding((pre) => map(pre, Math.abs)),
  },
  {
    operator: 'encode',
    name: 'NaN becomes 0',
    imitates: 'a maximum with 0 that returns 0 for NaN, as WGSL allows',
    run: (call) => {
      const finite = Object.fromEntries(
        Object.entries(call.inputs).map(([name, { shape, data }]) => [
          name,
          tensor(
            shape,
            data.map((value) => (Number.isFinite(value) ? value : 0)),
          ),
        ]),
      );
      return encoding(relu)({ ...call, inputs: finite });
    },
  },
  {
    operator: 'encode',
    name: 'products accumulated in bfloat16',
    imitates: 'a matrix product whose accumulator is as narrow as its operands',
    run: encoding((pre) => map(relu(pre), toBfloat16)),
  },
];

/** Nearest bfloat16 by rounding the float32 pattern to its upper half. */
function toBfloat16(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer);
  const lower = bits[0] & 0xffff;
  const odd = (bits[0] >>> 16) & 1;
  bits[0] =
    (bits[0] - lower + (lower > 0x8000 || (lower === 0x8000 && odd === 1) ? 0x10000 : 0)) >>> 0;
  return new Float32Array(bits.buffer)[0];
}
