/**
 * References that are wrong on purpose: every function's numbers rounded to float32, whole numbers off by one, and the
 * mistakes that trainers have really made.
 */
import type { Matrix } from '../../../reference/matrix.ts';
import { matrix } from '../../../reference/matrix.ts';
import { reference, type Reference } from '../../../conformance/oracle/reference.ts';

export interface Broken {
  /** Name of the oracle that must notice. */
  readonly operator: string;
  readonly what: string;
  readonly reference: Reference;
}

type File = keyof Reference;
type Functions = Record<string, (...args: never[]) => unknown>;

/** The reference with one function replaced; functions of other files go on calling the right one. */
function replaced(
  file: File,
  name: string,
  make: (right: (...args: never[]) => unknown) => unknown,
): Reference {
  const functions = reference[file] as unknown as Functions;
  return { ...reference, [file]: { ...functions, [name]: make(functions[name]) } };
}

/** A function whose every number is changed. */
export function spoiled(path: string, change: (value: number) => number): Reference {
  const [file, name] = path.split('.') as [File, string];
  return replaced(file, name, (right) => (...args: never[]) => {
    const result = right(...args);
    // It changes its first argument and returns nothing.
    if (path === 'matrix.addScaled') {
      const target = args[0] as Float64Array;
      target.set(target.map(change));
    }
    return changed(result, change);
  });
}

/** Every number of a result changed, but for sizes. */
function changed(result: unknown, change: (value: number) => number): unknown {
  if (typeof result === 'number') return change(result);
  if (
    result instanceof Float64Array ||
    result instanceof Uint8Array ||
    result instanceof Uint32Array
  ) {
    return result.map(change);
  }
  if (Array.isArray(result)) return result.map((value) => changed(value, change));
  if (typeof result !== 'object' || result === null) return result;
  return Object.fromEntries(
    Object.entries(result).map(([name, value]) => [
      name,
      ['rows', 'cols', 'level', 'step'].includes(name) ? value : changed(value, change),
    ]),
  );
}

function wrong<F extends File, N extends keyof Reference[F]>(
  operator: string,
  what: string,
  file: F,
  name: N,
  make: (right: Reference[F][N]) => Reference[F][N],
): Broken {
  const broken = replaced(file, String(name), make as never);
  return { operator, what, reference: broken };
}

const scaled = (a: Matrix, factor: number): Matrix =>
  matrix(
    a.rows,
    a.cols,
    a.data.map((value) => value * factor),
  );

/** Mistakes with a name. */
export const mistakes: readonly Broken[] = [
  wrong(
    'encode',
    'b_dec is not subtracted',
    'encode',
    'preActivations',
    (right) => (x, params, d) =>
      right(x, params, { ...d, encode: { ...d.encode, subtractsDecoderBias: false } }),
  ),
  wrong(
    'encode',
    '2 ulp too large',
    'encode',
    'preActivations',
    (right) => (x, params, d) => scaled(right(x, params, d), 1 + 2 ** -51),
  ),
  wrong(
    'selection',
    'K is rounded and not truncated',
    'select',
    'selectionCount',
    () => (k, rows) => Math.round(k * rows),
  ),
  wrong(
    'selection',
    'a score equal to the threshold passes',
    'select',
    'aboveThreshold',
    () => (acts, t, scores) => ({
      ...acts,
      data: acts.data.map((act, i) => ((scores ?? acts).data[i] >= t ? act : 0)),
    }),
  ),
  wrong(
    'selection',
    'the last of equal scores is kept',
    'select',
    'batchTopK',
    (right) => (acts, k, scores) => {
      const reversed = (a: Matrix): Matrix => ({ ...a, data: a.data.toReversed() });
      return reversed(right(reversed(acts), k, reversed(scores ?? acts)));
    },
  ),
  wrong(
    'decode',
    'every prefix is the last',
    'decode',
    'decodePrefixes',
    (right) => (latents, params, prefixes) => {
      const all = right(latents, params, prefixes);
      return all.map(() => all[all.length - 1]);
    },
  ),
  wrong(
    'level losses and their sum',
    'averaged over dimensions too',
    'loss',
    'levelLosses',
    (right) => (errors) => right(errors).map((value) => value / errors[0].cols),
  ),
  wrong(
    'dead latents',
    'at the limit is not dead',
    'deadLatents',
    'deadMask',
    (right) => (counts, after, d) =>
      right(counts, after, { ...d, deadLatents: { ...d.deadLatents, test: 'above' } }),
  ),
  wrong(
    'threshold',
    'weights swapped',
    'threshold',
    'updateThreshold',
    (right) => (old, smallest, d) =>
      right(old, smallest, { ...d, threshold: { ...d.threshold, decay: 1 - d.threshold.decay } }),
  ),
  wrong(
    'auxiliary loss',
    'gradient without its factor 2',
    'auxk',
    'auxk',
    (right) => (e, v, W, dead, alpha, d) => right(e, v, W, dead, alpha / 2, d),
  ),
  wrong(
    'auxiliary loss',
    'living latents may be chosen',
    'auxk',
    'auxk',
    (right) => (e, v, W, dead, alpha, d) =>
      right(e, v, W, dead.includes(1) ? dead.map(() => 1) : dead, alpha, d),
  ),
  wrong(
    'sparsity penalty',
    'every prefix counts alike',
    'penalty',
    'sparsityPenalty',
    (right) => (a, W, prefixes, l0, target, d) =>
      right(a, W, [prefixes[prefixes.length - 1]], l0, target, d),
  ),
  wrong(
    'total loss',
    'the first weight for every level',
    'loss',
    'levelCoefficients',
    (right) => (weights, d_in, d) =>
      right(
        weights.map(() => weights[0]),
        d_in,
        d,
      ),
  ),
  wrong(
    'gradients',
    'b_dec’s path through the encoder is missing',
    'gradients',
    'gradients',
    (right) => (f, params, p, c, d) => {
      const answer = right(f, params, p, c, d);
      const without = right(f, params, p, c, {
        ...d,
        encode: { ...d.encode, subtractsDecoderBias: false },
      });
      return { ...answer, b_dec: without.b_dec };
    },
  ),
  wrong(
    'gradients',
    'a detached residual gets gradient',
    'gradients',
    'gradients',
    (right) => (f, params, p, c, d) =>
      right(f, params, p, c, { ...d, auxk: { ...d.auxk, residual: 'attached' } }),
  ),
  wrong(
    'gradients',
    'rows weigh alike under a tilt',
    'gradients',
    'gradients',
    (right) => (f, params, p, c, d) =>
      right(f, params, p, c, { ...d, loss: { ...d.loss, tilt: 0 } }),
  ),
  wrong(
    'gradients',
    'a refinement is taken for a constant',
    'gradients',
    'gradients',
    (right) => (f, params, p, c, d) => right({ ...f, refinement: null }, params, p, c, d),
  ),
  wrong(
    'gradients',
    'the last weight for every level',
    'gradients',
    'gradients',
    (right) => (f, params, p, c, d) =>
      right(
        f,
        params,
        p,
        c.map(() => c[c.length - 1]),
        d,
      ),
  ),
  wrong(
    'gradients',
    'the penalty does not reach W_dec',
    'gradients',
    'gradients',
    (right) => (f, params, p, c, d) => {
      if (f.penalty === undefined) return right(f, params, p, c, d);
      const { penalty, coefficient } = f.penalty;
      const none = { ...penalty, W_dec: scaled(penalty.W_dec, 0) };
      return right({ ...f, penalty: { penalty: none, coefficient } }, params, p, c, d);
    },
  ),
  wrong(
    'decoder norm',
    'ε inside the root',
    'decoderNorm',
    'normaliseRows',
    () => (W, epsilon) => ({
      ...W,
      data: W.data.map((w, i) => {
        const start = Math.floor(i / W.cols) * W.cols;
        const row = W.data.subarray(start, start + W.cols);
        return w / Math.sqrt(row.reduce((sum, value) => sum + value * value, epsilon));
      }),
    }),
  ),
  wrong(
    'gradient norm and clipping',
    'without 1e-6',
    'adam',
    'clipGradients',
    (right) => (g, maxNorm) => {
      const norm = reference.adam.gradientNorm(g);
      return right(g, norm === 0 ? maxNorm : (maxNorm * (norm + 1e-6)) / norm);
    },
  ),
  wrong(
    'learning rate',
    'one step late',
    'adam',
    'learningRate',
    (right) => (step, schedule, d) => right(step + 1, schedule, d),
  ),
  wrong(
    'Adam',
    'bias corrections of the step before',
    'adam',
    'adamUpdate',
    (right) => (p, g, m, v, step, rate, d) => right(p, g, m, v, step + 1, rate, d),
  ),
  wrong(
    'geometric median',
    'one round more',
    'geometricMedian',
    'geometricMedian',
    (right) => (points) => reference.geometricMedian.weiszfeld(points, right(points)),
  ),
  wrong(
    'JumpReLU',
    'a value on the threshold passes',
    'jumpRelu',
    'jumpRelu',
    () => (pre, threshold) => ({
      ...pre,
      data: pre.data.map((z, i) => (z >= threshold[i % pre.cols] ? z : 0)),
    }),
  ),
  wrong(
    'JumpReLU',
    'the window is closed',
    'jumpRelu',
    'stepGradient',
    (right) => (z, t, dy, d) =>
      right(z, t, dy, {
        ...d,
        jumpRelu: { ...d.jumpRelu, bandwidth: d.jumpRelu.bandwidth * (1 + 2 ** -50) },
      }),
  ),
  wrong(
    'training step',
    'clipped before it is projected',
    'trainStep',
    'trainStep',
    (right) => (state, x, config, draws) => {
      const { dialect } = config;
      const { project } = dialect.decoderNorm;
      const late = project === 'before-clip' ? 'after-clip' : project;
      return right(
        state,
        x,
        {
          ...config,
          dialect: { ...dialect, decoderNorm: { ...dialect.decoderNorm, project: late } },
        },
        draws,
      );
    },
  ),
  wrong(
    'inference',
    'input scaled twice',
    'infer',
    'infer',
    (right) => (x, params, threshold, d, meanNorm) =>
      right(scaled(x, 2), params, threshold, d, meanNorm),
  ),
];
