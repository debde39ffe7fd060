/**
 * Parameters before the first step, from given uniform draws.
 * @module
 */
import fc from 'fast-check';
import type { Dialect } from '../../../reference/dialect.ts';
import type { Matrix } from '../../../reference/matrix.ts';
import type { SaeParams } from '../../../reference/params.ts';
import type { TrainConfig, TrainState } from '../../../reference/train-step.ts';
import { dialect, matrixOf, sizes, uniforms, type Sizes } from '../cases.ts';
import type { Judge } from '../judge.ts';
import type { Oracle } from '../oracle.ts';
import { cos, div, ln, mul, neg, one, pi, real, sqrt, sub, type Real } from '../real.ts';
import { at, build, realMatrix, type RealMatrix } from '../real-matrix.ts';
import { hasZeroRow, normaliseRows } from './decoder-norm.ts';

/** A standard normal value of two uniform ones. */
function normal(first: Real, second: Real): Real {
  const radius = sqrt(mul(real(2), neg(ln(sub(one, first)))));
  return mul(radius, cos(mul(mul(real(2), pi), second)));
}

/** Drawn row by row. */
function drawn(draws: readonly number[], { d_in, d_sae }: Sizes, dialect: Dialect): RealMatrix {
  const { draw } = dialect.initialise;
  const [rows, cols] = draw === 'W_dec-uniform' ? [d_sae, d_in] : [d_in, d_sae];
  if (draw === 'W_enc-normal') {
    return build(rows, cols, (i, j) => {
      const at = 2 * (i * cols + j);
      return div(normal(real(draws[at]), real(draws[at + 1])), sqrt(real(d_in)));
    });
  }
  const limit = sqrt(div(real(6), real(cols)));
  return build(rows, cols, (i, j) => mul(sub(mul(real(2), real(draws[i * cols + j])), one), limit));
}

interface InitialCase {
  readonly size: Sizes;
  readonly draws: readonly number[];
  readonly given: Matrix;
  readonly dialect: Dialect;
}

export const initialise: Oracle<InitialCase> = {
  name: 'initialisation',
  holds: [
    'params.drawInitial',
    'params.initialiseParams',
    'params.zeroParams',
    'trainStep.initialState',
  ],
  cases: fc.tuple(sizes, dialect).chain(([size, dialect]) =>
    fc.record({
      size: fc.constant(size),
      draws: uniforms(2 * size.d_in * size.d_sae),
      given:
        dialect.initialise.draw === 'W_dec-uniform'
          ? matrixOf(size.d_sae, size.d_in)
          : matrixOf(size.d_in, size.d_sae),
      dialect: fc.constant(dialect),
    }),
  ),
  check({ size, draws, given, dialect }, { params, trainStep }, judge) {
    let next = 0;
    const got = params.drawInitial(size.d_in, size.d_sae, () => draws[next++], dialect);
    judge.allNear('drawn', got, drawn(draws, size, dialect));

    const state = (): TrainState => {
      let at = 0;
      const config = { ...size, dialect, selection: 'all' } as unknown as TrainConfig;
      return trainStep.initialState(config, () => draws[at++]);
    };
    judgeParams('state', drawn(draws, size, dialect), dialect, judge, () => state().params);
    const initial = (): SaeParams => params.initialiseParams(given, dialect);
    judgeParams('given', realMatrix(given), dialect, judge, initial);
    const zeros = params.zeroParams(size.d_in, size.d_sae);
    const arrays = [zeros.W_enc.data, zeros.b_enc, zeros.W_dec.data, zeros.b_dec];
    for (const value of arrays.flatMap((array) => [...array])) judge.same('zeros', value, 0);
  },
};

/** Decoder rows of the dialect's norm, the encoder, biases 0. */
function judgeParams(
  name: string,
  drawn: RealMatrix,
  dialect: Dialect,
  judge: Judge,
  call: () => SaeParams,
): void {
  const { draw, decoderNorm, normEpsilon, encoder } = dialect.initialise;
  const byRows = draw === 'W_dec-uniform';
  const rows = byRows ? drawn : build(drawn.cols, drawn.rows, (j, i) => at(drawn, i, j));
  if (normEpsilon === 0 && hasZeroRow(rows)) {
    judge.refused('a row of zeros', call);
    return;
  }
  const unit = normaliseRows(rows, normEpsilon);
  const W_dec = { ...unit, data: unit.data.map((w) => mul(w, real(decoderNorm))) };
  const source = encoder === 'decoder-transposed' ? W_dec : rows;
  const got = call();
  judge.allNear(`${name} W_dec`, got.W_dec, W_dec);
  judge.allNear(
    `${name} W_enc`,
    got.W_enc,
    build(rows.cols, rows.rows, (i, j) => at(source, j, i)),
  );
  for (const value of [...got.b_enc, ...got.b_dec]) judge.same('biases', value, 0);
}
