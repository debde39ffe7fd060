/**
 * x̂_g = b_dec + Σ_{j < m_g} a_j w_j for every prefix, each from the beginning.
 * @module
 */
import fc from 'fast-check';
import type { Matrix } from '../../../reference/matrix.ts';
import type { SaeParams } from '../../../reference/params.ts';
import { actsOf, paramsOf, prefixesOf, sizes } from '../cases.ts';
import type { Oracle } from '../oracle.ts';
import { mul, sum } from '../real.ts';
import {
  at,
  build,
  range,
  realMatrix,
  realParams,
  type RealMatrix,
  type RealParams,
} from '../real-matrix.ts';

/** From the first `width` latents: (rows, d_in). */
export function decodePrefix(
  latents: RealMatrix,
  { W_dec, b_dec }: RealParams,
  width: number,
): RealMatrix {
  return build(latents.rows, W_dec.cols, (b, i) =>
    sum([b_dec[i], ...range(width).map((j) => mul(at(latents, b, j), at(W_dec, j, i)))]),
  );
}

interface DecodeCase {
  readonly latents: Matrix;
  readonly params: SaeParams;
  readonly prefixes: readonly number[];
}

export const decode: Oracle<DecodeCase> = {
  name: 'decode',
  holds: ['decode.decodePrefixes', 'decode.decode', 'decode.constantRows'],
  cases: sizes.chain((size) =>
    fc.record({
      latents: actsOf(size.rows, size.d_sae),
      params: paramsOf(size),
      prefixes: prefixesOf(size.d_sae),
    }),
  ),
  check({ latents, params, prefixes }, { decode }, judge) {
    const exactLatents = realMatrix(latents);
    const exactParams = realParams(params);
    const levels = decode.decodePrefixes(latents, params, prefixes);
    judge.same('number of prefixes', levels.length, prefixes.length);
    prefixes.forEach((width, g) => {
      judge.allNear(`x̂_${g + 1}`, levels[g], decodePrefix(exactLatents, exactParams, width));
    });
    const full = decodePrefix(exactLatents, exactParams, latents.cols);
    judge.allNear('x̂', decode.decode(latents, params), full);
    const empty = decodePrefix(exactLatents, exactParams, 0);
    judge.allNear('x̂_0', decode.constantRows(params.b_dec, latents.rows), empty);
  },
};
