/**
 * clip-gradients, learning-rate and adam-update.
 * @module
 */
import { power } from '../../reference/adam.ts';
import { paramNames } from '../../reference/params.ts';
import type { Call, Tensors } from '../kernel.ts';
import { numberOf, scalar } from '../tensors.ts';
import { sum, sumOfSquares, type Arithmetic } from './arithmetic.ts';

/** All gradients times min(1, max_norm / (norm + 1e-6)). */
export function clipGradients(call: Call, arithmetic: Arithmetic): Tensors {
  const { round, store } = arithmetic;
  const names = paramNames.map((name) => `grad.${name}`);
  const squares = Float64Array.from(names, (name) =>
    sumOfSquares(arithmetic, call.inputs[name].data),
  );
  const length = round(Math.sqrt(sum(arithmetic, squares, squares.length)));
  const share = round(round(numberOf(call, 'max_norm')) / round(length + round(1e-6)));
  const factor = Math.min(1, share);
  const clipped = names.map((name) => {
    const { shape, data } = call.inputs[name];
    return [name, { shape, data: data.map((value) => store(round(factor * value))) }] as const;
  });
  return { ...Object.fromEntries(clipped), norm: scalar(store(length)) };
}

/** Linear warm-up from 0, constant, then linear decay to 0. */
export function learningRate(call: Call, { round, store }: Arithmetic): Tensors {
  const [step, steps, warmup, full] = ['step', 'steps', 'warmup_steps', 'learning_rate'].map(
    (name) => numberOf(call, name),
  );
  const start = call.config['decay_start'] as number | null;
  const part = (done: number, all: number): number => round(round(full) * round(done / all));
  const rate =
    step < warmup
      ? part(step, warmup)
      : start !== null && step >= start
        ? part(steps - step, steps - start)
        : round(full);
  return { rate: scalar(store(rate)) };
}

/** Adam with both bias corrections taken in double and rounded once. */
export function adamUpdate(call: Call, { round, store }: Arithmetic): Tensors {
  const { parameter, gradient, m, v } = call.inputs;
  const [step, rate, beta1, beta2, epsilon] = ['step', 'rate', 'beta1', 'beta2', 'epsilon'].map(
    (name) => numberOf(call, name),
  );
  const stride = round(rate / (1 - power(beta1, step + 1)));
  const correction = round(Math.sqrt(1 - power(beta2, step + 1)));
  const first = m.data.map((old, i) => {
    return round(old + round(round(1 - beta1) * round(gradient.data[i] - old)));
  });
  const second = v.data.map((old, i) => {
    const g = gradient.data[i];
    return round(round(round(beta2) * old) + round(round(round(1 - beta2) * g) * g));
  });
  const next = parameter.data.map((w, i) => {
    const root = round(round(Math.sqrt(second[i])) / correction);
    return round(w - round(round(stride * first[i]) / round(root + round(epsilon))));
  });
  const { shape } = parameter;
  return {
    parameter: { shape, data: next.map(store) },
    m: { shape, data: first.map(store) },
    v: { shape, data: second.map(store) },
  };
}
