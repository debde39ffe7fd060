/**
 * Sparsity penalties, their coefficient, and the controller that steers it: what architectures without a top-k are
 * trained with.
 * @module
 */
import { rowNorms } from './decoder-norm.ts';
import type { Dialect } from './dialects.ts';
import { addScaled, map, matrix, row, type Matrix } from './matrix.ts';
import { groups } from './prefixes.ts';

export interface Penalty {
  /** Before its coefficient. */
  readonly loss: number;
  /** Its gradient at the latents where they are positive: (rows, d_sae). */
  readonly latents: Matrix;
  /** Its gradient at W_dec, through decoder norms: (d_sae, d_in). */
  readonly W_dec: Matrix;
  /** Its gradient at each count 1[z > θ] of an L0 penalty; 0 for other penalties. */
  readonly count: number;
}

/**
 * With v = latents, or latents times decoder norm, and a mean over rows:
 * l1: Σ_j c̄_j v_j;  log: Σ_j c̄_j (ln(v_j + 0.1) - ln 0.1);  l0: the number of latents above θ;
 * l0-to-target: (that mean number / target - 1)². c̄_j is 1, or the share of prefixes that latent j belongs to.
 * Source: nb `sae.py`, `MatryoshkaSAE.step`; sl `saes/standard_sae.py`, `saes/jumprelu_sae.py`, `calculate_aux_loss`; dl
 * `trainers/standard.py`, `trainers/jumprelu.py`, `loss`; bm `sae.py`, `get_loss_dict`.
 * @param latents - (rows, d_sae).
 * @param l0 - mean number of latents per row that an L0 penalty counts.
 */
export function sparsityPenalty(
  latents: Matrix,
  W_dec: Matrix,
  prefixes: readonly number[],
  l0: number,
  targetL0: number,
  dialect: Dialect,
): Penalty {
  const { kind } = dialect.penalty;
  const none = {
    latents: matrix(latents.rows, latents.cols),
    W_dec: matrix(W_dec.rows, W_dec.cols),
    count: 0,
  };
  if (kind === 'l0') return { ...none, loss: l0, count: 1 / latents.rows };
  if (kind === 'l0-to-target') {
    const excess = l0 / targetL0 - 1;
    return { ...none, loss: excess * excess, count: (2 * excess) / (targetL0 * latents.rows) };
  }
  return kind === 'none' ? { ...none, loss: 0 } : sizePenalty(latents, W_dec, prefixes, dialect);
}

/** The penalties of size, l1 and log. */
function sizePenalty(
  latents: Matrix,
  W_dec: Matrix,
  prefixes: readonly number[],
  dialect: Dialect,
): Penalty {
  const { kind, on, overPrefixes } = dialect.penalty;
  const { rows, cols } = latents;
  const norms = rowNorms(W_dec);
  const factor = on === 'latents' ? norms.map(() => 1) : norms;
  const shares = overPrefixes ? prefixShares(prefixes) : norms.map(() => 1);
  const size = kind === 'log' ? (v: number) => Math.log(v + 0.1) - Math.log(0.1) : (v: number) => v;
  const slope = kind === 'log' ? (v: number) => 1 / (v + 0.1) : () => 1;

  let loss = 0;
  const throughNorm = new Float64Array(cols); // gradient at each decoder norm
  const gradient = map(latents, (latent, i) => {
    const j = i % cols;
    const v = latent * factor[j];
    loss += (shares[j] * size(v)) / rows;
    if (latent === 0) return 0;
    const atSize = (shares[j] * slope(v)) / rows;
    throughNorm[j] += atSize * latent;
    return atSize * factor[j];
  });

  const decoder = matrix(W_dec.rows, W_dec.cols);
  for (let j = 0; j < cols; j++) {
    // The gradient of a norm is taken as 0 at a zero row, as torch does.
    if (on === 'latents' || norms[j] === 0) continue;
    addScaled(row(decoder, j), row(W_dec, j), throughNorm[j] / norms[j]);
  }
  return { loss, latents: gradient, W_dec: decoder, count: 0 };
}

/** c̄_j: the share of prefixes that are longer than j. (d_sae). */
export function prefixShares(prefixes: readonly number[]): Float64Array {
  const shares = new Float64Array(prefixes[prefixes.length - 1]);
  groups(prefixes).forEach(({ start, end }, g) => {
    shares.fill((prefixes.length - g) / prefixes.length, start, end);
  });
  return shares;
}

/**
 * What the penalty is multiplied by in update `step` = 0, 1, ...: constant, or times min(step / warm-up, 1).
 * Source: dl `trainers/trainer.py`, `get_sparsity_warmup_fn`; sl `training/optim.py`, `CoefficientScheduler`.
 */
export function penaltyCoefficient(
  step: number,
  coefficient: number,
  warmupSteps: number,
  dialect: Dialect,
): number {
  if (dialect.penalty.coefficient === 'constant' || warmupSteps === 0) return coefficient;
  return coefficient * Math.min(step / warmupSteps, 1);
}

export interface Controlled {
  /** The controller's scale after this step. */
  readonly scale: number;
  /** What this step's penalty is multiplied by. */
  readonly coefficient: number;
}

/**
 * The adaptive controller: once more than W steps are done, scale ← scale · (1 - η) where L0 is below the target, else
 * scale · (1 + η), equality counting as too dense; the coefficient is scale · min((step + 1) / W, 1).
 * Source: nb `sae.py`, `AdaptiveSparsityController.forward`.
 * @param step - steps done before this one.
 * @param l0 - mean number of positive latents per row in this step.
 * @throws {@link RangeError} if W is 0, which the published code divides by.
 */
export function controlSparsity(
  scale: number,
  step: number,
  l0: number,
  targetL0: number,
  warmupSteps: number,
  dialect: Dialect,
): Controlled {
  if (!(warmupSteps > 0)) {
    throw new RangeError(
      `sparsityWarmupSteps: expected at least 1 to divide by, got ${warmupSteps}`,
    );
  }
  const { controllerStep } = dialect.penalty;
  let next = scale;
  if (step > warmupSteps) next *= l0 < targetL0 ? 1 - controllerStep : 1 + controllerStep;
  return { scale: next, coefficient: next * Math.min((step + 1) / warmupSteps, 1) };
}
