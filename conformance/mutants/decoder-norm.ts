/**
 * Wrong projections, normalisations and foldings of decoder rows.
 * @module
 */
import { normaliseRows, projectGradient } from '../../reference/decoder-norm.ts';
import { dot, map, matrix, norm, row, transpose, type Matrix } from '../../reference/matrix.ts';
import { foldDecoderNorm } from '../kernels/fold-decoder-norm.ts';
import { fromMatrix, numberOf, tensor, toMatrix } from '../tensors.ts';
import type { Mutant } from './mutant.ts';

/** Gradient, W_dec and epsilon → gradient. */
function projecting(
  project: (gradient: Matrix, W_dec: Matrix, epsilon: number) => Matrix,
): Mutant['run'] {
  return (call) => {
    const { gradient, W_dec } = call.inputs;
    const out = project(toMatrix(gradient), toMatrix(W_dec), numberOf(call, 'epsilon'));
    return { gradient: fromMatrix(out) };
  };
}

/** Each row of g less `share` of the row of W_dec, the share from both rows. */
function lessRows(
  share: (g: Float64Array, w: Float64Array) => number,
  g: Matrix,
  W_dec: Matrix,
): Matrix {
  const shares = Float64Array.from({ length: g.rows }, (_, j) => share(row(g, j), row(W_dec, j)));
  return map(g, (value, i) => value - shares[Math.floor(i / g.cols)] * W_dec.data[i]);
}

/** W_dec and epsilon → W_dec. */
function normalising(normalise: (W_dec: Matrix, epsilon: number) => Matrix): Mutant['run'] {
  return (call) => ({
    W_dec: fromMatrix(normalise(toMatrix(call.inputs.W_dec), numberOf(call, 'epsilon'))),
  });
}

/** Each row divided by what `length` makes of it. */
function dividing(length: (w: Float64Array, epsilon: number) => number): Mutant['run'] {
  return normalising((W_dec, epsilon) => {
    const lengths = Float64Array.from({ length: W_dec.rows }, (_, j) =>
      length(row(W_dec, j), epsilon),
    );
    return map(W_dec, (w, i) => w / lengths[Math.floor(i / W_dec.cols)]);
  });
}

/** The matrix as one row, so that all of it shares one norm. */
const flattened = (a: Matrix): Matrix => matrix(1, a.data.length, a.data);
const like = (a: Matrix, { data }: Matrix): Matrix => matrix(a.rows, a.cols, data);

/** Everything folded by these lengths instead of by the norms of rows: encoder by one factor a latent, W_dec by value. */
function folding(
  lengths: (W_dec: Matrix) => {
    latent: (j: number) => number;
    value: (j: number, i: number) => number;
  },
): Mutant['run'] {
  return ({ inputs }) => {
    const { W_enc, b_enc, W_dec, b_dec, threshold } = inputs;
    const [d_in, d_sae] = W_enc.shape;
    const { latent, value } = lengths(toMatrix(W_dec));
    const byLatent = (t: typeof W_enc): typeof W_enc =>
      tensor(
        t.shape,
        t.data.map((each, i) => each * latent(i % d_sae)),
      );
    return {
      W_enc: byLatent(W_enc),
      b_enc: byLatent(b_enc),
      W_dec: tensor(
        W_dec.shape,
        W_dec.data.map((w, i) => w / value(Math.floor(i / d_in), i % d_in)),
      ),
      b_dec,
      threshold: byLatent(threshold),
    };
  };
}

/** One length for each latent. */
const foldingRows = (length: (w: Float64Array) => number): Mutant['run'] =>
  folding((W_dec) => {
    const latent = (j: number): number => length(row(W_dec, j));
    return { latent, value: latent };
  });

const atLeast =
  (least: number): ((w: Float64Array) => number) =>
  (w) =>
    Math.max(norm(w), least);

/** The right answer but for one tensor, which is as it was given. */
const leaving =
  (name: string): Mutant['run'] =>
  (call) => ({ ...foldDecoderNorm.reference(call), [name]: call.inputs[name] });

/** Laws that tell what is wrong. */
const folded = {
  zero: 'a zero row stays zero, and every value finite',
  alone: 'a latent folds alone as it does among others',
  same: 'the folded SAE reconstructs the same, and its acts are the given ones times decoder norm',
  gate: 'a latent is above its folded threshold where it was above its own',
} as const;

/** Laws that tell what is wrong. */
const projected = {
  zero: 'a row of W_dec that is zero leaves its gradient as it is',
  alone: 'a row projects alone as it does among others',
  parallel: 'of the part parallel to a row of norm n there remains 1 - (n / (n + epsilon))²',
} as const;

/** Laws that tell what is wrong. */
const unit = {
  zero: 'a zero row stays zero',
  alone: 'a row normalises alone as it does among others',
  norm: 'a row of norm n gets norm n / (n + epsilon)',
} as const;

export const mutants: readonly Mutant[] = [
  {
    operator: 'project-gradient',
    name: 'columns instead of rows',
    imitates:
      'dictionary_learning 5383603 and e2e_sae issue 28: the decoder norm along the wrong axis',
    diagnosis: [projected.alone],
    run: projecting((g, W_dec, epsilon) =>
      transpose(projectGradient(transpose(g), transpose(W_dec), epsilon)),
    ),
  },
  {
    operator: 'project-gradient',
    name: 'no epsilon',
    imitates:
      'bartbussmann/matryoshka_sae: a zero row becomes NaN, and nothing of the parallel part stays',
    diagnosis: [projected.zero],
    run: projecting((g, W_dec) =>
      lessRows((gradient, w) => dot(gradient, w) / dot(w, w), g, W_dec),
    ),
  },
  {
    operator: 'project-gradient',
    name: 'no epsilon, zero rows skipped',
    imitates: 'an exact projection, where the published one leaves 2e-6 of the parallel part',
    diagnosis: [projected.parallel],
    run: projecting((g, W_dec) =>
      lessRows((gradient, w) => dot(gradient, w) / (dot(w, w) || Infinity), g, W_dec),
    ),
  },
  {
    operator: 'project-gradient',
    name: 'rows of W_dec taken as they are, not at unit norm',
    imitates: 'a projection written for unit rows and given free ones',
    diagnosis: [projected.parallel],
    run: projecting((g, W_dec) => lessRows(dot, g, W_dec)),
  },
  {
    operator: 'project-gradient',
    name: 'epsilon squared with the norm: divided by ‖w‖² + epsilon',
    imitates: 'epsilon moved from the norm to its square',
    diagnosis: [projected.parallel],
    run: projecting((g, W_dec, epsilon) =>
      lessRows((gradient, w) => dot(gradient, w) / (dot(w, w) + epsilon), g, W_dec),
    ),
  },
  {
    operator: 'project-gradient',
    name: 'the parallel part added',
    imitates: 'a sign lost between the product and the difference',
    diagnosis: [projected.parallel],
    run: projecting((g, W_dec, epsilon) => {
      const kept = projectGradient(g, W_dec, epsilon);
      return map(g, (value, i) => 2 * value - kept.data[i]);
    }),
  },
  {
    operator: 'project-gradient',
    name: 'one product for the whole matrix',
    imitates: 'a reduction without its axis, as torch.sum without dim',
    diagnosis: [projected.alone],
    run: projecting((g, W_dec, epsilon) =>
      like(g, projectGradient(flattened(g), flattened(W_dec), epsilon)),
    ),
  },
  {
    operator: 'project-gradient',
    name: 'gradient left as it is',
    imitates: 'SAELens: no projection',
    diagnosis: [projected.parallel],
    run: projecting((g) => g),
  },
  {
    operator: 'normalise-rows',
    name: 'columns instead of rows',
    imitates:
      'dictionary_learning 5383603 and e2e_sae issue 28: the decoder norm along the wrong axis',
    diagnosis: [unit.alone],
    run: normalising((W_dec, epsilon) => transpose(normaliseRows(transpose(W_dec), epsilon))),
  },
  {
    operator: 'normalise-rows',
    name: 'no epsilon',
    imitates: 'bartbussmann/matryoshka_sae; SAELens pull 590: a zero decoder row becomes NaN',
    diagnosis: [unit.zero],
    run: dividing(norm),
  },
  {
    operator: 'normalise-rows',
    name: 'epsilon inside the root',
    imitates: 'a root kept from 0 instead of a norm kept from 0',
    diagnosis: [unit.norm],
    run: dividing((w, epsilon) => Math.sqrt(dot(w, w) + epsilon)),
  },
  {
    operator: 'normalise-rows',
    name: 'the larger of norm and epsilon',
    imitates: 'torch.nn.functional.normalize, and the clamp SAELens exports with',
    diagnosis: [unit.norm],
    run: dividing((w, epsilon) => Math.max(norm(w), epsilon)),
  },
  {
    operator: 'normalise-rows',
    name: 'only rows longer than 1 rescaled',
    imitates: 'a norm constraint taken for unit norm',
    diagnosis: [unit.norm],
    run: dividing((w, epsilon) => Math.max(1, norm(w) + epsilon)),
  },
  {
    operator: 'normalise-rows',
    name: 'squared norm, its root forgotten',
    imitates: 'a sum of squares taken for a norm',
    diagnosis: [unit.norm],
    run: dividing((w, epsilon) => dot(w, w) + epsilon),
  },
  {
    operator: 'normalise-rows',
    name: 'one norm for the whole matrix',
    imitates: 'torch.norm without dim',
    diagnosis: [unit.alone],
    run: normalising((W_dec, epsilon) => like(W_dec, normaliseRows(flattened(W_dec), epsilon))),
  },
  {
    operator: 'normalise-rows',
    name: 'rows of norm 0.1',
    imitates: "SAELens's decoder_init_norm, applied in every step",
    diagnosis: [unit.norm],
    run: normalising((W_dec, epsilon) => map(normaliseRows(W_dec, epsilon), (w) => 0.1 * w)),
  },
  {
    operator: 'fold-decoder-norm',
    name: 'no least norm',
    imitates: 'SAELens 006a75b (pull 590): a decoder row of norm 0 became NaN when it was folded',
    diagnosis: [folded.zero],
    run: foldingRows(norm),
  },
  {
    operator: 'fold-decoder-norm',
    name: 'norms of columns instead of rows',
    imitates:
      'dictionary_learning 5383603 and e2e_sae issue 28: the decoder norm along the wrong axis',
    diagnosis: [folded.alone],
    run: folding((W_dec) => {
      const columns = transpose(W_dec);
      const length = (i: number): number => atLeast(1e-8)(row(columns, i % columns.rows));
      return { latent: length, value: (_, i) => length(i) };
    }),
  },
  {
    operator: 'fold-decoder-norm',
    name: 'one norm for the whole matrix',
    imitates: 'torch.norm without dim',
    diagnosis: [folded.alone],
    run: folding((W_dec) => {
      const length = (): number => atLeast(1e-8)(W_dec.data);
      return { latent: length, value: length };
    }),
  },
  {
    operator: 'fold-decoder-norm',
    name: 'b_enc left as it is',
    imitates: 'W_enc scaled and its bias forgotten, as SAELens issue 354 forgot b_dec',
    diagnosis: [folded.same],
    run: leaving('b_enc'),
  },
  {
    operator: 'fold-decoder-norm',
    name: 'W_dec left as it is',
    imitates: 'SAELens pull 212: the encoder was scaled and the decoder was not',
    diagnosis: [folded.same],
    run: leaving('W_dec'),
  },
  {
    operator: 'fold-decoder-norm',
    name: 'thresholds left in units of acts',
    imitates: 'fold_W_dec_norm of a standard SAE, applied to JumpReLU',
    diagnosis: [folded.gate],
    run: leaving('threshold'),
  },
  {
    operator: 'fold-decoder-norm',
    name: 'squared norms, their roots forgotten',
    imitates: 'a sum of squares taken for a norm',
    diagnosis: [folded.same],
    run: foldingRows((w) => Math.max(dot(w, w), 1e-8)),
  },
  {
    operator: 'fold-decoder-norm',
    name: 'norms kept from falling below 1',
    imitates: 'a norm constraint taken for unit norm',
    diagnosis: [folded.same],
    run: foldingRows(atLeast(1)),
  },
];
