/**
 * Collects, for one operator, how close to its bound the reference came and which cases were open.
 * @module
 */
import type { Matrix } from '../../reference/matrix.ts';
import type { RealMatrix } from './real-matrix.ts';
import { ratio, type Real } from './real.ts';

/** The reference answered what float64 cannot have answered. */
export class Contradiction extends Error {}

export interface Judge {
  /** @throws {@link Contradiction} if `got` is further from `exact` than its bound. */
  near(where: string, got: number, exact: Real): void;
  /** {@link near} for every value. */
  allNear(where: string, got: Matrix | Float64Array, exact: RealMatrix | readonly Real[]): void;
  /** What float64 must find without error: a choice, a count, a copy. @throws {@link Contradiction} */
  same(where: string, got: unknown, expected: unknown): void;
  /** Where the definition has no value. @throws {@link Contradiction} if `call` returns one. */
  refused(where: string, call: () => unknown): void;
  /**
   * An exact comparison lies within its error, so that float64 may decide either way: the case goes on with the
   * reference's decision.
   */
  open(): void;
  /** A value was compared only within the noise of exact arithmetic itself. */
  unresolved(): void;
}

/** What one operator's cases came to. */
export interface Tally {
  /** Cases with a comparison that float64 may decide either way. */
  ambiguous: number;
  /** Values compared. */
  values: number;
  /** Values that 64 digits do not resolve to a small part of their bound. */
  unresolved: number;
  /** Largest |reference - exact| / bound. */
  worst: number;
  /** The value it was found at. */
  at: string;
  /** {@link worst} of each kind of value, by its name without indices. */
  byValue: Record<string, number>;
}

/** A judge for each case, all writing to one record. */
export function judging(record: Tally): () => Judge {
  return () => {
    let counted = false;
    const judge: Judge = {
      near(where, got, exact) {
        record.values++;
        const share = ratio(got, exact);
        if (!(share <= 1)) {
          throw new Contradiction(
            `${where}: expected ${exact.value.toPrecision(25)} within ${exact.error}, got ${got} (${share.toPrecision(4)} of the bound)`,
          );
        }
        const kind = where.replace(/\[.*/, '').replace(/_\d+$/, '_g');
        record.byValue[kind] = Math.max(record.byValue[kind] ?? 0, share);
        if (share > record.worst) Object.assign(record, { worst: share, at: where });
      },
      allNear(where, got, exact) {
        const values = got instanceof Float64Array ? got : got.data;
        const expected = 'data' in exact ? exact.data : exact;
        const cols = 'data' in exact ? exact.cols : null;
        judge.same(`${where}: number of values`, values.length, expected.length);
        values.forEach((value, i) => {
          const place = cols === null ? `${i}` : `${Math.floor(i / cols)}, ${i % cols}`;
          judge.near(`${where}[${place}]`, value, expected[i]);
        });
      },
      same(where, got, expected) {
        record.values++;
        // Strict equality: 0 and -0 are one value, NaN is equal to nothing.
        if (got === expected) return;
        throw new Contradiction(`${where}: expected ${String(expected)}, got ${String(got)}`);
      },
      refused(where, call) {
        record.values++;
        try {
          call();
        } catch (error) {
          if (error instanceof RangeError) return;
          throw error;
        }
        throw new Contradiction(`${where}: expected an error, got a value`);
      },
      open() {
        if (!counted) record.ambiguous++;
        counted = true;
      },
      unresolved() {
        record.unresolved++;
      },
    };
    return judge;
  };
}
