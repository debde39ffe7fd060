/**
 * encode and select in one: latents above a guess of the threshold are noted while the product runs, and the K largest are
 * chosen among them. The choice is exact: a guess that leaves too few is lowered and tried again, and none is needed.
 * @module
 */
import { float, type Engine, type Phase } from './engine.ts';

/** Bytes of W_enc that a chunk of rows uses before others. */
const cached = 192 * 1024;
const tileBytes = 144;

/** What is encoded. */
export interface Input {
  /** (rows + 2, stride), less b_dec; the last two rows only have to be there. */
  readonly centred: number;
  readonly rows: number;
  readonly d_in: number;
  readonly stride: number;
  /** Panels. */
  readonly W_enc: number;
  readonly b_enc: number;
  readonly latents: number;
  /** Decoder norms that scale scores; 0 for none. */
  readonly norms: number;
  /** (rows, latents), row-major: acts that are known already, in place of the product; 0 for none. */
  readonly known: number;
}

/** Selected latents by row; addresses of (rows + 1), then (count) each. */
export interface Rows {
  readonly rows: number;
  readonly count: number;
  readonly start: number;
  readonly latent: number;
  readonly value: number;
  readonly score: number;
}

export const chunksOf = ({ chunkRows }: Engine, rows: number): number =>
  Math.ceil(rows / chunkRows);

interface Log {
  readonly at: number;
  readonly capacity: number;
  readonly counts: number;
  readonly chunks: number;
}

function openLog(engine: Engine, chunks: number, capacity: number): Log {
  const counts = engine.alloc(engine.threads * 4);
  engine.i32(counts, engine.threads).fill(0);
  const own = engine.alloc(chunks * 12);
  engine.i32(own, chunks * 3).fill(0);
  return { at: engine.alloc(engine.threads * capacity * 16), capacity, counts, chunks: own };
}

interface Search {
  readonly guess?: number;
  readonly k?: number;
  readonly names?: number;
  readonly positive?: boolean;
  readonly out?: number;
  readonly scratchBytes?: number;
}

function encodeTask(engine: Engine, input: Input, log: Log, search: Search): number {
  const scratchBytes = Math.ceil((search.scratchBytes ?? tileBytes) / 64) * 64;
  const { guess = 0, k = 0, names = 0, positive = true, out = input.known } = search;
  return engine.task([
    input.centred,
    input.W_enc,
    input.b_enc,
    input.norms,
    input.rows,
    input.d_in,
    input.stride,
    input.latents,
    engine.chunkRows,
    Math.max(1, Math.floor(cached / (input.d_in * 48))),
    engine.alloc(engine.threads * scratchBytes),
    scratchBytes,
    log.at,
    log.capacity,
    log.counts,
    log.chunks,
    float(guess),
    k,
    names,
    Number(positive),
    out,
  ]);
}

const operations = ({ rows, latents, d_in, known }: Input): number =>
  rows * latents * (known === 0 ? 2 * d_in : 2);

/** All that is noted above a guess. @returns null if there was no room for it, and how many there are. */
function above(
  engine: Engine,
  input: Input,
  guess: number,
  capacity: number,
): { log: Log; count: number; fits: boolean } {
  const chunks = chunksOf(engine, input.rows);
  const log = openLog(engine, chunks, capacity);
  const phase: Phase = input.known === 0 ? 'encodeAbove' : 'scanAbove';
  engine.each(phase, encodeTask(engine, input, log, { guess }), chunks, operations(input));
  const counts = engine.i32(log.counts, engine.threads);
  const count = counts.reduce((sum, own) => sum + own, 0);
  return { log, count, fits: counts.every((own) => own <= capacity) };
}

function gather(engine: Engine, rows: number, log: Log, count: number, keep: number): Rows {
  const scratch = engine.alloc(count * 4);
  const [latent, value, score] = [0, 0, 0].map(() => engine.alloc(count * 4));
  const start = engine.alloc((rows + 1) * 4);
  const task = engine.task([
    log.at,
    log.capacity,
    log.chunks,
    chunksOf(engine, rows),
    rows,
    keep,
    scratch,
    start,
    latent,
    value,
    score,
  ]);
  return { rows, count: engine.kernels.gatherRows(task), start, latent, value, score };
}

/** What one selection teaches the next: the share of candidates beyond K, and where to cut. */
export interface Hint {
  /** The guess to try first; null for none. */
  guess: number | null;
  /** How far below the last threshold it lies. */
  margin: number;
}

export const noHint = (): Hint => ({ guess: null, margin: 0.03 });

/** BatchTopK: the K largest positive scores of the batch; ties to the lower row, then the lower latent. */
export function selectBatch(engine: Engine, input: Input, K: number, hint: Hint): Rows {
  const mark = engine.mark();
  const all = input.rows * input.latents;
  // So few that noting every positive one is cheapest.
  const small = 8 * all <= engine.little;
  let capacity = small ? all : 3 * K + 4096;
  let guess = small ? 0 : (hint.guess ?? sampledGuess(engine, input, K, 1.25));
  for (let attempt = 1; ; attempt++) {
    const { log, count, fits } = above(engine, input, guess, capacity);
    if (fits && (count >= K || guess === 0)) {
      const rows = gather(engine, input.rows, log, count, K);
      learn(engine, hint, rows, K, count, guess);
      return rows;
    }
    engine.release(mark);
    if (attempt > 3) {
      // No threshold separates them, as where most are equal: make room for all that there may be.
      if (!fits) capacity = count;
      else guess = 0;
    } else {
      guess = sampledGuess(engine, input, K, fits ? 1.25 + attempt : 1.25);
      if (!fits) capacity *= 2;
    }
    hint.margin = Math.min(0.5, hint.margin * (fits ? 2 : 0.4));
  }
}

/** A threshold that about `share` · K scores lie above, from every sixteenth chunk of rows. */
function sampledGuess(engine: Engine, input: Input, K: number, share: number): number {
  const mark = engine.mark();
  const rows = Math.min(input.rows, Math.max(engine.chunkRows, Math.ceil(input.rows / 16)));
  const wanted = Math.ceil((share * K * rows) / input.rows) + 16;
  const sample = { ...input, rows };
  const { log, count } = above(engine, sample, 0, rows * input.latents);
  let guess = 0;
  if (count > wanted) {
    const kept = gather(engine, rows, log, count, wanted);
    guess = smallest(engine, kept);
  }
  engine.release(mark);
  return guess;
}

/** The smallest score of a selection; Infinity if it is empty. */
export function smallest(engine: Engine, { count, score }: Rows): number {
  return engine.f32(score, count).reduce((least, one) => Math.min(least, one), Infinity);
}

function learn(
  engine: Engine,
  hint: Hint,
  rows: Rows,
  K: number,
  noted: number,
  guess: number,
): void {
  const cut = smallest(engine, rows);
  if (rows.count < K || !Number.isFinite(cut)) {
    hint.guess = 0;
    return;
  }
  if (guess > 0) {
    const share = noted / K;
    if (share > 1.6) hint.margin *= 0.7;
    else if (share < 1.15) hint.margin = Math.min(0.5, hint.margin * 1.4);
  }
  hint.guess = cut * (1 - hint.margin);
}

/** TopK: the k largest of each row, only positive ones if so asked. @param names - latent of each column, or 0. */
export function selectRows(
  engine: Engine,
  input: Input,
  k: number,
  positive = true,
  names = 0,
): Rows {
  const chunks = chunksOf(engine, input.rows);
  const capacity = input.rows * Math.min(k, input.latents);
  const log = openLog(engine, chunks, capacity);
  const dense = input.known === 0 ? engine.chunkRows : 0;
  const scratchBytes = tileBytes + (1 + dense) * input.latents * 4;
  const task = encodeTask(engine, input, log, { k, positive, names, scratchBytes });
  engine.each('encodeTop', task, chunks, operations(input));
  const counts = engine.i32(log.counts, engine.threads);
  return gather(
    engine,
    input.rows,
    log,
    counts.reduce((sum, own) => sum + own, 0),
    -1,
  );
}

/** Inference: latents whose score is above the threshold, and above 0. */
export function selectAbove(engine: Engine, input: Input, threshold: number): Rows {
  const mark = engine.mark();
  const guess = Math.max(0, threshold);
  let capacity = Math.min(input.rows * input.latents, 64 * input.rows + 4096);
  for (;;) {
    const { log, count, fits } = above(engine, input, guess, capacity);
    if (fits) return gather(engine, input.rows, log, count, -1);
    engine.release(mark);
    capacity = count;
  }
}

/** ReLU of every pre-activation: address of (rows, latents). */
export function encodeDense(engine: Engine, input: Input): number {
  const out = engine.alloc(input.rows * input.latents * 4);
  const none = openLog(engine, 1, 0);
  const task = encodeTask(engine, input, none, { out });
  engine.each('encodeDense', task, chunksOf(engine, input.rows), operations(input));
  return out;
}
