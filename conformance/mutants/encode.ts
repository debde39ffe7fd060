/**
 * Wrong encoders.
 * @module
 */
import { dictionaryLearning, type Dialect } from '../../reference/dialects.ts';
import { preActivations, relu } from '../../reference/encode.ts';
import { map, type Matrix } from '../../reference/matrix.ts';
import type { Call, Tensors } from '../kernel.ts';
import { fromMatrix, tensor, toMatrix, toParams, withLast } from '../tensors.ts';
import { toBfloat16 } from './bfloat16.ts';
import { agreement, nonFinite, type Mutant } from './mutant.ts';

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

/** Laws that tell what is wrong. */
const law = {
  translation: 'moving x and b_dec together changes nothing',
  opposite: 'of a latent and its opposite at most one is active, beyond rounding',
  bias: 'a row equal to b_dec encodes as b_enc where that is positive',
} as const;

export const mutants: readonly Mutant[] = [
  {
    operator: 'encode',
    name: 'b_dec not subtracted',
    imitates: "noanabeshima/matryoshka-saes, and dictionary_learning's JumpReluAutoEncoder",
    diagnosis: [law.translation],
    run: encoding(relu, { subtractsDecoderBias: false }),
  },
  {
    operator: 'encode',
    name: 'b_enc left out',
    imitates: 'bartbussmann/matryoshka_sae: b_enc is a parameter and never used',
    diagnosis: [law.bias],
    run: encoding(relu, { usesEncoderBias: false }),
  },
  {
    operator: 'encode',
    name: 'absolute value instead of ReLU',
    imitates: 'selection by magnitude, which keeps negative pre-activations',
    diagnosis: [law.opposite],
    run: encoding((pre) => map(pre, Math.abs)),
  },
  {
    operator: 'encode',
    name: 'NaN becomes 0',
    imitates: 'a maximum with 0 that returns 0 for NaN, as WGSL allows',
    diagnosis: [nonFinite],
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
    diagnosis: [agreement],
    run: encoding((pre) => map(relu(pre), toBfloat16)),
  },
];
