import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { specs } from '../../conformance/kernels/all.ts';
import { runLaws } from '../../conformance/run.ts';
import { download, type Values } from '../../gpu/threads/blocks.ts';
import {
  noHint,
  selectBatch,
  selectRows,
  type Input,
  type Rows,
} from '../../gpu/threads/encode.ts';
import { openEngine, type Engine } from '../../gpu/threads/engine.ts';
import { memoryNeeded, requireFits } from '../../gpu/threads/memory.ts';
import { threadsKernels } from '../../gpu/threads/operators.ts';
import type { Products } from '../../gpu/threads/products.ts';
import { stateFrom } from '../../gpu/threads/state.ts';
import { createTrainer } from '../../gpu/threads/trainer.ts';
import { trainStep } from '../../gpu/threads/train-step.ts';
import { dialectNamed, type Dialect } from '../../reference/dialects.ts';
import { matrix, type Matrix } from '../../reference/matrix.ts';
import type { SaeParams } from '../../reference/params.ts';
import { batchTopK, selectionCount, topK } from '../../reference/select.ts';
import { trainConfig } from '../../reference/train-config.ts';
import * as reference from '../../reference/train-step.ts';
import type { TrainConfig } from '../../reference/train-step.ts';
import { createRng } from '../../synthetic/rng.ts';
import { randomMatrix } from './bounds.ts';
import { requireClose, requireCloseParams, rows, runs, updated } from './step-cases.ts';

const engines: Engine[] = [];
afterAll(() => Promise.all(engines.map((engine) => engine.close())));

/** Small chunks and threads that are always woken, so that few rows take the ways of many. */
function engineWith(threads: number, products: Products | null = null): Engine {
  const engine = openEngine({ threads, products, chunkRows: 3, chunkPanels: 1, little: 0 });
  engines.push(engine);
  return engine;
}

test('the compiled kernels are those of kernels/', () => {
  const script = fileURLToPath(new URL('../../gpu/threads/build-kernels.mjs', import.meta.url));
  expect(() => execFileSync(process.execPath, [script, '--check'])).not.toThrow();
}, 60_000);

test.each([0, 1.5, NaN])('an engine of %s threads is refused', (threads) => {
  expect(() => openEngine({ threads })).toThrow(`threads: expected a whole number >= 1`);
});

/** A library that multiplies as one reads it. */
function plainProducts(): Products & { readonly calls: () => number } {
  let calls = 0;
  return {
    name: 'plain products',
    from: 0,
    flushesSubnormals: false,
    calls: () => calls,
    multiply(a, b, out, transpose) {
      calls++;
      const rows = transpose === 'a' ? a.cols : a.rows;
      const cols = transpose === 'b' ? b.rows : b.cols;
      const inner = transpose === 'a' ? a.rows : a.cols;
      for (let i = 0; i < rows; i++) {
        for (let j = 0; j < cols; j++) {
          let sum = 0;
          for (let l = 0; l < inner; l++) {
            const left = a.data[transpose === 'a' ? l * a.cols + i : i * a.cols + l];
            sum += left * b.data[transpose === 'b' ? j * b.cols + l : l * b.cols + j];
          }
          out[i * cols + j] = sum;
        }
      }
    },
  };
}

test('every law holds without fused operations too', async () => {
  const { kernels, close } = threadsKernels({ threads: 2, allowFused: false });
  const results = await runLaws(specs, kernels, { runs: 20, seed: 5 });
  close();
  expect(results.filter(({ outcome }) => outcome !== 'pass')).toEqual([]);
}, 60_000);

test('every law holds with the large products made by a library', async () => {
  const products = plainProducts();
  const { kernels, close } = threadsKernels({ threads: 2, products });
  const results = await runLaws(specs, kernels, { runs: 40, seed: 6 });
  close();
  expect(results.filter(({ outcome }) => outcome !== 'pass')).toEqual([]);
  expect(products.calls()).toBeGreaterThan(0);
}, 60_000);

describe('selection finds the K largest, whatever it guesses', () => {
  const engine = engineWith(2);

  function knownActs(acts: Matrix): Input {
    const known = engine.alloc(acts.data.length * 4);
    engine.f32(known, acts.data.length).set(acts.data);
    const nothing = { centred: 0, d_in: 1, stride: 4, W_enc: 0, b_enc: 0, norms: 0 };
    return { ...nothing, rows: acts.rows, latents: acts.cols, known };
  }

  function dense(chosen: Rows, cols: number): Float64Array {
    const out = new Float64Array(chosen.rows * cols);
    const start = engine.i32(chosen.start, chosen.rows + 1);
    for (let row = 0; row < chosen.rows; row++) {
      for (let e = start[row]; e < start[row + 1]; e++) {
        out[row * cols + engine.i32(chosen.latent, chosen.count)[e]] = engine.f32(
          chosen.value,
          chosen.count,
        )[e];
      }
    }
    return out;
  }

  const { uniform } = createRng(21);
  const normal = (): number =>
    Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(6.283 * uniform());
  const worlds: Readonly<Record<string, (i: number) => number>> = {
    'bell-shaped acts': () => Math.max(0, normal()),
    'all acts equal': () => 1,
    'all acts zero': () => 0,
    'three values only': () => Math.floor(3 * uniform()),
    'one row holds all that is large': (i) => (i < 300 ? 10 + uniform() : uniform()),
    'acts from 1e-38 to 1e34': () => 10 ** (72 * uniform() - 38),
  };

  test.each(Object.entries(worlds))('%s', (_name, act) => {
    // Hints of the batch before are used for one whose acts are a thousand times as large, or as small.
    const hint = noHint();
    for (const [k, factor] of [
      [0, 1],
      [0.3, 1],
      [4, 1000],
      [4, 1e-3],
      [40, 1],
      [299, 1],
      [300, 1],
    ]) {
      const mark = engine.mark();
      const data = Float64Array.from({ length: 70 * 300 }, (_, i) => Math.fround(factor * act(i)));
      const acts = matrix(70, 300, data);
      const chosen = selectBatch(engine, knownActs(acts), selectionCount(k, 70, 300), hint);
      expect(dense(chosen, 300)).toEqual(batchTopK(acts, k).data);
      const each = selectRows(engine, knownActs(acts), Math.ceil(k));
      expect(dense(each, 300)).toEqual(topK(acts, Math.ceil(k)).data);
      engine.release(mark);
    }
  });
});

const valuesOf = ({ W_enc, b_enc, W_dec, b_dec }: SaeParams): Values => ({
  W_enc: W_enc.data,
  b_enc,
  W_dec: W_dec.data,
  b_dec,
});

function paramsOf(
  { d_in, d_sae }: { readonly d_in: number; readonly d_sae: number },
  values: Readonly<Record<keyof SaeParams & keyof Values, Float32Array>>,
): SaeParams {
  return {
    W_enc: matrix(d_in, d_sae, Float64Array.from(values.W_enc)),
    b_enc: Float64Array.from(values.b_enc),
    W_dec: matrix(d_sae, d_in, Float64Array.from(values.W_dec)),
    b_dec: Float64Array.from(values.b_dec),
  };
}

const rounded = (params: SaeParams): SaeParams => ({
  W_enc: { ...params.W_enc, data: params.W_enc.data.map(Math.fround) },
  b_enc: params.b_enc.map(Math.fround),
  W_dec: { ...params.W_dec, data: params.W_dec.data.map(Math.fround) },
  b_dec: params.b_dec.map(Math.fround),
});

const saelens = dialectNamed('saelens');
const eachLevel: Dialect = { ...saelens, auxk: { ...saelens.auxk, levels: 'each' } };
const detachedLevels: Dialect = {
  ...saelens,
  loss: { ...saelens.loss, emptyPrefix: true, innerLevels: 'detached' },
};
/** Of our own kernels alone: the port knows no loss for each level, and no detached ones. */
const ownRuns: Readonly<Record<string, TrainConfig>> = {
  ...runs,
  'an auxiliary loss for each level': trainConfig({
    d_in: 16,
    d_sae: 48,
    steps: 200,
    prefixes: [7, 20, 48],
    warmupSteps: 4,
    dialect: eachLevel,
    k: 0.9,
    deadAfter: 3,
    thresholdStartStep: 2,
  }),
  'detached inner levels': trainConfig({
    d_in: 16,
    d_sae: 48,
    steps: 200,
    prefixes: [7, 20, 48],
    warmupSteps: 4,
    dialect: detachedLevels,
    k: 0.9,
    deadAfter: 3,
    thresholdStartStep: 2,
  }),
};
const makers = { 'own products': null, 'a library’s': plainProducts() };

test.each(
  Object.entries(ownRuns).flatMap(([name, config]) =>
    Object.entries(makers).map(([maker, products]) => [name, maker, config, products] as const),
  ),
)(
  'steps agree with the reference, each from the state it reached: %s, %s',
  (name, _maker, config, products) => {
    const engine = engineWith(2, products);
    const { uniform } = createRng(11).split(name);
    let state = reference.initialState(config, uniform);
    let deadSeen = 0;
    const start = engine.mark();
    for (let step = 0; step < 30; step++) {
      const x = randomMatrix(rows, config.d_in, uniform);
      const held: reference.TrainState = {
        ...state,
        params: rounded(state.params),
        m: rounded(state.m),
        v: rounded(state.v),
        threshold: Math.fround(state.threshold),
      };
      const own = stateFrom(engine, config.d_in, config.d_sae, {
        ...held,
        params: valuesOf(held.params),
        m: valuesOf(held.m),
        v: valuesOf(held.v),
      });
      const got = trainStep(engine, own, Float32Array.from(x.data), config);
      const want = reference.trainStep(held, x, config);
      const at = `step ${step}: `;
      requireClose(`${at}levels`, got.levelLosses, want.levelLosses);
      requireClose(`${at}loss`, Float64Array.of(got.loss), Float64Array.of(want.loss));
      requireClose(
        `${at}norm`,
        Float64Array.of(got.gradientNorm),
        Float64Array.of(want.gradientNorm),
      );
      expect(got.deadLatents).toEqual(want.dead);
      expect(got.l0).toBe(want.latents.data.filter((value) => value > 0).length / rows);
      const [params, m, v] = [own.params, own.m, own.v].map((blocks) =>
        paramsOf(config, download(engine, own.sizes, blocks)),
      );
      requireCloseParams(`${at}m`, m, want.state.m);
      requireCloseParams(`${at}v`, v, want.state.v);
      const expected = updated(held.params, m, v, step, want.learningRate, config.dialect);
      if (step === 0) expected.b_dec.set(want.state.params.b_dec);
      requireCloseParams(`${at}params`, params, expected);
      requireClose(
        `${at}threshold`,
        Float64Array.of(own.threshold),
        Float64Array.of(want.state.threshold),
      );
      expect(Float64Array.from(own.sinceFired)).toEqual(want.state.sinceFired);
      deadSeen += want.dead.reduce((sum, flag) => sum + flag, 0);
      state = want.state;
      engine.release(start);
    }
    expect(deadSeen > 0).toBe(name !== 'BatchTopK, none dead');
  },
);

const published = ['dictionary_learning', 'saelens', 'paper'] as const;

/** Bits after some steps, with batches that differ in length. */
function trained(engine: Engine, dialect: string, threads: number): unknown {
  const config = trainConfig({
    dialect: dialectNamed(dialect),
    d_in: 21,
    d_sae: 130,
    k: 3.3,
    steps: 50,
    prefixes: [10, 60, 130],
    deadAfter: dialect === 'saelens' ? 3 : 90,
    thresholdStartStep: 4,
    warmupSteps: 3,
  });
  const { uniform } = createRng(31);
  const trainer = createTrainer(engine, config, reference.initialState(config, uniform));
  const reports = Array.from({ length: 20 }, (_, i) => {
    const x = Float32Array.from({ length: (40 + (i % 3)) * 21 }, () => 2 * uniform() - 1);
    return trainer.step(x);
  });
  expect(reports.some(({ dead }) => dead > 0)).toBe(true);
  expect(engine.threads).toBe(threads);
  return { state: trainer.state(), reports };
}

test.each(published)('results are the same bits on one thread and on three: %s', (dialect) => {
  const [one, three] = [1, 3].map((threads) => trained(engineWith(threads), dialect, threads));
  expect(three).toEqual(one);
});

test('a thousand steps leave no memory behind, and closing ends the threads', async () => {
  const engine = openEngine({ threads: 2, little: 0 });
  const config = trainConfig({
    d_in: 8,
    d_sae: 24,
    k: 2,
    steps: 2000,
    prefixes: [6, 24],
    deadAfter: 40,
  });
  const { uniform } = createRng(41);
  const trainer = createTrainer(engine, config, reference.initialState(config, uniform));
  const x = Float32Array.from({ length: 30 * 8 }, () => 2 * uniform() - 1);
  trainer.step(x);
  const mark = engine.mark();
  for (let step = 0; step < 1000; step++) {
    trainer.step(x);
    if (step % 100 === 0) trainer.infer(x, 'threshold');
  }
  expect(engine.mark()).toBe(mark);
  await trainer.close();
});

test('a step that is refused leaves the state as it was', () => {
  const engine = engineWith(2);
  const config = trainConfig({
    d_in: 4,
    d_sae: 10,
    k: 1,
    steps: 9,
    prefixes: [10],
    warmupSteps: 2,
  });
  const { uniform } = createRng(51);
  const trainer = createTrainer(engine, config, reference.initialState(config, uniform));
  trainer.step(Float32Array.from({ length: 20 }, uniform));
  const before = trainer.state();
  const bad = Float32Array.from({ length: 20 }, uniform);
  bad[6] = NaN;
  expect(() => trainer.step(bad)).toThrow('x: expected finite values, got NaN in row 1, column 2');
  expect(() => trainer.step(new Float32Array(7))).toThrow('expected rows of d_in = 4');
  expect(() => trainer.step(new Float32Array(0))).toThrow('expected rows of d_in = 4');
  expect(trainer.state()).toEqual(before);
});

test.each([
  [64, 4096, 512, 8, false, false],
  [64, 4096, 512, 8, true, false],
  [64, 4096, 512, 8, true, true],
  [16, 200, 4096, 40, false, false],
])(
  'a run needs no more memory than is said: d_in %s, d_sae %s, %s rows, k %s, dead %s, library %s',
  (d_in, d_sae, n, k, dead, library) => {
    const { uniform } = createRng(61);
    const noise: Products = {
      name: 'numbers that are no products',
      from: 0,
      flushesSubnormals: false,
      multiply: (_a, _b, out) => out.forEach((_, i) => (out[i] = 2 * uniform() - 1)),
    };
    const engine = openEngine({ threads: 2, products: library ? noise : null });
    engines.push(engine);
    const prefixes = [d_sae / 4, d_sae / 2, d_sae];
    const config = trainConfig({
      d_in,
      d_sae,
      k,
      steps: 99,
      prefixes,
      warmupSteps: 2,
      ...(dead && { deadAfter: n }),
    });
    const trainer = createTrainer(engine, config, reference.initialState(config, uniform));
    const x = Float32Array.from({ length: n * d_in }, () => 2 * uniform() - 1);
    const reports = Array.from({ length: 4 }, () => trainer.step(x));
    expect(reports.some((report) => report.dead > 0)).toBe(dead);
    const { state, batch } = memoryNeeded(config, n, 2, library);
    const grain = 2 ** 23; // memory grows by megabytes
    expect(engine.size()).toBeLessThanOrEqual(state + batch + grain);
    expect(engine.size() + grain).toBeGreaterThan(state);
  },
);

test('a run beyond 4 GiB is refused, and says what it would need', () => {
  const config = trainConfig({
    d_in: 2304,
    d_sae: 65536,
    k: 40,
    steps: 9,
    prefixes: [65536],
    warmupSteps: 2,
  });
  expect(() => requireFits(config, 2048, 2)).toThrow(
    /needs 4\.5 GiB of parameters.*for batches of 2048 rows/,
  );
  expect(() => requireFits({ ...config, d_in: 768, d_sae: 32768 }, 2048, 2)).not.toThrow();
});

test('what memory cannot hold is refused before anything is allocated', () => {
  const engine = engineWith(1);
  expect(() => engine.alloc(5 * 2 ** 30)).toThrow('expected at most 4 GiB');
  expect(engine.alloc(64)).toBeGreaterThan(0);
});

test('squares that float32 cannot hold are summed in float64', () => {
  const engine = engineWith(1);
  const at = engine.alloc(8 * 4);
  engine.f32(at, 8).set([3e30, 4e30, 0, 0, 0, 0, 0, 0]);
  expect(Math.sqrt(engine.kernels.sumOfSquares(at, 8))).toBeCloseTo(5e30, -24);
  engine.f32(at, 8).fill(2);
  expect(engine.kernels.sumOfSquares(at, 8)).toBe(32);
  engine.f32(at, 8)[5] = NaN;
  expect(engine.kernels.sumOfSquares(at, 8)).toBeNaN();
});
