/**
 * Gradients as slopes: along any direction in one parameter, the loss with its selection held fixed changes by the
 * product of gradient and direction. The slope is taken forwards, from the change of each reconstruction, and knows
 * nothing of suffix sums.
 * @module
 */
import fc from 'fast-check';
import { groups } from '../../reference/prefixes.ts';
import { compareTensor } from '../compare.ts';
import { gamma } from '../error-model.ts';
import type { Call, Law } from '../kernel.ts';
import { law } from '../laws.ts';
import { numbersOf, scalar } from '../tensors.ts';
import { gradientBounds } from './gradient-bounds.ts';

const parameters = ['W_dec', 'b_enc', 'W_enc', 'b_dec'] as const;
type Parameter = (typeof parameters)[number];

/** How values change along a direction: latents where they are selected, decoder and bias anywhere. */
interface Change {
  /** Of the pre-activation of latent j in row b. */
  readonly pre: (b: number, j: number) => number;
  readonly W_dec: (at: number) => number;
  readonly b_dec: (i: number) => number;
}

const none = (): number => 0;

function changeAlong(parameter: Parameter, direction: readonly number[], call: Call): Change {
  const { x, W_enc, b_dec } = call.inputs;
  const [d_in, d_sae] = W_enc.shape;
  const dot = (of: (i: number) => number): number => {
    let sum = 0;
    for (let i = 0; i < d_in; i++) sum += of(i);
    return sum;
  };
  switch (parameter) {
    case 'W_dec':
      return { pre: none, W_dec: (at) => direction[at], b_dec: none };
    case 'b_enc':
      return { pre: (_b, j) => direction[j], W_dec: none, b_dec: none };
    case 'W_enc':
      return {
        pre: (b, j) =>
          dot((i) => (x.data[b * d_in + i] - b_dec.data[i]) * direction[i * d_sae + j]),
        W_dec: none,
        b_dec: none,
      };
    case 'b_dec':
      return {
        pre: (_b, j) => dot((i) => -direction[i] * W_enc.data[i * d_sae + j]),
        W_dec: none,
        b_dec: (i) => direction[i],
      };
  }
}

/**
 * Σ_g 2 c_g / rows ⟨E_g, dE_g⟩ + ⟨Q, dê⟩, with dE_g = db_dec + Σ_{j < m_g} (da w + a dw) and dê likewise from what auxk
 * chose; `size` is the same sum of magnitudes, for what float64 rounds.
 */
function slopeOf(call: Call, change: Change): { slope: number; size: number } {
  const { x, latents, W_dec, b_dec, auxk_latents, auxk_gradient } = call.inputs;
  const [d_sae, d_in] = W_dec.shape;
  const [rows] = x.shape;
  const prefixes = numbersOf(call, 'prefixes');
  const weights = numbersOf(call, 'level_weights');
  let slope = 0;
  let size = 0;
  for (let b = 0; b < rows; b++) {
    const error = b_dec.data.map((bias, i) => bias - x.data[b * d_in + i]);
    const errorSize = b_dec.data.map((bias, i) => Math.abs(bias) + Math.abs(x.data[b * d_in + i]));
    const moved = b_dec.data.map((_, i) => change.b_dec(i));
    const movedSize = moved.map(Math.abs);
    const fitMoved = new Float64Array(d_in);
    const fitSize = new Float64Array(d_in);
    groups(prefixes).forEach(({ start, end }, g) => {
      for (let j = start; j < end; j++) {
        const latent = latents.data[b * d_sae + j];
        const chosen = auxk_latents.data[b * d_sae + j];
        if (latent === 0 && chosen === 0) continue;
        const pre = change.pre(b, j);
        for (let i = 0; i < d_in; i++) {
          const w = W_dec.data[j * d_in + i];
          const dw = change.W_dec(j * d_in + i);
          if (latent !== 0) {
            error[i] += latent * w;
            errorSize[i] += Math.abs(latent * w);
            moved[i] += pre * w + latent * dw;
            movedSize[i] += Math.abs(pre * w) + Math.abs(latent * dw);
          }
          if (chosen !== 0) {
            fitMoved[i] += pre * w + chosen * dw;
            fitSize[i] += Math.abs(pre * w) + Math.abs(chosen * dw);
          }
        }
      }
      const scale = (2 * weights[g]) / (prefixes.length * rows);
      for (let i = 0; i < d_in; i++) {
        slope += scale * error[i] * moved[i];
        size += scale * errorSize[i] * movedSize[i];
      }
    });
    for (let i = 0; i < d_in; i++) {
      slope += auxk_gradient.data[b * d_in + i] * fitMoved[i];
      size += Math.abs(auxk_gradient.data[b * d_in + i]) * fitSize[i];
    }
  }
  return { slope, size };
}

/** One law for each parameter. */
export function slopeLaws(calls: fc.Arbitrary<Call>): Law[] {
  return parameters.map((parameter) =>
    law(
      `the gradient of ${parameter} is the slope of the loss along it, the selection held fixed`,
      calls.chain((call) => {
        const { length } = call.inputs[parameter].data;
        return fc
          .array(fc.integer({ min: -1, max: 1 }), { minLength: length, maxLength: length })
          .map((direction) => ({ call, direction }));
      }),
      async ({ call, direction }, { run, profile }) => {
        const name = `grad.${parameter}` as const;
        const gradient = (await run(call))[name].data;
        const bound = gradientBounds(call, profile)[name];
        const { slope, size } = slopeOf(call, changeAlong(parameter, direction, call));
        let along = 0;
        // What is summed here in float64, and in the slope.
        const terms = call.inputs.latents.data.length + gradient.length + 64;
        let limit = gamma(4 * terms, 2 ** -53) * size;
        direction.forEach((step, at) => {
          along += step * gradient[at];
          limit += Math.abs(step) * (bound[at] + gamma(terms, 2 ** -53) * Math.abs(gradient[at]));
        });
        return compareTensor(
          `${name} times the direction [${direction.join(', ')}]`,
          scalar(along),
          scalar(slope),
          () => limit,
        );
      },
    ),
  );
}
