/**
 * project-gradient and normalise-rows: the reference keeps their laws, float32 in other orders keeps them.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { float32, float64 } from '../../conformance/error-model.ts';
import type { Call, Operator } from '../../conformance/kernel.ts';
import {
  normaliseCalls,
  normaliseRows,
  projectCalls,
  projectGradient,
} from '../../conformance/kernels/decoder-norm.ts';
import { numberOf, tensor } from '../../conformance/tensors.ts';
import { brokenLaws, flush } from './broken-laws.ts';

type Round = (value: number) => number;

/** Σ a_i b_i, last term first. */
function dot(a: Float64Array, b: Float64Array, f: Round): number {
  let sum = 0;
  for (let i = a.length - 1; i >= 0; i--) sum = f(sum + f(f(a[i]) * f(b[i])));
  return sum;
}

const rows = ({ shape, data }: { shape: readonly number[]; data: Float64Array }): Float64Array[] =>
  Array.from({ length: shape[0] }, (_, j) => data.slice(j * shape[1], (j + 1) * shape[1]));

function projecting(
  project: (g: Float64Array, w: Float64Array, epsilon: number) => number[],
): Operator {
  return (call) => {
    const { gradient, W_dec } = call.inputs;
    const w = rows(W_dec);
    const out = rows(gradient).flatMap((g, j) => project(g, w[j], numberOf(call, 'epsilon')));
    return { gradient: tensor(gradient.shape, out) };
  };
}

/** The unit row first, then its product with the gradient. */
const byUnitRow = (f: Round): Operator =>
  projecting((g, w, epsilon) => {
    const length = f(f(Math.sqrt(dot(w, w, f))) + f(epsilon));
    const unit = w.map((value) => f(f(value) / length));
    const along = dot(g, unit, f);
    return [...g].map((value, i) => f(f(value) - f(along * unit[i])));
  });

/** (g·w) w divided by the squared length at the end. */
const bySquare = (f: Round): Operator =>
  projecting((g, w, epsilon) => {
    const length = f(f(Math.sqrt(dot(w, w, f))) + f(epsilon));
    const along = f(dot(g, w, f) / f(length * length));
    return [...g].map((value, i) => f(f(value) - f(along * f(w[i]))));
  });

function normalising(scale: (value: number, length: number) => number, f: Round): Operator {
  return (call) => {
    const { W_dec } = call.inputs;
    const out = rows(W_dec).flatMap((w) => {
      const length = f(f(Math.sqrt(dot(w, w, f))) + f(numberOf(call, 'epsilon')));
      return [...w].map((value) => scale(f(value), length));
    });
    return { W_dec: tensor(W_dec.shape, out) };
  };
}

const divided = (f: Round): Operator => normalising((value, length) => f(value / length), f);
const multiplied = (f: Round): Operator =>
  normalising((value, length) => f(value * f(1 / length)), f);

const flushing = { ...float32, flushesSubnormals: true };

describe('project-gradient', () => {
  test('the reference keeps every law within float64 bounds', async () => {
    const { reference } = projectGradient;
    expect(await brokenLaws(projectGradient, reference, float64, 500)).toEqual([]);
  });

  test('float32 by unit rows, last term first, keeps every law', async () => {
    expect(await brokenLaws(projectGradient, byUnitRow(Math.fround), float32, 2000)).toEqual([]);
  });

  test('float32 divided by the squared length keeps every law', async () => {
    expect(await brokenLaws(projectGradient, bySquare(Math.fround), float32, 1000)).toEqual([]);
  });

  test('a kernel that flushes subnormals keeps every law once it declares so', async () => {
    expect(await brokenLaws(projectGradient, byUnitRow(flush), flushing, 1000)).toEqual([]);
    expect(await brokenLaws(projectGradient, byUnitRow(flush), float32, 500)).not.toEqual([]);
  });
});

describe('normalise-rows', () => {
  test('the reference keeps every law within float64 bounds', async () => {
    const { reference } = normaliseRows;
    expect(await brokenLaws(normaliseRows, reference, float64, 500)).toEqual([]);
  });

  test('float32 by division keeps every law', async () => {
    expect(await brokenLaws(normaliseRows, divided(Math.fround), float32, 2000)).toEqual([]);
  });

  test('float32 by a product with 1 / length keeps every law', async () => {
    expect(await brokenLaws(normaliseRows, multiplied(Math.fround), float32, 1000)).toEqual([]);
  });

  test('a kernel that flushes subnormals keeps every law once it declares so', async () => {
    expect(await brokenLaws(normaliseRows, divided(flush), flushing, 1000)).toEqual([]);
    expect(await brokenLaws(normaliseRows, divided(flush), float32, 500)).not.toEqual([]);
  });
});

test.each([
  ['project-gradient', projectCalls],
  ['normalise-rows', normaliseCalls],
])('generated calls of %s reach every class', (_, arbitrary) => {
  const calls = fc.sample(arbitrary, 1000);
  const share = (holds: (call: Call) => boolean): number =>
    calls.filter(holds).length / calls.length;
  const norms = ({ inputs: { W_dec } }: Call): number[] => rows(W_dec).map((w) => Math.hypot(...w));
  const some = (holds: (norm: number) => boolean): number =>
    share((call) => norms(call).some(holds));
  expect(some((norm) => norm === 0)).toBeGreaterThan(0.05);
  expect(some((norm) => Math.abs(norm - 1) < 1e-5 && norm !== 1)).toBeGreaterThan(0.05);
  expect(some((norm) => norm > 0 && norm < 2 ** -126)).toBeGreaterThan(0.002);
  expect(some((norm) => norm > 2 ** 18)).toBeGreaterThan(0.02);
  // Squares of values this small are lost in float32.
  expect(
    share(({ inputs }) => inputs.W_dec.data.some((w) => w !== 0 && w * w < 2 ** -149)),
  ).toBeGreaterThan(0.02);
  expect(share(({ inputs }) => inputs.W_dec.shape[0] === 1)).toBeGreaterThan(0.015);
  expect(share(({ inputs }) => inputs.W_dec.shape[1] === 1)).toBeGreaterThan(0.02);
  expect(share((call) => numberOf(call, 'epsilon') < 1e-5)).toBeGreaterThan(0.5);
});
