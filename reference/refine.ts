/**
 * Refined pre-activations: one step of a learned iterative soft threshold (LISTA, Gregor and LeCun 2010) after a first
 * selection. What that leaves of the input is encoded again and added, so that a latent gives way to others that explain
 * the same part.
 * Source: li `autoresearch/sae.py ListaMatryoshkaTrainingSAE.encode_with_hidden_pre`, `update_topk_threshold`.
 * @module
 */
import type { Dialect } from './dialects.ts';
import { encoderInput } from './encode.ts';
import {
  columnSums,
  map,
  multiply,
  multiplyTransposed,
  scale,
  subtract,
  transpose,
  type Matrix,
} from './matrix.ts';
import type { SaeParams } from './params.ts';

/** What a refinement was made of, and makes. */
export interface Refinement {
  /** z, the first selection: (rows, d_sae). */
  readonly first: Matrix;
  /** What it leaves of the encoder's input: (rows, d_in). */
  readonly residual: Matrix;
  /** (rows, d_sae). */
  readonly pre: Matrix;
}

/**
 * pre' = pre + η (x - b_dec - z W_dec) W_enc; of x alone in dialects whose encoder does not subtract b_dec.
 * @param pre - (rows, d_sae), before ReLU.
 * @param first - z, selected from ReLU(pre): (rows, d_sae).
 * @param product - as {@link preActivations} has it.
 */
export function refine(
  pre: Matrix,
  first: Matrix,
  x: Matrix,
  params: SaeParams,
  dialect: Dialect,
  product: typeof multiply = multiply,
): Refinement {
  const residual = subtract(encoderInput(x, params, dialect), multiply(first, params.W_dec));
  const again = product(residual, params.W_enc);
  const { refinement } = dialect.encode;
  return { first, residual, pre: map(pre, (value, i) => value + refinement * again.data[i]) };
}

/** What parameters receive through the refinement alone, and the first pre-activations in all. */
export interface RefinementGradient {
  /** (rows, d_sae). */
  readonly pre: Matrix;
  readonly W_enc: Matrix;
  readonly W_dec: Matrix;
  /** (d_in), where the encoder subtracts b_dec. */
  readonly b_dec: Float64Array;
}

/**
 * Back through both steps, the first selection a constant. With δ' at pre' and u = η δ' W_encᵀ, what the residual r
 * receives: ∂pre = δ' - u W_decᵀ where z is not 0, else δ';  ∂W_enc = η rᵀ δ';  ∂W_dec = -zᵀ u;  ∂b_dec = -Σ_b u[b].
 * @param delta - δ', (rows, d_sae).
 */
export function refinementGradient(
  delta: Matrix,
  { first, residual }: Refinement,
  { W_enc, W_dec }: SaeParams,
  { encode }: Dialect,
): RefinementGradient {
  const upstream = scale(multiply(delta, transpose(W_enc)), encode.refinement);
  const toFirst = multiply(upstream, transpose(W_dec));
  const sums = columnSums(upstream);
  return {
    pre: map(delta, (value, i) => (first.data[i] === 0 ? value : value - toFirst.data[i])),
    W_enc: scale(transpose(multiplyTransposed(delta, residual)), encode.refinement),
    W_dec: scale(multiplyTransposed(first, upstream), -1),
    b_dec: sums.map((sum) => (encode.subtractsDecoderBias ? -sum : 0)),
  };
}
