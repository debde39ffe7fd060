/**
 * Rows of synth-firing.ts from kernels/rows.ts, WebAssembly: the same bits for the same seed, several times faster.
 * @module
 */
import { stateOf, type RngState } from '../rng.ts';
import { candidateTables, GROUP } from './candidates.ts';
import { rows as binary } from './kernels.generated.ts';
import { upperTail } from './normal.ts';
import { freeFeatures, inFours, synthRows, type SynthFiring } from './synth-firing.ts';
import { TAIL_LIMIT, TAIL_STEPS, upperTails } from './tail-table.ts';
import type { Place, World } from './world.ts';

/** Fewer products than this are drawn as fast without, and worlds of tests by the hundred need no memory of their own. */
const LEAST_PRODUCTS = 1024;

/** Numbers of a feature before its row of U. */
const HEAD = 6;

/** Features that are screened at a time. */
const SCREENED = 16;

const PAGE = 65536;

/** Rows of x that are drawn at a time, in bytes at most. */
const BLOCK = 2 ** 18;

/** Rows drawn in a world's memory. */
interface Memory {
  /** Four words of the generator and, in `spare`, its normal. */
  readonly words: Int32Array;
  readonly spare: Float64Array;
  readonly on: Int32Array;
  readonly activation: Float64Array;
  /** How many are on. */
  readonly draw: () => number;
  /** (block, d_in). */
  readonly x: Float64Array;
  /** Writes so many rows of x. */
  readonly drawX: (rows: number) => void;
}

/** Streams of a world's rows, drawn in one memory, or two with x: each takes address space by the gigabyte. */
export function compiledRows(firing: SynthFiring): Required<Pick<World, 'firing' | 'rows'>> {
  const { thresholds, correlation } = firing;
  const pays = thresholds.length * correlation.rank >= LEAST_PRODUCTS;
  let memory: Memory | undefined;
  let withX: { readonly memory: Memory; readonly of: Place } | undefined;
  return {
    firing(rng) {
      const state = stateOf(rng);
      if (!pays || state === undefined) return synthRows(firing, rng);
      return (fire) => {
        memory ??= memoryOf(firing);
        const { on, activation, draw } = memory;
        const count = withState(state, memory, draw);
        for (let i = 0; i < count; i++) fire(on[i], activation[i]);
      };
    },
    rows(rng, place) {
      const state = stateOf(rng);
      if (!pays || state === undefined) return null;
      withX ??= { memory: memoryOf(firing, place), of: place };
      const { memory, of } = withX;
      if (of.directions !== place.directions || of.bias !== place.bias) return null;
      return (to) => {
        const block = Math.floor(memory.x.length / to.cols);
        for (let start = 0; start < to.rows; start += block) {
          const rows = Math.min(block, to.rows - start);
          withState(state, memory, () => memory.drawX(rows));
          to.data.set(memory.x.subarray(0, rows * to.cols), start * to.cols);
        }
      };
    },
  };
}

/** Draws with the stream's numbers, and moves it on. */
function withState<T>(state: RngState, { words, spare }: Memory, draw: () => T): T {
  for (let i = 0; i < 4; i++) words[i] = state.words[i];
  spare[0] = state.spare[0];
  const drawn = draw();
  for (let i = 0; i < 4; i++) state.words[i] = words[i];
  state.spare[0] = spare[0];
  return drawn;
}

let compiled: WebAssembly.Module | undefined;

/** @param place - where rows of x are wanted too. */
function memoryOf(firing: SynthFiring, place?: Place): Memory {
  const { thresholds, correlation, forest, scaleChildren } = firing;
  const features = thresholds.length;
  const { members, groups, grid, rates, logMisses } = candidateTables(
    freeFeatures(features, forest),
    thresholds,
    correlation,
  );
  const { width: products, half, records } = recordsOf(firing);

  let top = 256; // fields come first
  const parts: (() => void)[] = [];
  const room = (bytes: number): number => {
    const at = top;
    top = Math.ceil((top + bytes) / 16) * 16;
    return at;
  };
  const put = (values: Float64Array | Float32Array | Int32Array | Uint8Array): number => {
    const at = room(values.byteLength);
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    parts.push(() => new Uint8Array(memory.buffer, at).set(bytes));
    return at;
  };
  const roots = Int32Array.from({ length: forest.roots }, (_, root) => root);
  const on = room(features * 4);
  const activation = room(features * 8);
  const d_in = place?.d_in ?? 0;
  const block = place ? Math.max(1, Math.floor(BLOCK / (8 * d_in))) : 0;
  const x = room(block * d_in * 8);
  const bias = put(place?.bias ?? new Float64Array(0));
  const directions = put(place?.directions.data ?? new Float64Array(0));
  const fields = [
    put(records),
    (HEAD + products) * 8,
    products * 8,
    half * 8,
    room(products * 8),
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
    room(correlation.rank * 4),
    put(screensOf(firing, roots)),
    put(screensOf(firing, members)),
    put(Float64Array.of(1, ...upperTails.subarray(1))),
    room(Math.max(roots.length, GROUP) * 4 + 64),
    on,
    activation,
  ];
  const pages = Math.ceil(top / PAGE);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  for (const part of parts) part();
  new Int32Array(memory.buffer).set(fields, 6);

  compiled ??= new WebAssembly.Module(Buffer.from(binary, 'base64'));
  const { drawRow, drawRows } = new WebAssembly.Instance(compiled, {
    env: { memory },
    rows: { log: Math.log, upperTail },
  }).exports as {
    drawRow: (world: number) => number;
    drawRows: (...world: readonly number[]) => void;
  };
  return {
    words: new Int32Array(memory.buffer, 0, 4),
    spare: new Float64Array(memory.buffer, 16, 1),
    on: new Int32Array(memory.buffer, on, features),
    activation: new Float64Array(memory.buffer, activation, features),
    draw: () => drawRow(0),
    x: new Float64Array(memory.buffer, x, block * d_in),
    drawX: (rows) => drawRows(0, x, rows, d_in * 8, directions, bias),
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
