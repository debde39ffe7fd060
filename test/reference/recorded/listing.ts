/**
 * The paper's Listing 1, line by line on nested lists; no recording of it exists. It has no b_enc and no auxiliary loss.
 */
import { paper } from '../../../reference/dialects/paper.ts';
import { fromRows, type Matrix } from '../../../reference/matrix.ts';
import { zeroParams } from '../../../reference/params.ts';
import { trainConfig } from '../../../reference/train-config.ts';
import { trainStep } from '../../../reference/train-step.ts';
import type { Case } from './operators/case.ts';

type Rows = readonly (readonly number[])[];

const x: Rows = [
  [0.9, -1.2, 0.4],
  [-0.3, 0.8, 1.1],
  [1.4, 0.2, -0.7],
];
const W_enc: Rows = [
  [0.7, -0.4, 0.9, 0.1, -0.8],
  [-0.5, 0.6, 0.2, -0.9, 0.3],
  [0.2, 0.8, -0.6, 0.5, 0.4],
];
const W_dec: Rows = [
  [0.6, -0.5, 0.3],
  [-0.2, 0.9, 0.7],
  [1.1, 0.1, -0.6],
  [0.2, -0.8, 0.5],
  [-0.9, 0.4, 0.3],
];
const b_dec = [0.1, -0.2, 0.05];
const prefixes = [2, 3, 5];
const k = 2;

/** Listing 1: acts of the whole batch, then each prefix's reconstruction and the mean of its squared error, added up. */
function listing(): { acts: number[]; loss: number } {
  const relu = x.map((row) =>
    W_enc[0].map((_, j) =>
      Math.max(
        row.reduce((sum, value, i) => sum + (value - b_dec[i]) * W_enc[i][j], 0),
        0,
      ),
    ),
  );
  const cut = relu.flat().sort((a, b) => b - a)[k * x.length - 1];
  const acts = relu.map((row) => row.map((act) => (act >= cut ? act : 0)));
  let loss = 0;
  for (const m of prefixes) {
    let sum = 0;
    acts.forEach((row, b) => {
      b_dec.forEach((bias, i) => {
        const reconstruction =
          bias + row.slice(0, m).reduce((total, act, j) => total + act * W_dec[j][i], 0);
        sum += (reconstruction - x[b][i]) ** 2;
      });
    });
    loss += sum / (x.length * b_dec.length);
  }
  return { acts: acts.flat(), loss };
}

const matrixOf = (rows: Rows): Matrix => fromRows(rows);

export const listingCase: Case = {
  id: 'Listing 1',
  *compare(change) {
    const dialect = change(paper);
    const [d_in, d_sae] = [3, 5];
    const config = trainConfig({ dialect, d_in, d_sae, k, steps: 2_000, prefixes });
    const params = {
      W_enc: matrixOf(W_enc),
      // The listing has none: whatever it is, it is not used.
      b_enc: Float64Array.of(0.3, -0.2, 0.1, 0.4, -0.1),
      W_dec: matrixOf(W_dec),
      b_dec: Float64Array.from(b_dec),
    };
    const zero = zeroParams(d_in, d_sae);
    const sinceFired = new Float64Array(d_sae);
    const state = { step: 1, params, m: zero, v: zero, threshold: -1, sinceFired };
    const result = trainStep(state, matrixOf(x), config);
    const { acts, loss } = listing();
    yield ['latents', result.latents.data, acts];
    yield ['loss', [result.loss], [loss]];
    // Appendix B.
    yield ['learning rate', [config.learningRate], [3e-4]];
  },
};
