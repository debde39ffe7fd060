/**
 * clip-gradients, learning-rate and adam-update: the reference keeps their laws, float32 in other orders keeps them.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { float32, float64 } from '../../conformance/error-model.ts';
import type { Call, Operator, Tensors } from '../../conformance/kernel.ts';
import {
  adamBounds,
  adamCalls,
  adamUpdate,
  clipGradients,
  learningRate,
} from '../../conformance/kernels/adam.ts';
import { clipCalls } from '../../conformance/kernels/clip-gradients.ts';
import { rateCalls } from '../../conformance/kernels/learning-rate.ts';
import { numberOf, scalar, tensor } from '../../conformance/tensors.ts';
import { brokenLaws, flush } from './broken-laws.ts';

type Round = (value: number) => number;

const names = ['grad.W_enc', 'grad.b_enc', 'grad.W_dec', 'grad.b_dec'];
const flushing = { ...float32, flushesSubnormals: true };

/** Σ of squares, last first. */
function squares(values: Float64Array | number[], f: Round): number {
  let sum = 0;
  for (let i = values.length - 1; i >= 0; i--) sum = f(sum + f(f(values[i]) * f(values[i])));
  return sum;
}

/** The norm of the four norms, or of all values at once; then a product with the factor. */
function clipping(f: Round, nested: boolean): Operator {
  return (call) => {
    const arrays = names.map((name) => call.inputs[name].data);
    const norm = nested
      ? f(
          Math.sqrt(
            squares(
              arrays.map((values) => f(Math.sqrt(squares(values, f)))),
              f,
            ),
          ),
        )
      : f(
          Math.sqrt(
            squares(
              arrays.flatMap((values) => [...values]),
              f,
            ),
          ),
        );
    const factor = Math.min(1, f(f(numberOf(call, 'max_norm')) / f(norm + f(1e-6))));
    const clipped = names.map((name) => {
      const { shape, data } = call.inputs[name];
      return [
        name,
        tensor(
          shape,
          data.map((g) => f(factor * f(g))),
        ),
      ] as const;
    });
    return { ...(Object.fromEntries(clipped) as Tensors), norm: scalar(norm) };
  };
}

/** All in float32; `subtracted` decays by 1 - done / length. */
function scheduling(f: Round, subtracted: boolean): Operator {
  return (call) => {
    const [step, steps, warmup] = ['step', 'steps', 'warmup_steps'].map((name) =>
      numberOf(call, name),
    );
    const { decay_start } = call.config;
    let share = 1;
    if (step < warmup) share = f(step / warmup);
    else if (decay_start !== null && step >= Number(decay_start)) {
      const length = steps - Number(decay_start);
      share = subtracted
        ? f(1 - f((step - Number(decay_start)) / length))
        : f((steps - step) / length);
    }
    return { rate: scalar(f(f(numberOf(call, 'learning_rate')) * share)) };
  };
}

/** Constants in double, then every operation rounded; `averaged` writes m and v as weighted sums and corrects both. */
function stepping(f: Round, averaged: boolean): Operator {
  return (call) => {
    const { parameter, gradient, m, v } = call.inputs;
    const [beta1, beta2, rate, epsilon] = ['beta1', 'beta2', 'rate', 'epsilon'].map((name) =>
      numberOf(call, name),
    );
    const t = numberOf(call, 'step') + 1;
    const [c1, c2] = [1 - beta1 ** t, 1 - beta2 ** t];
    const first = m.data.map((old, i) => {
      const g = f(gradient.data[i]);
      if (averaged) return f(f(f(beta1) * f(old)) + f(f(1 - beta1) * g));
      return f(f(old) + f(f(1 - beta1) * f(g - f(old))));
    });
    const second = v.data.map((old, i) => {
      const g = f(gradient.data[i]);
      if (averaged) return f(f(f(beta2) * f(old)) + f(f(f(1 - beta2) * g) * g));
      return f(f(old) + f(f(1 - beta2) * f(f(g * g) - f(old))));
    });
    const next = parameter.data.map((w, i) => {
      if (averaged) {
        const divisor = f(f(Math.sqrt(f(second[i] / f(c2)))) + f(epsilon));
        return f(f(w) - f(f(rate) * f(f(first[i] / f(c1)) / divisor)));
      }
      const divisor = f(f(f(Math.sqrt(second[i])) / f(Math.sqrt(c2))) + f(epsilon));
      return f(f(w) - f(f(f(rate / c1) * first[i]) / divisor));
    });
    const like = (values: Float64Array): Tensors[string] => tensor(parameter.shape, values);
    return { parameter: like(next), m: like(first), v: like(second) };
  };
}

describe('clip-gradients', () => {
  test('the reference keeps every law within float64 bounds', async () => {
    const { reference } = clipGradients;
    expect(await brokenLaws(clipGradients, reference, float64, 500)).toEqual([]);
  });

  test('float32 by the norm of norms, last value first, keeps every law', async () => {
    const operator = clipping(Math.fround, true);
    expect(await brokenLaws(clipGradients, operator, float32, 2000)).toEqual([]);
  });

  test('float32 by one sum over all values keeps every law', async () => {
    const operator = clipping(Math.fround, false);
    expect(await brokenLaws(clipGradients, operator, float32, 1000)).toEqual([]);
  });

  test('a kernel that flushes subnormals keeps every law once it declares so', async () => {
    expect(await brokenLaws(clipGradients, clipping(flush, true), flushing, 1000)).toEqual([]);
    expect(await brokenLaws(clipGradients, clipping(flush, true), float32, 500)).not.toEqual([]);
  });

  test('generated calls reach every class', () => {
    const calls = fc.sample(clipCalls, 1000);
    const share = (holds: (norm: number, max_norm: number, call: Call) => boolean): number =>
      calls.filter((call) => {
        const norm = Math.hypot(...names.flatMap((name) => [...call.inputs[name].data]));
        return holds(norm, numberOf(call, 'max_norm'), call);
      }).length / calls.length;
    expect(share((norm, max) => norm > 0 && norm < 0.9 * max)).toBeGreaterThan(0.05);
    expect(share((norm, max) => norm > 1.1 * max)).toBeGreaterThan(0.2);
    expect(share((norm, max) => Math.fround(norm) === max)).toBeGreaterThan(0.05);
    // Where the added 1e-6 decides.
    expect(share((norm, max) => max < 1e-5 && norm > 0)).toBeGreaterThan(0.05);
    expect(
      share((_norm, _max, call) => call.inputs['grad.b_dec'].data.length === 1),
    ).toBeGreaterThan(0.02);
    expect(share((norm) => norm > 2 ** 18)).toBeGreaterThan(0.02);
  });
});

describe('learning-rate', () => {
  test('the reference keeps every law within float64 bounds', async () => {
    const { reference } = learningRate;
    expect(await brokenLaws(learningRate, reference, float64, 500)).toEqual([]);
  });

  test.each([true, false])('float32 keeps every law, decay subtracted: %s', async (subtracted) => {
    const operator = scheduling(Math.fround, subtracted);
    expect(await brokenLaws(learningRate, operator, float32, 2000)).toEqual([]);
  });

  test('generated calls reach every class', () => {
    const calls = fc.sample(rateCalls, 1000).map(({ config }) => config);
    const share = (holds: (config: (typeof calls)[number]) => boolean): number =>
      calls.filter(holds).length / calls.length;
    expect(share(({ step }) => step === 0)).toBeGreaterThan(0.05);
    expect(share(({ warmup_steps }) => warmup_steps === 0)).toBeGreaterThan(0.02);
    expect(share(({ decay_start }) => decay_start === null)).toBeGreaterThan(0.3);
    expect(share(({ step, warmup_steps }) => step === warmup_steps)).toBeGreaterThan(0.05);
    expect(share(({ step, decay_start }) => step === decay_start)).toBeGreaterThan(0.02);
    expect(share(({ step, steps }) => step === Number(steps) - 1)).toBeGreaterThan(0.05);
    expect(share(({ step, warmup_steps }) => Number(step) < Number(warmup_steps))).toBeGreaterThan(
      0.2,
    );
    expect(
      share(({ step, decay_start }) => decay_start !== null && Number(step) > Number(decay_start)),
    ).toBeGreaterThan(0.02);
  });
});

describe('adam-update', () => {
  test('the reference keeps every law within float64 bounds', async () => {
    const { reference } = adamUpdate;
    expect(await brokenLaws(adamUpdate, reference, float64, 500)).toEqual([]);
  });

  test.each([false, true])('float32 keeps every law, weighted sums: %s', async (averaged) => {
    const operator = stepping(Math.fround, averaged);
    expect(await brokenLaws(adamUpdate, operator, float32, 2000)).toEqual([]);
  });

  test('a kernel that flushes subnormals keeps every law once it declares so', async () => {
    expect(await brokenLaws(adamUpdate, stepping(flush, false), flushing, 1000)).toEqual([]);
    expect(await brokenLaws(adamUpdate, stepping(flush, false), float32, 500)).not.toEqual([]);
  });

  test('away from cancellation the bound of an update is a few roundings', () => {
    const one = tensor([1], [1]);
    const call: Call = {
      config: { step: 9, rate: 1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
      inputs: { parameter: one, gradient: one, m: one, v: one },
    };
    const expected = adamUpdate.reference(call) as Record<'parameter' | 'm' | 'v', typeof one>;
    const bounds = adamBounds(call, expected, float32);
    // The bound is at most 25 roundings of 1 and of the update, 0.153.
    expect(bounds.parameter[0]).toBeLessThan(25 * 2 ** -24);
    expect(bounds.m[0]).toBeLessThan(8 * 2 ** -24);
    expect(bounds.v[0]).toBeLessThan(8 * 2 ** -24);
  });

  test('generated calls reach every class', () => {
    const calls = fc.sample(adamCalls, 1000);
    const share = (holds: (call: Call) => boolean): number =>
      calls.filter(holds).length / calls.length;
    const zero = (values: Float64Array): boolean => values.every((value) => value === 0);
    expect(share((call) => numberOf(call, 'step') === 0)).toBeGreaterThan(0.02);
    expect(share((call) => numberOf(call, 'rate') === 0)).toBeGreaterThan(0.05);
    expect(share(({ inputs }) => zero(inputs.m.data) && zero(inputs.v.data))).toBeGreaterThan(0.02);
    expect(share(({ inputs }) => inputs.gradient.data.includes(0))).toBeGreaterThan(0.2);
    expect(share(({ inputs }) => inputs.parameter.shape.length === 3)).toBeGreaterThan(0.2);
    expect(share(({ inputs }) => inputs.parameter.data.length === 1)).toBeGreaterThan(0.02);
    // Squares of such gradients are lost in float32.
    expect(
      share(({ inputs }) => inputs.gradient.data.some((g) => g !== 0 && g * g < 2 ** -149)),
    ).toBeGreaterThan(0.05);
  });
});
