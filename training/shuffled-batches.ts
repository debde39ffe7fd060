/**
 * Batches of activations in a seeded, shuffled order, without ever holding all of them.
 *
 * Each epoch: the shards are cut into blocks of 64 consecutive rows, the blocks are put in random order, and as many of
 * them as fit the buffer are read; the rows of a full buffer are shuffled among themselves and served until it is empty,
 * while the next one is being read. So every row is served exactly once an epoch, memory is bounded by two buffers, and
 * neighbouring rows (one text) end up far apart as long as the buffer is much larger than a batch.
 *
 * The order depends only on the seed, the shards and the buffer size: the number of rows served is the whole position,
 * and a resumed run serves exactly the batches the interrupted one would have.
 * @module
 */

import { createRng, type Rng } from '../synthetic/rng.ts';
import { readActivations, type ActivationShards } from './activation-shards.ts';
import { UsageError } from './usage-error.ts';

/** Rows read at once: long enough for a disk, short against a buffer. */
export const BLOCK_ROWS = 64;

/** Size of a buffer unless its rows are given; two are held while reading ahead. */
export const BUFFER_BYTES: number = 256 * 1024 * 1024;

/** Reads under way at once. */
const READS = 32;

export interface BatchOptions {
  readonly seed: number;
  readonly batchRows: number;
  /** Rows already served: 0, or the position of a checkpoint. */
  readonly served?: number;
  /** Rows per buffer, at least one block; see {@link defaultBufferRows}. */
  readonly bufferRows?: number;
}

export interface ShuffledBatches {
  /** Rows served so far, earlier runs included: what a checkpoint keeps. */
  served(): number;
  /** Rows held in memory now, the buffer being read included. */
  held(): number;
  /**
   * The next (batchRows, d_in); the array is reused by the next call.
   * @throws {@link UsageError} naming file, row and value if a row read for it is not finite.
   */
  next(): Promise<Float32Array>;
  /** Waits for reads under way; close the shards after it. */
  close(): Promise<void>;
}

/** Blocks `first` to `last` (exclusive) of one epoch's order. */
interface Span {
  readonly epoch: number;
  readonly first: number;
  readonly last: number;
  readonly rows: number;
  /** Rows served before this span, all epochs counted. */
  readonly before: number;
}

/** A span read into memory. */
interface Filled {
  readonly span: Span;
  /** (rows, d_in), in the order read. */
  readonly values: Float32Array;
  /** Which row is served first, second, ... */
  readonly order: Uint32Array;
}

/** {@link BUFFER_BYTES} worth of float32 rows, and at least four batches. */
export function defaultBufferRows(d_in: number, batchRows: number): number {
  return Math.max(4 * batchRows, BLOCK_ROWS, Math.floor(BUFFER_BYTES / (4 * d_in)));
}

/** @throws {@link UsageError} if there are fewer rows than a batch takes. */
export function requireRows({ rows }: ActivationShards, batchRows: number): void {
  if (rows >= batchRows) return;
  throw new UsageError(
    `--batch ${batchRows}: the activations hold only ${rows} rows: give more shards or a smaller --batch`,
  );
}

/** @throws {@link UsageError} as {@link requireRows}. */
export function shuffledBatches(
  activations: ActivationShards,
  { seed, batchRows, served: start = 0, bufferRows }: BatchOptions,
): ShuffledBatches {
  const { d_in } = activations;
  requireRows(activations, batchRows);
  const rng = createRng(seed).split('batches');
  const spans = spansOf(activations, bufferRows ?? defaultBufferRows(d_in, batchRows), rng);
  const batch = new Float32Array(batchRows * d_in);
  let served = start;
  let current: Filled | undefined;
  let ahead: { span: Span; filled: Promise<Filled> } | undefined;

  const readAhead = (span: Span): void => {
    const filled = fill(activations, spans.blocks(span), span, rng);
    filled.catch(() => undefined); // reported when its rows are asked for
    ahead = { span, filled };
  };

  async function currentBuffer(): Promise<Filled> {
    if (current !== undefined && served < current.span.before + current.span.rows) return current;
    current = undefined;
    if (ahead === undefined) readAhead(spans.holding(served));
    current = await ahead!.filled;
    readAhead(spans.after(current.span));
    return current;
  }

  async function next(): Promise<Float32Array> {
    for (let i = 0; i < batchRows;) {
      const { span, values, order } = await currentBuffer();
      const from = served - span.before;
      const taken = Math.min(batchRows - i, span.rows - from);
      for (const row of order.subarray(from, from + taken)) {
        batch.set(values.subarray(row * d_in, (row + 1) * d_in), i++ * d_in);
      }
      served += taken;
    }
    return batch;
  }

  return {
    served: () => served,
    held: () => (current?.span.rows ?? 0) + (ahead?.span.rows ?? 0),
    next,
    close: async () => {
      await ahead?.filled.catch(() => undefined);
      current = undefined;
      ahead = undefined;
    },
  };
}

/** Cuts each epoch's shuffled blocks into spans that fit a buffer. */
function spansOf(
  activations: ActivationShards,
  bufferRows: number,
  rng: Rng,
): { holding(served: number): Span; after(span: Span): Span; blocks(span: Span): Block[] } {
  const layout = blockLayout(activations);
  let order: { epoch: number; blocks: Uint32Array } = { epoch: -1, blocks: new Uint32Array(0) };

  const orderOf = (epoch: number): Uint32Array => {
    if (order.epoch !== epoch) {
      order = { epoch, blocks: permutation(layout.count, rng.split(`blocks ${epoch}`)) };
    }
    return order.blocks;
  };
  const from = (epoch: number, first: number, before: number): Span => {
    const blocks = orderOf(epoch);
    let last = first;
    let rows = 0;
    do rows += layout.block(blocks[last++]).rows;
    while (last < blocks.length && rows + BLOCK_ROWS <= bufferRows);
    return { epoch, first, last, rows, before };
  };
  const after = ({ epoch, last, before, rows }: Span): Span =>
    last < layout.count ? from(epoch, last, before + rows) : from(epoch + 1, 0, before + rows);

  return {
    after,
    holding(served) {
      const epoch = Math.floor(served / activations.rows);
      let span = from(epoch, 0, epoch * activations.rows);
      while (served >= span.before + span.rows) span = after(span);
      return span;
    },
    blocks: ({ epoch, first, last }) =>
      Array.from(orderOf(epoch).subarray(first, last), (index) => layout.block(index)),
  };
}

/** Consecutive rows of one shard. */
interface Block {
  readonly shard: number;
  readonly first: number;
  readonly rows: number;
}

function blockLayout({ shards }: ActivationShards): { count: number; block(i: number): Block } {
  // firstBlock[s] = number of blocks in the shards before s.
  const firstBlock = [0];
  for (const { rows } of shards) {
    firstBlock.push(firstBlock[firstBlock.length - 1] + Math.ceil(rows / BLOCK_ROWS));
  }
  return {
    count: firstBlock[shards.length],
    block(i) {
      let low = 0;
      let high = shards.length;
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (firstBlock[middle] <= i) low = middle;
        else high = middle;
      }
      const first = (i - firstBlock[low]) * BLOCK_ROWS;
      return { shard: low, first, rows: Math.min(BLOCK_ROWS, shards[low].rows - first) };
    },
  };
}

async function fill(
  activations: ActivationShards,
  blocks: readonly Block[],
  span: Span,
  rng: Rng,
): Promise<Filled> {
  const { shards, d_in } = activations;
  const values = new Float32Array(span.rows * d_in);
  let block = 0;
  let row = 0;
  const reader = async (): Promise<void> => {
    while (block < blocks.length) {
      const { shard, first, rows } = blocks[block++];
      const at = row;
      row += rows;
      const out = values.subarray(at * d_in, (at + rows) * d_in);
      await readActivations(shards[shard], first, rows, out);
    }
  };
  await allSettledOrThrow(Array.from({ length: READS }, reader));
  const order = permutation(span.rows, rng.split(`rows ${span.epoch} ${span.first}`));
  return { span, values, order };
}

/** Unlike Promise.all, waits for every read before it throws: no read may outlive its file. */
async function allSettledOrThrow(reads: Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(reads)) {
    if (result.status === 'rejected') throw result.reason;
  }
}

/** A uniformly random order of 0..n-1 (Fisher and Yates). */
function permutation(n: number, rng: Rng): Uint32Array {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = rng.below(i + 1);
    const swapped = order[i];
    order[i] = order[j];
    order[j] = swapped;
  }
  return order;
}
