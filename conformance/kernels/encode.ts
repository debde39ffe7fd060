/**
 * encode: acts = ReLU((x - b_dec) W_enc + b_enc).
 * @module
 */
import fc from 'fast-check';
import { dictionaryLearning } from '../../reference/dialects.ts';
import { encode as encodeReference } from '../../reference/encode.ts';
import { permutationOf, sizes, tensorOf, withNonFinite } from '../arbitraries.ts';
import { compareTensor, place } from '../compare.ts';
import { largestMagnitude, productSum, underflow, type Profile } from '../error-model.ts';
import type { Call, KernelSpec, Tensor, Tensors } from '../kernel.ts';
import { agreesWithReference, law, neverHidesNonFinite, only } from '../laws.ts';
import { smallerCalls } from '../smaller-calls.ts';
import { fromMatrix, tensor, toMatrix, toParams, withLast } from '../tensors.ts';

const inputWords = {
  x: '(…, d_in)',
  W_enc: '(d_in, d_sae)',
  b_enc: '(d_sae)',
  b_dec: '(d_in)',
};

const calls: fc.Arbitrary<Call> = smallerCalls(
  sizes.chain(({ lead, d_in, d_sae }) =>
    fc
      .record({
        x: tensorOf([...lead, d_in]),
        W_enc: tensorOf([d_in, d_sae]),
        b_enc: tensorOf([d_sae]),
        b_dec: tensorOf([d_in]),
      })
      .map((inputs) => ({ config: {}, inputs })),
  ),
  inputWords,
);

/** Whole numbers of at most 2^6, whose products and sums are exact in float32. */
const wholeCalls: fc.Arbitrary<Call> = calls.map(({ config, inputs }) => ({
  config,
  inputs: Object.fromEntries(
    Object.entries(inputs).map(([name, { shape, data }]) => [
      name,
      tensor(
        shape,
        data.map((value) => Math.trunc(Math.max(-64, Math.min(64, value)))),
      ),
    ]),
  ),
}));

function reference({ inputs }: Call): Tensors {
  const { x, W_enc } = inputs;
  const [d_in, d_sae] = W_enc.shape;
  const W_dec = tensor([d_sae, d_in], new Float64Array(d_in * d_sae));
  const acts = encodeReference(toMatrix(x), toParams({ ...inputs, W_dec }), dictionaryLearning);
  return { acts: fromMatrix(acts, withLast(x.shape, d_sae)) };
}

/** |x - b_dec| · |W_enc| + |b_enc|, times the growth of d_in products and two more roundings; ReLU adds nothing. */
export function encodeBounds(
  call: Call,
  _expected: Tensors,
  profile: Profile,
): { acts: Float64Array } {
  const { x, W_enc, b_enc, b_dec } = call.inputs;
  const [d_in, d_sae] = W_enc.shape;
  const rows = x.data.length / d_in;
  const rho = productSum(d_in + 2, profile);
  const tiny = underflow(d_in + 2, largestMagnitude(x.data, b_dec.data, W_enc.data), profile);
  const acts = new Float64Array(rows * d_sae);
  for (let b = 0; b < rows; b++) {
    for (let j = 0; j < d_sae; j++) {
      let magnitude = Math.abs(b_enc.data[j]);
      for (let i = 0; i < d_in; i++) {
        const value = x.data[b * d_in + i];
        const bias = b_dec.data[i];
        const input = profile.splitEncode
          ? Math.abs(value) + Math.abs(bias)
          : Math.abs(value - bias);
        magnitude += input * Math.abs(W_enc.data[i * d_sae + j]);
      }
      acts[b * d_sae + j] = rho * magnitude + tiny;
    }
  }
  return { acts };
}

export const encode: KernelSpec = {
  name: 'encode',
  summary: 'acts = ReLU((x - b_dec) W_enc + b_enc)',
  inputs: inputWords,
  outputs: { acts: '(…, d_sae)' },
  config: {},
  outputShapes: ({ inputs }) => ({ acts: withLast(inputs.x.shape, inputs.b_enc.shape[0]) }),
  reference,
  laws: [
    agreesWithReference(calls, reference, encodeBounds),
    law(
      'a row encodes alone as it does in a batch',
      calls.chain((call) => fc.nat().map((at) => ({ call, at }))),
      async ({ call, at }, { run, profile }) => {
        const { x } = call.inputs;
        const d_in = x.shape[x.shape.length - 1];
        const b = at % (x.data.length / d_in);
        const alone = tensor([1, d_in], x.data.slice(b * d_in, (b + 1) * d_in));
        const single: Call = { ...call, inputs: { ...call.inputs, x: alone } };
        const got = await run(single);
        const together = (await run(call)).acts;
        const d_sae = got.acts.shape[1];
        const expected = tensor([1, d_sae], together.data.slice(b * d_sae, (b + 1) * d_sae));
        const bound = encodeBounds(single, got, profile).acts;
        return compareTensor(`acts of row ${b} alone`, got.acts, expected, (i) => 2 * bound[i]);
      },
    ),
    law(
      'permuting latents permutes acts',
      calls.chain((call) =>
        permutationOf(call.inputs.b_enc.data.length).map((order) => ({ call, order })),
      ),
      async ({ call, order }, { run, profile }) => {
        const { W_enc, b_enc } = call.inputs;
        const d_sae = order.length;
        const permute = (data: Float64Array): Float64Array =>
          data.map((_, i) => data[i - (i % d_sae) + order[i % d_sae]]);
        const permuted: Call = {
          ...call,
          inputs: {
            ...call.inputs,
            W_enc: tensor(W_enc.shape, permute(W_enc.data)),
            b_enc: tensor(b_enc.shape, permute(b_enc.data)),
          },
        };
        const before = (await run(call)).acts;
        const got = await run(permuted);
        const bound = encodeBounds(permuted, got, profile).acts;
        const expected = tensor(before.shape, permute(before.data));
        return compareTensor('permuted acts', got.acts, expected, (i) => 2 * bound[i]);
      },
    ),
    law(
      'moving x and b_dec together changes nothing',
      wholeCalls.chain((call) =>
        fc
          .array(fc.integer({ min: -64, max: 64 }), {
            minLength: call.inputs.b_dec.data.length,
            maxLength: call.inputs.b_dec.data.length,
          })
          .map((shift) => ({ call, shift })),
      ),
      async ({ call, shift }, { run, profile }) => {
        const moved = ({ shape, data }: Tensor): Tensor =>
          tensor(
            shape,
            data.map((value, i) => value + shift[i % shift.length]),
          );
        const { x, b_dec } = call.inputs;
        const inputs = { ...call.inputs, x: moved(x), b_dec: moved(b_dec) };
        const expected = (await run(call)).acts;
        const got = (await run({ ...call, inputs })).acts;
        const limits = [call, { ...call, inputs }].map(
          (each) => encodeBounds(each, { acts: expected }, profile).acts,
        );
        return compareTensor('acts', got, expected, (i) => limits[0][i] + limits[1][i]);
      },
    ),
    law(
      'of a latent and its opposite at most one is active, beyond rounding',
      only(calls),
      async ({ call }, { run, profile }) => {
        const opposite = ({ shape, data }: Tensor): Tensor =>
          tensor(
            shape,
            data.map((value) => 0 - value),
          );
        const { W_enc, b_enc } = call.inputs;
        const inputs = { ...call.inputs, W_enc: opposite(W_enc), b_enc: opposite(b_enc) };
        const { acts } = await run(call);
        const other = (await run({ ...call, inputs })).acts;
        const bound = encodeBounds(call, { acts }, profile).acts;
        const at = acts.data.findIndex(
          (act, i) =>
            !(Math.min(act, other.data[i]) <= bound[i] && Math.min(act, other.data[i]) >= 0),
        );
        return at < 0
          ? null
          : `acts${place(at, acts.shape)} is ${acts.data[at]}, and ${other.data[at]} for the opposite latent`;
      },
    ),
    law(
      'a row equal to b_dec encodes as b_enc where that is positive',
      only(
        calls.map((call) => {
          const { x, b_dec } = call.inputs;
          const rows = x.data.map((_, i) => b_dec.data[i % b_dec.data.length]);
          return { ...call, inputs: { ...call.inputs, x: tensor(x.shape, rows) } };
        }),
      ),
      async ({ call }, { run, profile }) => {
        const { acts } = await run(call);
        const { data } = call.inputs.b_enc;
        const expected = acts.data.map((_, i) => Math.max(data[i % data.length], 0));
        const bound = encodeBounds(call, { acts }, profile).acts;
        return compareTensor('acts', acts, tensor(acts.shape, expected), (i) => bound[i]);
      },
    ),
    law(
      'no act is negative',
      calls.map((call) => ({ call })),
      async ({ call }, { run }) => {
        const { acts } = await run(call);
        const at = acts.data.findIndex((act) => !(act >= 0));
        return at < 0 ? null : `acts value ${at} is ${acts.data[at]}, expected >= 0`;
      },
    ),
    neverHidesNonFinite(withNonFinite(calls, ['x', 'W_enc', 'b_enc', 'b_dec'])),
  ],
};
