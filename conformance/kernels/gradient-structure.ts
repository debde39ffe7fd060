/**
 * How gradients are put together from levels, rows and auxk: one law for each.
 * @module
 */
import fc from 'fast-check';
import { compareTensor } from '../compare.ts';
import { gamma } from '../error-model.ts';
import type { Call, Law, Tensor, Tensors } from '../kernel.ts';
import { law, only } from '../laws.ts';
import { numbersOf, tensor } from '../tensors.ts';
import { apart, gradientBounds, gradientNames } from './gradient-bounds.ts';

const changed = (call: Call, inputs: Tensors, config: Call['config'] = {}): Call => ({
  config: { ...call.config, ...config },
  inputs: { ...call.inputs, ...inputs },
});

const zeros = ({ shape, data }: Tensor): Tensor => tensor(shape, new Float64Array(data.length));

const withoutAuxk = (call: Call): Call =>
  changed(call, {
    auxk_latents: zeros(call.inputs.auxk_latents),
    auxk_gradient: zeros(call.inputs.auxk_gradient),
  });

/** Weight at one level, and the same loss from that level's prefix and the full width alone. */
function alone(call: Call, hot: number): { whole: Call; coarse: Call } {
  const prefixes = numbersOf(call, 'prefixes');
  const last = prefixes[prefixes.length - 1];
  const few = prefixes[hot] === last ? [last] : [prefixes[hot], last];
  return {
    whole: changed(call, {}, { level_weights: prefixes.map((_, g) => (g === hot ? 1 : 0)) }),
    // Levels are averaged after weighting.
    coarse: changed(
      call,
      {},
      {
        prefixes: few,
        level_weights: few.map((_, g) => (g === 0 ? few.length / prefixes.length : 0)),
      },
    ),
  };
}

function rowOf(call: Call, b: number): Call {
  const names = ['x', 'latents', 'auxk_latents', 'auxk_gradient'];
  const row = ({ shape: [, cols], data }: Tensor): Tensor =>
    tensor([1, cols], data.slice(b * cols, (b + 1) * cols));
  return changed(call, Object.fromEntries(names.map((name) => [name, row(call.inputs[name])])));
}

export function structureLaws(calls: fc.Arbitrary<Call>): Law[] {
  return [
    law(
      'a level alone teaches its prefix the same wherever inner boundaries lie',
      calls.chain((call) =>
        fc.nat({ max: numbersOf(call, 'prefixes').length - 1 }).map((hot) => ({ call, hot })),
      ),
      async ({ call, hot }, { run, profile }) => {
        const { whole, coarse } = alone(call, hot);
        const [got, expected] = [await run(whole), await run(coarse)];
        const bounds = [whole, coarse].map((each) => gradientBounds(each, apart(profile)));
        for (const name of gradientNames) {
          const wrong = compareTensor(
            name,
            got[name],
            expected[name],
            (i) => bounds[0][name][i] + bounds[1][name][i],
          );
          if (wrong !== null) return wrong;
        }
        return null;
      },
    ),
    law(
      'without levels, a decoder row gets the values auxk chose times the gradient of auxk',
      only(
        calls.map((call) =>
          changed(call, {}, { level_weights: numbersOf(call, 'level_weights').map(() => 0) }),
        ),
      ),
      async ({ call }, { run, profile }) => {
        const { auxk_latents, auxk_gradient, W_dec } = call.inputs;
        const [d_sae, d_in] = W_dec.shape;
        const expected = W_dec.data.map((_, at) => {
          let sum = 0;
          for (let b = 0; b < auxk_latents.shape[0]; b++) {
            const value = auxk_latents.data[b * d_sae + Math.floor(at / d_in)];
            sum += value * auxk_gradient.data[b * d_in + (at % d_in)];
          }
          return sum;
        });
        const got = (await run(call))['grad.W_dec'];
        const bound = gradientBounds(call, profile)['grad.W_dec'];
        return compareTensor('grad.W_dec', got, tensor(got.shape, expected), (i) => bound[i]);
      },
    ),
    law(
      'gradients of a batch are the mean of those of its rows, auxk apart',
      only(calls.map(withoutAuxk)),
      async ({ call }, { run, profile }) => {
        const got = await run(call);
        const bounds = gradientBounds(call, apart(profile));
        const [rows] = call.inputs.x.shape;
        const singles = Array.from({ length: rows }, (_, b) => rowOf(call, b));
        const outputs: Tensors[] = [];
        for (const single of singles) outputs.push(await run(single));
        const limits = singles.map((single) => gradientBounds(single, apart(profile)));
        for (const name of gradientNames) {
          const mean = got[name].data.map((_, i) =>
            outputs.reduce((sum, each) => sum + each[name].data[i] / rows, 0),
          );
          const wrong = compareTensor(name, got[name], tensor(got[name].shape, mean), (i) =>
            outputs.reduce(
              (sum, each, b) =>
                sum +
                (limits[b][name][i] + gamma(rows + 1, 2 ** -53) * Math.abs(each[name].data[i])) /
                  rows,
              bounds[name][i],
            ),
          );
          if (wrong !== null) return wrong;
        }
        return null;
      },
    ),
  ];
}
