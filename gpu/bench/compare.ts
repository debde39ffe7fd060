/**
 * What a run comes to: for every shape, dialect and backend, ours beside its peer.
 * @module
 */
import type { ShapeResult, SideResult } from './bench.ts';
import type { DialectName, Shape } from './shape.ts';
import { quantile, ratios, spread, type Spread } from './statistics.ts';

/** Losses of the same step on the same data may differ by so much, as float32 sums in another order do grow apart. */
export const LOSS_LIMIT = 0.05;

/** One side's part of a row. */
export interface Timed {
  /** What computes for ours, the peer's name for a peer. */
  readonly name: string;
  /** That it computed on; null where it has no choice. */
  readonly threads: number | null;
  /** Seconds of a step. */
  readonly step: Spread;
  /** Bytes. */
  readonly peak: number;
  readonly base: number;
  /** Mean number of dead latents. */
  readonly dead: number;
}

/** A dense product x · W_enc on the side that does it fastest. */
export interface FastestProduct {
  readonly engine: string;
  /** Median. */
  readonly seconds: number;
}

export interface Row {
  readonly shape: Shape;
  readonly dialect: DialectName;
  /** Times as fast as the peer; null without a peer, without its times, or if losses do not agree. */
  readonly ratio: Spread | null;
  /** In each round. */
  readonly ratios: readonly number[];
  /** null if there is no complete round. */
  readonly ours: Timed | null;
  /** null besides where no peer was asked for. */
  readonly peer: Timed | null;
  readonly product: FastestProduct | null;
  /** Largest relative difference of the losses after a round; null where there is nothing to compare. */
  readonly lossDifference: number | null;
  /** One line each: why something is missing. */
  readonly notes: readonly string[];
}

export function rowsOf(result: ShapeResult): Row[] {
  const product = fastestProduct(result.sides);
  return result.sides
    .filter(({ kind }) => kind === 'ours')
    .map((ours) => {
      const peers = result.sides.filter(
        ({ kind, dialect }) => kind === 'peer' && dialect === ours.dialect,
      );
      const peer = fastest(peers);
      return row(result.shape, ours, peer, product);
    });
}

/** Of a peer's sides; one without times only if none has any. */
function fastest(peers: readonly SideResult[]): SideResult | undefined {
  const median = ({ rounds }: SideResult): number =>
    rounds.length === 0 ? Infinity : quantile(rounds, 0.5);
  return [...peers].sort((a, b) => median(a) - median(b))[0];
}

function row(
  shape: Shape,
  ours: SideResult,
  peer: SideResult | undefined,
  product: FastestProduct | null,
): Row {
  const both = Math.min(ours.rounds.length, peer?.rounds.length ?? 0);
  const lossDifference =
    peer === undefined || both === 0 ? null : largestDifference(ours.losses, peer.losses, both);
  const agree = lossDifference !== null && lossDifference <= LOSS_LIMIT;
  const each =
    peer !== undefined && agree
      ? ratios(ours.rounds.slice(0, both), peer.rounds.slice(0, both))
      : [];
  const notes = [ours.failure, peer?.failure ?? null].filter((text) => text !== null);
  if (lossDifference !== null && !agree) {
    notes.push(
      `losses differ by ${(100 * lossDifference).toFixed(1)} %, so these are not the same training and get no ratio`,
    );
  }
  return {
    shape,
    dialect: ours.dialect,
    ratio: each.length === 0 ? null : spread(each),
    ratios: each,
    ours: timed(ours),
    peer: peer === undefined ? null : timed(peer),
    product,
    lossDifference,
    notes,
  };
}

function timed({
  kind,
  engine,
  threads,
  rounds,
  peak,
  base,
  dead,
  ...side
}: SideResult): Timed | null {
  const name = kind === 'ours' ? engine : side.name;
  if (rounds.length === 0) return null;
  const mean = dead.reduce((sum, count) => sum + count, 0) / dead.length;
  return { name, threads, step: spread(rounds), peak, base, dead: mean };
}

/** Infinity if a loss is not a number, or one of them is 0 and the other is not. */
function largestDifference(a: readonly number[], b: readonly number[], rounds: number): number {
  let largest = 0;
  for (let i = 0; i < rounds; i++) {
    const difference = a[i] === b[i] ? 0 : Math.abs(a[i] - b[i]) / Math.abs(b[i]);
    largest = Math.max(largest, Number.isNaN(difference) ? Infinity : difference);
  }
  return largest;
}

function fastestProduct(sides: readonly SideResult[]): FastestProduct | null {
  const found = sides
    .filter(({ products }) => products.length > 0)
    .map(({ engine, products }) => ({ engine, seconds: quantile(products, 0.5) }));
  return found.reduce<FastestProduct | null>(
    (best, one) => (best === null || one.seconds < best.seconds ? one : best),
    null,
  );
}
