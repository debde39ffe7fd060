/**
 * Own kernels, compiled to WebAssembly, on every processor of the machine: one shared memory, worker threads that take
 * chunks of a phase until none is left, and the calling thread as one of them. Chunks do not depend on the number of
 * threads, and neither does any sum, so that results are the same bits on one thread and on sixteen.
 * @module
 */
import { cpus } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import { plain, relaxed } from './kernels.generated.ts';
import type { Products } from './products.ts';

/** A phase takes its task, the chunk to do and the thread that does it. */
const phases = [
  'centreRows',
  'encodeAbove',
  'encodeTop',
  'encodeDense',
  'scanAbove',
  'decodeRows',
  'errorRows',
  'suffixRows',
  'errorColumns',
  'gatherDead',
  'unpanel',
  'addBias',
  'spreadRows',
  'gatherColumns',
  'missRows',
  'latentGradients',
  'updateLatents',
  'packTiles',
  'addGram',
  'addProduct',
] as const;

export type Phase = (typeof phases)[number];

interface Exports extends Record<Phase, (task: number, chunk: number, thread: number) => void> {
  gatherRows(task: number): number;
  byLatent(task: number): void;
  sumOfSquares(a: number, n: number): number;
  adam(task: number, p: number, m: number, v: number, g: number, n: number): void;
  normaliseRow(row: number, epsilon: number, n: number): void;
  projectRow(gradient: number, row: number, epsilon: number, n: number): void;
}

/** A field of a task: a whole number or an address, or a float32 marked by {@link float}. */
export type Field = number | { readonly float: number };

export const float = (value: number): Field => ({ float: value });

export interface EngineOptions {
  /** How many compute, the calling one included. */
  readonly threads: number;
  /** false leaves products and sums apart, as on machines without a fused operation. */
  readonly allowFused?: boolean;
  /** Rows of a chunk: a multiple of the 3 of a tile. Sums over rows are kept by chunk. */
  readonly chunkRows?: number;
  /** Panels of a chunk of latents. */
  readonly chunkPanels?: number;
  /** Operations that cost less than waking a thread. */
  readonly little?: number;
  readonly products?: Products | null;
}

export interface Engine {
  readonly threads: number;
  readonly chunkRows: number;
  readonly chunkPanels: number;
  readonly little: number;
  /** Whether products and sums are fused: one rounding for both. */
  readonly fused: boolean;
  readonly kernels: Exports;
  /** A library for the large dense products; null for own ones. */
  products: Products | null;
  /** Address of so many bytes, each 0 only until they are used again. @throws {@link RangeError} beyond 4 GiB. */
  alloc(bytes: number): number;
  /** What was allocated after the mark is free again. */
  mark(): number;
  release(mark: number): void;
  /** Bytes of memory so far; it never shrinks. */
  size(): number;
  /** Views of the memory, valid until the next allocation. */
  f32(at: number, length: number): Float32Array;
  f64(at: number, length: number): Float64Array;
  i32(at: number, length: number): Int32Array;
  u8(at: number, length: number): Uint8Array;
  /** A task in memory: its fields in the order of its class. */
  task(fields: readonly Field[]): number;
  /** Runs every chunk. @param work - about how many operations it is: a little is not worth waking threads for. */
  each(phase: Phase, task: number, chunks: number, work: number): void;
  close(): Promise<void>;
}

// The first bytes of the memory direct the threads.
const GENERATION = 0;
const PHASE = 1;
const TASK = 2;
const CHUNKS = 3;
const NEXT = 4;
const DONE = 5;
const FAILED = 6;
const HEADER = 256;

const PAGE = 65536;
const MOST_PAGES = 65536;
const PATIENCE = 600_000;

/** What a worker runs; plain JavaScript, so that it starts at once, from sources as from compiled files. */
const worker = `
const { workerData: { module, memory, thread, names } } = require('node:worker_threads');
const abort = () => { throw new Error('abort'); };
const kernels = new WebAssembly.Instance(module, { env: { memory, abort } }).exports;
const control = new Int32Array(memory.buffer, 0, 16);
const runs = names.map((name) => kernels[name]);
let seen = 0;
for (;;) {
  for (let spins = 0; Atomics.load(control, ${GENERATION}) === seen; ) {
    if (++spins > 3000) Atomics.wait(control, ${GENERATION}, seen);
  }
  seen = Atomics.load(control, ${GENERATION});
  if (control[${CHUNKS}] < 0) break;
  try {
    const run = runs[control[${PHASE}]];
    for (;;) {
      const chunk = Atomics.add(control, ${NEXT}, 1);
      if (chunk >= control[${CHUNKS}]) break;
      run(control[${TASK}], chunk, thread);
    }
  } catch {
    Atomics.store(control, ${FAILED}, 1);
  }
  Atomics.add(control, ${DONE}, 1);
  Atomics.notify(control, ${DONE});
}
`;

/** @throws {@link RangeError} on a number of threads that is none. */
export function openEngine({
  threads,
  allowFused = true,
  chunkRows = 48,
  chunkPanels = 4,
  little = 400_000,
  products = null,
}: EngineOptions): Engine {
  if (!Number.isInteger(threads) || threads < 1) {
    throw new RangeError(`threads: expected a whole number >= 1, got ${threads}`);
  }
  const { module, fused } = compile(allowFused);
  const memory = new WebAssembly.Memory({ initial: 16, maximum: MOST_PAGES, shared: true });
  const abort = (): never => {
    throw new Error('a kernel gave up');
  };
  const kernels = new WebAssembly.Instance(module, { env: { memory, abort } })
    .exports as unknown as Exports;
  const control = new Int32Array(memory.buffer, 0, 16);
  const others = threads - 1;
  const workers = startWorkers(others, { module, memory, names: phases });
  let top = HEADER;
  let buffer = memory.buffer;

  const run = (phase: Phase, task: number, chunks: number): void => {
    for (let chunk = 0; chunk < chunks; chunk++) kernels[phase](task, chunk, 0);
  };

  const alloc = (bytes: number): number => {
    const at = top;
    top = Math.ceil((top + bytes) / 64) * 64;
    const pages = Math.ceil(top / PAGE);
    const missing = pages - buffer.byteLength / PAGE;
    if (missing > 0) {
      if (pages > MOST_PAGES) {
        top = at;
        throw new RangeError(
          `threads: expected at most 4 GiB of parameters, moments, gradients and batch, needs ${(pages / 16384).toFixed(1)} GiB`,
        );
      }
      // In larger steps: memory that grew cannot shrink, and views are made anew each time.
      memory.grow(Math.min(Math.max(missing, 64), MOST_PAGES - buffer.byteLength / PAGE));
      buffer = memory.buffer;
    }
    return at;
  };

  return {
    threads,
    chunkRows,
    chunkPanels,
    little,
    fused,
    kernels,
    products,
    alloc,
    mark: () => top,
    release(mark) {
      top = mark;
    },
    size: () => buffer.byteLength,
    f32: (at, length) => new Float32Array(buffer, at, length),
    f64: (at, length) => new Float64Array(buffer, at, length),
    i32: (at, length) => new Int32Array(buffer, at, length),
    u8: (at, length) => new Uint8Array(buffer, at, length),
    task(fields) {
      const at = alloc(fields.length * 4);
      const view = new DataView(buffer, at, fields.length * 4);
      fields.forEach((field, i) => {
        if (typeof field === 'number') view.setInt32(i * 4, field, true);
        else view.setFloat32(i * 4, field.float, true);
      });
      return at;
    },
    each(phase, task, chunks, work) {
      if (others === 0 || chunks < 2 || work < little) {
        run(phase, task, chunks);
        return;
      }
      control[PHASE] = phases.indexOf(phase);
      control[TASK] = task;
      control[CHUNKS] = chunks;
      Atomics.store(control, NEXT, 0);
      Atomics.store(control, DONE, 0);
      Atomics.add(control, GENERATION, 1);
      Atomics.notify(control, GENERATION);
      for (;;) {
        const chunk = Atomics.add(control, NEXT, 1);
        if (chunk >= chunks) break;
        kernels[phase](task, chunk, 0);
      }
      for (;;) {
        const done = Atomics.load(control, DONE);
        if (done === others) break;
        if (Atomics.wait(control, DONE, done, PATIENCE) === 'timed-out') {
          throw new Error(`threads: ${others - done} of ${others} worker threads do not answer`);
        }
      }
      if (Atomics.exchange(control, FAILED, 0) !== 0) {
        throw new Error(`threads: ${phase} failed in a worker thread`);
      }
    },
    async close() {
      control[CHUNKS] = -1;
      Atomics.add(control, GENERATION, 1);
      Atomics.notify(control, GENERATION);
      await Promise.all(workers.map((one) => one.terminate()));
    },
  };
}

/** They need no answer from this thread to start: it may wait for them at once. */
function startWorkers(
  count: number,
  shared: { module: WebAssembly.Module; memory: WebAssembly.Memory; names: readonly string[] },
): Worker[] {
  return Array.from({ length: count }, (_, i) => {
    const one = new Worker(worker, { eval: true, workerData: { ...shared, thread: i + 1 } });
    one.unref();
    return one;
  });
}

/** Fused where this Node can: from 22 on by itself, before with a flag that may be set while it runs. */
function compile(allowFused: boolean): { module: WebAssembly.Module; fused: boolean } {
  if (allowFused) {
    try {
      setFlagsFromString('--experimental-wasm-relaxed-simd');
      return { module: new WebAssembly.Module(Buffer.from(relaxed, 'base64')), fused: true };
    } catch {
      // Not known here: two roundings then.
    }
  }
  return { module: new WebAssembly.Module(Buffer.from(plain, 'base64')), fused: false };
}

/** For people: what computes. */
export function describeEngine(
  { fused, products }: Pick<Engine, 'fused' | 'products'>,
  threads: number,
): string {
  const processor = cpus()[0]?.model.trim() ?? 'CPU';
  const kernels = `own SIMD kernels${fused ? ', fused' : ''}`;
  const by = products === null ? '' : `, ${products.name}`;
  return `${processor}, ${threads} thread${threads === 1 ? '' : 's'}, ${kernels}${by}`;
}
