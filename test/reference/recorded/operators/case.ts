/**
 * Single operators of published code, called one at a time: what each was given, and what it returned. A case is a function
 * of a change to the dialect, so that tests can run it on the published dialect and on others.
 */
import { auxkOfLevels, type LevelAuxk } from '../../../../reference/auxk.ts';
import { decodePrefixes } from '../../../../reference/decode.ts';
import { preActivations, relu } from '../../../../reference/encode.ts';
import { gradients } from '../../../../reference/gradients.ts';
import { initialiseParams } from '../../../../reference/params.ts';
import { levelErrors, levelLosses, reconstructionLoss } from '../../../../reference/loss.ts';
import { dot, matrix, scale, transpose, type Matrix } from '../../../../reference/matrix.ts';
import type { SaeParams } from '../../../../reference/params.ts';
import { smallestSelected, updateThreshold } from '../../../../reference/threshold.ts';
import { decided, withDecision, type Dialect, type Value } from '../../../../reference/dialects.ts';
import { recordedMatrix, wholeMatrix, type Dtype, type Recording } from '../../golden-vectors.ts';
import type { Change, Quantity } from '../source.ts';

/** Agreement asked for: float64 with the published code's float32 casts lifted, float32 with the code unedited. */
export const tolerances: Readonly<Record<Dtype, number>> = { float64: 1e-12, float32: 5e-6 };

export interface Case {
  readonly id: string;
  /** Of the dialect as changed; may throw. */
  readonly compare: (change: Change) => Iterable<Quantity>;
}

/** A dialect with what the published code's options made of it. */
export function withOptions(dialect: Dialect, options: Readonly<Record<string, Value>>): Dialect {
  return Object.entries(options).reduce(
    (changed, [path, value]) => withDecision(changed, path, value),
    dialect,
  );
}

/** Whether the published code and ours both refuse. */
export function refused(f: () => unknown): Quantity {
  try {
    f();
  } catch (error) {
    if (error instanceof RangeError) return ['error raised', [1], [1]];
    throw error;
  }
  return ['error raised', [0], [1]];
}

/** What has only one right value: decisions by their paths, and what the published code says. */
export function defaultsCase(
  base: Dialect,
  recorded: Readonly<Record<string, number | boolean | null>>,
): Case {
  return {
    id: 'defaults',
    *compare(change) {
      const dialect = change(base);
      for (const [path, value] of Object.entries(recorded)) {
        yield [path, [Number(decided(dialect, path))], [Number(value)]];
      }
    },
  };
}

/** Selections agree where nothing ties; among equal scores any choice of the same size and values is right. */
export function* selectionQuantities(got: Matrix, published: Matrix): Generator<Quantity> {
  const sorted = (a: Matrix): Float64Array => a.data.filter((value) => value > 0).sort();
  yield ['values kept', sorted(got), sorted(published)];
  const kept = sorted(published);
  const ties = new Set(kept).size < kept.length;
  if (!ties) yield ['latents', got.data, published.data];
}

/** Threshold before each batch, from the one before it. */
export function thresholdCase(recording: Recording, id: string, base: Dialect): Case {
  const name = `update_threshold.${id}`;
  return {
    id: name,
    *compare(change) {
      const dialect = change(base);
      const expected = recording.values(`${name}.threshold`);
      const got = expected.slice();
      got[0] = dialect.threshold.start;
      for (let t = 0; t + 1 < expected.length; t++) {
        const smallest = smallestSelected(recordedMatrix(recording, `${name}.latents`, t));
        got[t + 1] = updateThreshold(expected[t], smallest, dialect);
      }
      yield ['threshold', got, expected];
    },
  };
}

/** How a constructor's recording is read. */
interface Drawn {
  readonly prefix?: string;
  /** Which of the draws the parameters come from. */
  readonly draw?: number;
  /** Published: nn.Linear's own b_enc, uniform in ±1/√d_in, stays; ours starts at zero. */
  readonly keepsLinearBias?: boolean;
  /** Published: nn.Linear's own draw of W_decᵀ, whose range is gone once rows are rescaled. */
  readonly keepsLinearWeight?: boolean;
}

/** The constructor's parameters from what it drew. */
export function initialiseCase(recording: Recording, base: Dialect, how: Drawn = {}): Case {
  const { prefix = 'initialise', draw = 0, keepsLinearBias, keepsLinearWeight } = how;
  const all = (name: string): Float64Array => recording.values(`${prefix}.${name}`);
  return {
    id: prefix,
    *compare(change) {
      const dialect = change(base);
      const recorded = wholeMatrix(recording, `${prefix}.draw.${draw}`);
      const [d_in] = recording.shape(`${prefix}.W_enc`);
      const isNormal = dialect.initialise.draw === 'W_enc-normal';
      const turned = keepsLinearWeight === true ? transpose(recorded) : recorded;
      // Recorded is what randn drew: of variance 1.
      const drawn = isNormal ? scale(turned, 1 / Math.sqrt(d_in)) : turned;
      // What was drawn tells what it was drawn for: (d_sae, d_in) or (d_in, d_sae).
      const drawsRows = dialect.initialise.draw === 'W_dec-uniform';
      yield ['shape of the draw', [Number(drawsRows)], [Number(drawn.cols === d_in)]];
      const got = initialiseParams(drawn, dialect);
      yield ['W_enc', got.W_enc.data, all('W_enc')];
      yield ['W_dec', got.W_dec.data, all('W_dec')];
      yield ['b_dec', got.b_dec, all('b_dec')];
      if (keepsLinearBias === true) {
        const most = 1 / Math.sqrt(d_in);
        const within = all('b_enc').map((bias) => Number(Math.abs(bias) <= most && bias !== 0));
        yield ['b_enc within ±1/√d_in', within, within.map(() => 1)];
      } else yield ['b_enc', got.b_enc, all('b_enc')];
      yield* rangeOf(turned, dialect, keepsLinearWeight === true);
      if (!recording.names.includes(`${prefix}.threshold`)) return;
      const thresholds = all('threshold');
      const jumps = dialect.defaults.selection === 'jump';
      const start = jumps ? dialect.jumpRelu.start : dialect.threshold.start;
      yield ['threshold', thresholds.map(() => start), thresholds];
    },
  };
}

/** Of 21 values none is outside the law's range, and the largest is in the range's upper third; a normal one's deviation. */
function* rangeOf(drawn: Matrix, dialect: Dialect, other: boolean): Generator<Quantity> {
  if (other) return;
  const most = Math.max(...drawn.data.map(Math.abs));
  if (dialect.initialise.draw === 'W_enc-normal') {
    const square = dot(drawn.data, drawn.data) / drawn.data.length;
    yield ['deviation of the draw', [Number(square > 0.25 && square < 4)], [1]];
    return;
  }
  const limit = Math.sqrt(6 / drawn.cols);
  yield ['range of the draw', [Number(most <= limit && most > (2 / 3) * limit)], [1]];
}

export interface Composed {
  readonly latents: Matrix;
  readonly levelLosses: Float64Array;
  readonly reconstructionLoss: number;
  readonly auxk: readonly LevelAuxk[];
  readonly reconstructions: readonly Matrix[];
  readonly gradients: SaeParams;
}

/** Losses and gradients of latents that were chosen otherwise: for settings that a train step has none for. */
export function composed(
  x: Matrix,
  params: SaeParams,
  choose: (acts: Matrix) => Matrix,
  run: {
    readonly prefixes: readonly number[];
    readonly coefficients: Float64Array;
    readonly dead: Uint8Array;
    readonly alpha: number;
  },
  dialect: Dialect,
): Composed {
  const pre = preActivations(x, params, dialect);
  const acts = relu(pre);
  const latents = choose(acts);
  const reconstructions = decodePrefixes(latents, params, run.prefixes);
  const errors = levelErrors(x, params.b_dec, reconstructions);
  const losses = levelLosses(errors);
  const auxk = auxkOfLevels(
    x,
    reconstructions,
    dialect.auxk.values === 'acts' ? acts : pre,
    params.W_dec,
    run.dead,
    run.prefixes,
    run.alpha,
    dialect,
  );
  return {
    latents,
    levelLosses: losses,
    reconstructionLoss: reconstructionLoss(losses, run.coefficients),
    auxk,
    reconstructions,
    gradients: gradients(
      { x, pre, latents, errors, auxk },
      params,
      run.prefixes,
      run.coefficients,
      dialect,
    ),
  };
}

/** Columns from `end` on are zero, as published code zeroes latents of inactive groups after the selection. */
export function firstLatents(latents: Matrix, end: number): Matrix {
  return matrix(
    latents.rows,
    latents.cols,
    latents.data.map((value, i) => (i % latents.cols < end ? value : 0)),
  );
}

/** Parameters with some replaced, as lists of rows. */
export function replacedParams(
  params: SaeParams,
  changed: Readonly<Record<string, readonly number[] | readonly (readonly number[])[]>>,
): SaeParams {
  let result = params;
  for (const [name, values] of Object.entries(changed)) {
    const flat = Float64Array.from(values.flat());
    const [rows, cols] = [values.length, flat.length / values.length];
    result = { ...result, [name]: Array.isArray(values[0]) ? matrix(rows, cols, flat) : flat };
  }
  return result;
}
