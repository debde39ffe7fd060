/**
 * Rows of synth-firing.ts from kernels/rows.ts, WebAssembly: the same bits for the same seed, several times faster.
 * @module
 */
import { stateOf, type Rng } from '../rng.ts';
import { candidateTables, GROUP } from './candidates.ts';
import { rows as binary } from './kernels.generated.ts';
import { upperTail } from './normal.ts';
import { freeFeatures, inFours, synthRows, type SynthFiring } from './synth-firing.ts';
import { TAIL_LIMIT, TAIL_STEPS, upperTails } from './tail-table.ts';
import type { FireRow } from './world.ts';

/** Fewer products than this are drawn as fast without, and worlds of tests by the hundred need no memory of their own. */
const LEAST_PRODUCTS = 1024;

/** Numbers of a feature before its row of U. */
const HEAD = 6;

/** Features that are screened at a time. */
const SCREENED = 16;

const PAGE = 65536;

/** A row drawn in a world's memory. */
interface Memory {
  /** Four words of the generator and, in `spare`, its normal. */
  readonly words: Int32Array;
  readonly spare: Float64Array;
  readonly on: Int32Array;
  readonly activation: Float64Array;
  /** How many are on. */
  readonly draw: () => number;
}

/** Streams of a world's rows, all drawn in one memory: each takes address space by the gigabyte. */
export function compiledRows(firing: SynthFiring): (rng: Rng) => FireRow {
  const { thresholds, correlation } = firing;
  const pays = thresholds.length * correlation.rank >= LEAST_PRODUCTS;
  let memory: Memory | undefined;
  return (rng) => {
    const state = stateOf(rng);
    if (!pays || state === undefined) return synthRows(firing, rng);
    memory ??= memoryOf(firing);
    const { words, spare, on, activation, draw } = memory;
    return (fire) => {
      for (let i = 0; i < 4; i++) words[i] = state.words[i];
      spare[0] = state.spare[0];
      const count = draw();
      for (let i = 0; i < 4; i++) state.words[i] = words[i];
      state.spare[0] = spare[0];
      for (let i = 0; i < count; i++) fire(on[i], activation[i]);
    };
  };
}

let compiled: WebAssembly.Module | undefined;

function memoryOf(firing: SynthFiring): Memory {
  const { thresholds, correlation, forest, scaleChildren } = firing;
  const features = thresholds.length;
  const { members, groups, grid, rates, logMisses } = candidateTables(
    freeFeatures(features, forest),
    thresholds,
    correlation,
  );
  const { width, half, records } = recordsOf(firing);

  let top = 256; // fields come first
  const parts: (() => void)[] = [];
  const place = (bytes: number): number => {
    const at = top;
    top = Math.ceil((top + bytes) / 16) * 16;
    return at;
  };
  const put = (values: Float64Array | Float32Array | Int32Array | Uint8Array): number => {
    const at = place(values.byteLength);
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    parts.push(() => new Uint8Array(memory.buffer, at).set(bytes));
    return at;
  };
  const roots = Int32Array.from({ length: forest.roots }, (_, root) => root);
  const on = place(features * 4);
  const activation = place(features * 8);
  const fields = [
    put(records),
    (HEAD + width) * 8,
    width * 8,
    half * 8,
    place(width * 8),
    correlation.rank * 8,
    // One more, 0: where t + 8 is rounded up to 16.
    put(Float64Array.of(...upperTails, 0)),
    forest.roots,
    Number(scaleChildren),
    put(forest.firstChild),
    put(forest.childCount),
    put(forest.exclusive),
    put(members),
    members.length,
    groups,
    grid,
    put(rates),
    put(logMisses),
    put(roots),
    place(correlation.rank * 4),
    put(screensOf(firing, roots)),
    put(screensOf(firing, members)),
    put(Float64Array.of(1, ...upperTails.subarray(1))),
    place(Math.max(roots.length, GROUP) * 4 + 64),
    on,
    activation,
  ];
  const pages = Math.ceil(top / PAGE);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  for (const part of parts) part();
  new Int32Array(memory.buffer).set(fields, 6);

  compiled ??= new WebAssembly.Module(Buffer.from(binary, 'base64'));
  const { drawRow } = new WebAssembly.Instance(compiled, {
    env: { memory },
    rows: { log: Math.log, upperTail },
  }).exports as { drawRow: (world: number) => number };
  return {
    words: new Int32Array(memory.buffer, 0, 4),
    spare: new Float64Array(memory.buffer, 16, 1),
    on: new Int32Array(memory.buffer, on, features),
    activation: new Float64Array(memory.buffer, activation, features),
    draw: () => drawRow(0),
  };
}

/** What a product needs of a feature lies together: threshold, own part, |U| of the second half, mean, deviation, U. */
function recordsOf({ thresholds, correlation, mean, sd }: SynthFiring): {
  readonly width: number;
  readonly half: number;
  readonly records: Float64Array;
} {
  const { width, half, factor, rest } = inFours(correlation, thresholds.length);
  const records = new Float64Array(thresholds.length * (HEAD + width));
  thresholds.forEach((threshold, f) => {
    const at = f * (HEAD + width);
    records.set([threshold, correlation.own[f], rest[f], mean[f], sd[f]], at);
    records.set(factor.subarray(f * width, (f + 1) * width), at + HEAD);
  });
  return { width, half, records };
}

/**
 * What float32 needs for the cell of the tail table that (t - U·ε) / √δ falls in: by blocks of SCREENED features, the cell
 * for ε = 0 of each, then what each shared normal takes from it. The cell comes out too low rather than too high.
 */
function screensOf(
  { thresholds, correlation: { rank, factor, own } }: SynthFiring,
  features: Int32Array,
): Float32Array {
  // Of 128 |U| |ε| / √δ, where |U| / √δ is 10 at most and |ε| on the grid of candidates.ts.
  const most = 10 * TAIL_STEPS * (Math.sqrt(rank) + 10);
  const screens = new Float32Array(Math.ceil(features.length / SCREENED) * SCREENED * (rank + 1));
  features.forEach((f, i) => {
    const start = Math.floor(i / SCREENED) * SCREENED * (rank + 1) + (i % SCREENED);
    const cell = (thresholds[f] / own[f] + TAIL_LIMIT) * TAIL_STEPS;
    // Above what rounding rank + 1 terms of a sum can do; a cell that is infinite stays so.
    const margin = 0.5 + (rank + 4) * 2 ** -23 * (Math.min(Math.abs(cell), 1e5) + most);
    screens[start] = cell - margin;
    for (let r = 0; r < rank; r++) {
      screens[start + (r + 1) * SCREENED] = (factor[f * rank + r] / own[f]) * TAIL_STEPS;
    }
  });
  return screens;
}
