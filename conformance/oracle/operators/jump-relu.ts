/**
 * JumpReLU and the straight-through gradients of its gate and of the step 1[z > θ], which are defined and not derived.
 * @module
 */
import fc from 'fast-check';
import type { Dialect } from '../../../reference/dialect.ts';
import type { Matrix } from '../../../reference/matrix.ts';
import { dialect, matrixOf, sizes, values } from '../cases.ts';
import type { Oracle } from '../oracle.ts';
import {
  abs,
  add,
  compare,
  div,
  mul,
  neg,
  one,
  positivePart,
  real,
  sub,
  sum,
  surely,
  zero,
  type Real,
} from '../real.ts';
import { at, build, columnOf, realMatrix, reals, type RealMatrix } from '../real-matrix.ts';

export interface RealStraightThrough {
  readonly input: RealMatrix;
  readonly threshold: readonly Real[];
}

/**
 * Gate: dz = 1[z > θ] dy, dθ = -(θ/h) Σ 1[|z - θ| < h/2] dy. Step: dz = 0, dθ = -(1/h) Σ 1[...] dy. The window's term,
 * negated, is added to dz where the dialect says so.
 */
export function straightThrough(
  of: 'gate' | 'step',
  z: RealMatrix,
  thresholds: readonly Real[],
  upstream: RealMatrix,
  { jumpRelu }: Dialect,
): RealStraightThrough {
  const h = real(jumpRelu.bandwidth);
  const window = build(z.rows, z.cols, (b, j) => {
    const distance = abs(div(sub(at(z, b, j), thresholds[j]), h));
    if (surely(compare(distance, real(0.5))) >= 0) return zero;
    const slope = div(of === 'gate' ? thresholds[j] : one, h);
    return mul(slope, at(upstream, b, j));
  });
  const input = build(z.rows, z.cols, (b, j) => {
    const open = of === 'gate' && surely(compare(at(z, b, j), thresholds[j])) > 0;
    const through = open ? at(upstream, b, j) : zero;
    return jumpRelu.inputGradient === 'gate' ? through : add(through, at(window, b, j));
  });
  return { input, threshold: thresholds.map((_, j) => neg(sum(columnOf(window, j)))) };
}

interface JumpCase {
  readonly pre: Matrix;
  readonly threshold: Float64Array;
  readonly upstream: Matrix;
  readonly dialect: Dialect;
}

export const jumpRelu: Oracle<JumpCase> = {
  name: 'JumpReLU',
  holds: [
    'jumpRelu.jumpRelu',
    'jumpRelu.keptThresholds',
    'jumpRelu.jumpReluGradient',
    'jumpRelu.stepGradient',
  ],
  cases: fc.tuple(sizes, dialect).chain(([{ rows, d_sae }, dialect]) =>
    fc.record({ pre: matrixOf(rows, d_sae), threshold: values(d_sae) }).chain((given) => {
      // Beside a threshold: on it, inside the window, on the window's edge.
      const beside = fc.constantFrom(0, 0.25, 0.5, -0.5, 0.4, 1);
      const { pre, threshold } = given;
      return fc.record({
        pre: fc
          .array(fc.option(beside, { freq: 2 }), {
            minLength: pre.data.length,
            maxLength: pre.data.length,
          })
          .map((shares) => ({
            ...pre,
            data: pre.data.map((z, i) => {
              const share = shares[i];
              const t = threshold[i % d_sae];
              return share === null ? z : t + share * dialect.jumpRelu.bandwidth;
            }),
          })),
        threshold: fc.constant(threshold),
        upstream: matrixOf(rows, d_sae),
        dialect: fc.constant(dialect),
      });
    }),
  ),
  check({ pre, threshold, upstream, dialect }, { jumpRelu }, judge) {
    const [z, thresholds, dy] = [realMatrix(pre), reals(threshold), realMatrix(upstream)];
    judge.allNear(
      'latents',
      jumpRelu.jumpRelu(pre, threshold),
      build(z.rows, z.cols, (b, j) =>
        surely(compare(at(z, b, j), thresholds[j])) > 0 ? at(z, b, j) : zero,
      ),
    );
    const keeps = dialect.jumpRelu.keepsThresholds === 'at-least-zero';
    judge.allNear(
      'kept thresholds',
      jumpRelu.keptThresholds(threshold, dialect),
      keeps ? thresholds.map(positivePart) : thresholds,
    );
    const gate = straightThrough('gate', z, thresholds, dy, dialect);
    const gotGate = jumpRelu.jumpReluGradient(pre, threshold, upstream, dialect);
    judge.allNear('gate: gradient at z', gotGate.input, gate.input);
    judge.allNear('gate: gradient at θ', gotGate.threshold, gate.threshold);
    const step = straightThrough('step', z, thresholds, dy, dialect);
    const gotStep = jumpRelu.stepGradient(pre, threshold, upstream, dialect);
    judge.allNear('step: gradient at z', gotStep.input, step.input);
    judge.allNear('step: gradient at θ', gotStep.threshold, step.threshold);
  },
};
