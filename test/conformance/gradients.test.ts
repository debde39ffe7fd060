/**
 * gradients' laws: the reference keeps them, float32 in another order keeps them.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { float32, float64 } from '../../conformance/error-model.ts';
import type { Call, Operator, Tensors } from '../../conformance/kernel.ts';
import { gradientCalls, gradients } from '../../conformance/kernels/gradients.ts';
import { numbersOf, tensor, toMatrix } from '../../conformance/tensors.ts';
import { brokenLaws, flush } from './broken-laws.ts';

interface Values {
  readonly rows: number;
  readonly d_in: number;
  readonly d_sae: number;
  readonly prefixes: readonly number[];
  readonly weights: readonly number[];
  readonly v: Readonly<Record<string, Float64Array>>;
}

/** A call's sizes and values, rounded by f. */
function read(call: Call, f: (value: number) => number): Values {
  const { rows, cols: d_in } = toMatrix(call.inputs.x);
  return {
    rows,
    d_in,
    d_sae: call.inputs.b_enc.data.length,
    prefixes: numbersOf(call, 'prefixes'),
    weights: numbersOf(call, 'level_weights').map(f),
    v: Object.fromEntries(
      Object.entries(call.inputs).map(([name, { data }]) => [name, data.map(f)]),
    ),
  };
}

function results(call: Call): Tensors {
  const { W_enc, b_enc, W_dec, b_dec } = call.inputs;
  return Object.fromEntries(
    Object.entries({ W_enc, b_enc, W_dec, b_dec }).map(([name, { shape, data }]) => [
      `grad.${name}`,
      tensor(shape, new Float64Array(data.length)),
    ]),
  );
}

/** One backward pass for each level from scratch, last latent and last row first; every operation rounded by f. */
function levelByLevel(f: (value: number) => number): Operator {
  return (call) => {
    const { rows, d_in, d_sae, prefixes, weights, v } = read(call, f);
    const out = results(call);
    const add = (name: string, at: number, value: number): void => {
      const { data } = out[`grad.${name}`];
      data[at] = f(data[at] + value);
    };
    /** From the gradient at a reconstruction, for the latents that made it. */
    const backward = (
      b: number,
      upstream: Float64Array,
      latents: Float64Array,
      m: number,
    ): void => {
      for (let j = m - 1; j >= 0; j--) {
        const latent = latents[b * d_sae + j];
        if (latent === 0) continue;
        let delta = 0;
        for (let i = d_in - 1; i >= 0; i--) {
          delta = f(delta + f(upstream[i] * v.W_dec[j * d_in + i]));
          add('W_dec', j * d_in + i, f(latent * upstream[i]));
        }
        add('b_enc', j, delta);
        for (let i = 0; i < d_in; i++) {
          add('W_enc', i * d_sae + j, f(f(v.x[b * d_in + i] - v.b_dec[i]) * delta));
          add('b_dec', i, f(-f(delta * v.W_enc[i * d_sae + j])));
        }
      }
    };
    for (let b = rows - 1; b >= 0; b--) {
      prefixes.forEach((m, g) => {
        const upstream = new Float64Array(d_in).map((_, i) => {
          let error = f(v.b_dec[i] - v.x[b * d_in + i]);
          for (let j = m - 1; j >= 0; j--) {
            error = f(error + f(v.latents[b * d_sae + j] * v.W_dec[j * d_in + i]));
          }
          return f(f(f(f(error * 2) / rows) * weights[g]) / prefixes.length);
        });
        upstream.forEach((value, i) => add('b_dec', i, value));
        backward(b, upstream, v.latents, m);
      });
      const upstream = v.auxk_gradient.subarray(b * d_in, (b + 1) * d_in);
      backward(b, upstream, v.auxk_latents, d_sae);
    }
    return out;
  };
}

/** Suffix sums, dense products over all latents, and b_dec through one product at the end. */
function dense(f: (value: number) => number): Operator {
  return (call) => {
    const { rows, d_in, d_sae, prefixes, weights, v } = read(call, f);
    const out = results(call);
    const sum = (n: number, term: (t: number) => number): number => {
      let total = 0;
      for (let t = 0; t < n; t++) total = f(total + term(t));
      return total;
    };
    const levels = prefixes.map((m, g) => {
      const scale = f(f(2 * f(weights[g] * f(1 / prefixes.length))) * f(1 / rows));
      return v.x.map((x, at) => {
        const [b, i] = [Math.floor(at / d_in), at % d_in];
        const decoded = sum(m, (j) => f(v.latents[b * d_sae + j] * v.W_dec[j * d_in + i]));
        return f(scale * f(f(decoded + v.b_dec[i]) - x));
      });
    });
    for (let g = levels.length - 2; g >= 0; g--) {
      levels[g] = levels[g].map((value, at) => f(value + levels[g + 1][at]));
    }
    const levelOf = Array.from({ length: d_sae }, (_, j) => prefixes.findIndex((m) => j < m));
    const delta = v.latents.map((latent, at) => {
      const [b, j] = [Math.floor(at / d_sae), at % d_sae];
      const through = (upstream: Float64Array): number =>
        sum(d_in, (i) => f(upstream[b * d_in + i] * v.W_dec[j * d_in + i]));
      const main = latent === 0 ? 0 : through(levels[levelOf[j]]);
      return f(main + (v.auxk_latents[at] === 0 ? 0 : through(v.auxk_gradient)));
    });
    const set = (name: string, value: (at: number) => number): void => {
      const { data } = out[`grad.${name}`];
      for (let at = 0; at < data.length; at++) data[at] = value(at);
    };
    set('b_enc', (j) => sum(rows, (b) => delta[b * d_sae + j]));
    set('W_enc', (at) => {
      const [i, j] = [Math.floor(at / d_sae), at % d_sae];
      return sum(rows, (b) => f(f(v.x[b * d_in + i] - v.b_dec[i]) * delta[b * d_sae + j]));
    });
    set('W_dec', (at) => {
      const [j, i] = [Math.floor(at / d_in), at % d_in];
      const main = sum(rows, (b) => f(v.latents[b * d_sae + j] * levels[levelOf[j]][b * d_in + i]));
      const aux = sum(rows, (b) =>
        f(v.auxk_latents[b * d_sae + j] * v.auxk_gradient[b * d_in + i]),
      );
      return f(main + aux);
    });
    set('b_dec', (i) => {
      const { data } = out['grad.b_enc'];
      const through = sum(d_sae, (j) => f(v.W_enc[i * d_sae + j] * data[j]));
      return f(sum(rows, (b) => levels[0][b * d_in + i]) - through);
    });
    return out;
  };
}

describe('gradients', () => {
  test('the reference keeps every law within float64 bounds', async () => {
    expect(await brokenLaws(gradients, gradients.reference, float64, 500)).toEqual([]);
  });

  test('one backward pass for each level in float32 keeps every law', async () => {
    expect(await brokenLaws(gradients, levelByLevel(Math.fround), float32, 2000)).toEqual([]);
  });

  test('dense products of suffix sums in float32 keep every law', async () => {
    expect(await brokenLaws(gradients, dense(Math.fround), float32, 500)).toEqual([]);
  });

  test('a kernel that flushes subnormals keeps every law once it declares so', async () => {
    const profile = { ...float32, flushesSubnormals: true };
    expect(await brokenLaws(gradients, levelByLevel(flush), profile, 500)).toEqual([]);
    expect(await brokenLaws(gradients, dense(flush), profile, 500)).toEqual([]);
  });

  test('generated calls reach every class', () => {
    const calls = fc.sample(gradientCalls, 1000);
    const share = (test: (call: Call) => boolean): number =>
      calls.filter(test).length / calls.length;
    const levels = (call: Call): number => numbersOf(call, 'prefixes').length;
    const weights = (call: Call): readonly number[] => numbersOf(call, 'level_weights');
    const zero = (data: Float64Array): boolean => data.every((value) => value === 0);
    const zeroColumn = ({ inputs: { latents, auxk_latents } }: Call): boolean =>
      Array.from({ length: latents.shape[1] }, (_, j) => j).some((j) =>
        [latents, auxk_latents].every(({ shape, data }) =>
          zero(data.filter((_, at) => at % shape[1] === j)),
        ),
      );
    const some = (call: Call, test: (size: number) => boolean): boolean =>
      Object.values(call.inputs).some(({ data }) => data.some((value) => test(Math.abs(value))));
    expect(share((call) => call.inputs.x.shape[0] === 1)).toBeGreaterThan(0.05);
    expect(share((call) => call.inputs.b_enc.data.length === 1)).toBeGreaterThan(0.03);
    expect(share((call) => levels(call) === 1)).toBeGreaterThan(0.1);
    expect(share((call) => levels(call) > 2)).toBeGreaterThan(0.3);
    expect(share((call) => new Set(weights(call)).size > 1)).toBeGreaterThan(0.2);
    expect(share((call) => weights(call).at(-1) === 0)).toBeGreaterThan(0.1);
    expect(share(zeroColumn)).toBeGreaterThan(0.3);
    expect(share(({ inputs }) => zero(inputs.latents.data))).toBeGreaterThan(0.02);
    expect(share(({ inputs }) => !zero(inputs.auxk_latents.data))).toBeGreaterThan(0.3);
    expect(share(({ inputs }) => zero(inputs.auxk_latents.data))).toBeGreaterThan(0.1);
    expect(share((call) => some(call, (size) => size > 0 && size < 2 ** -126))).toBeGreaterThan(
      0.1,
    );
    expect(share((call) => some(call, (size) => size > 2 ** 18))).toBeGreaterThan(0.2);
  });
});
