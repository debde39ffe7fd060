/**
 * Wrong gradients.
 * @module
 */
import { dictionaryLearning, type Dialect } from '../../reference/dialects.ts';
import { suffixSums } from '../../reference/gradients.ts';
import {
  columnSums,
  dot,
  matrix,
  row,
  scale,
  subtract,
  type Matrix,
} from '../../reference/matrix.ts';
import type { Call, Tensors } from '../kernel.ts';
import { inputsOf, type GradientInputs } from '../kernels/gradient-bounds.ts';
import { gradients, gradientTensors } from '../kernels/gradients.ts';
import { fromVector, numbersOf, tensor } from '../tensors.ts';
import { toBfloat16 } from './bfloat16.ts';
import { agreement, nonFinite, type Mutant } from './mutant.ts';

/** The reference under other level weights. */
function weighing(weights: (given: readonly number[], call: Call) => readonly number[]) {
  return (call: Call): Tensors => {
    const level_weights = weights(numbersOf(call, 'level_weights'), call);
    return gradients.reference({ ...call, config: { ...call.config, level_weights } });
  };
}

/** The reference from changed intermediate values, or under other decisions. */
function changing(
  change: (inputs: GradientInputs) => Partial<GradientInputs>,
  decisions: Partial<Dialect> = {},
) {
  return (call: Call): Tensors => {
    const inputs = inputsOf(call);
    return gradientTensors(
      { ...inputs, ...change(inputs) },
      { ...dictionaryLearning, ...decisions },
    );
  };
}

/** Each level's latents receive what `upstream` makes of the suffix sums T_0..T_G. */
function receiving(upstream: (sums: readonly Matrix[]) => readonly Matrix[]) {
  return changing(({ forward, coefficients }) => {
    const given = upstream(suffixSums(forward.errors, coefficients));
    // The differences of neighbours, whose suffix sums are what is given.
    const own = given.map((sum, g) => (g + 1 < given.length ? subtract(sum, given[g + 1]) : sum));
    return {
      forward: { ...forward, errors: own.map((error) => scale(error, error.rows / 2)) },
      coefficients: coefficients.map(() => 1),
    };
  });
}

/** The reference with one gradient replaced. */
function replacing(
  name: string,
  replace: (outputs: Tensors, inputs: GradientInputs, call: Call) => Float64Array,
) {
  return (call: Call): Tensors => {
    const outputs = gradients.reference(call);
    const data = replace(outputs, inputsOf(call), call);
    return { ...outputs, [name]: tensor(outputs[name].shape, data) };
  };
}

/** W_enc times the gradient of b_enc: what b_dec receives through the encoder, with the sign changed. */
function throughEncoder(outputs: Tensors, { params }: GradientInputs): Float64Array {
  const sums = outputs['grad.b_enc'].data;
  return params.b_dec.map((_, i) => dot(row(params.W_enc, i), sums));
}

/** b_enc receives T·w in every row where the latent is active in any: as δ without its mask. */
function leaking(call: Call): Tensors {
  const outputs = gradients.reference(call);
  const { forward, params, prefixes, coefficients } = inputsOf(call);
  const sums = suffixSums(forward.errors, coefficients);
  const leaked = outputs['grad.b_enc'].data.map((value, j) => {
    const level = sums[prefixes.findIndex((m) => j < m) + 1];
    let sum = value;
    for (let b = 0; b < level.rows; b++) {
      if (forward.latents.data[b * forward.latents.cols + j] > 0) continue;
      sum += dot(row(level, b), row(params.W_dec, j));
    }
    return sum;
  });
  return { ...outputs, 'grad.b_enc': fromVector(leaked) };
}

/** Every inner boundary one later, while there is room. */
const shifted = (prefixes: readonly number[]): number[] =>
  prefixes.map((m, g) => (g + 1 < prefixes.length && m + 1 < prefixes[g + 1] ? m + 1 : m));

const zeros = ({ rows, cols }: Matrix): Matrix => matrix(rows, cols);

/** Laws that tell what is wrong. */
const law = {
  unselected: 'a latent selected in no row has no gradient, exactly',
  prefix: 'a level alone gives latents beyond its prefix no gradient, exactly',
  detached: 'auxk changes no gradient of a latent it did not choose',
  inner: 'a level alone teaches its prefix the same wherever inner boundaries lie',
  auxk: 'without levels, a decoder row gets the values auxk chose times the gradient of auxk',
  rows: 'gradients of a batch are the mean of those of its rows, auxk apart',
  W_dec: 'the gradient of W_dec is the slope of the loss along it, the selection held fixed',
  b_enc: 'the gradient of b_enc is the slope of the loss along it, the selection held fixed',
  W_enc: 'the gradient of W_enc is the slope of the loss along it, the selection held fixed',
  b_dec: 'the gradient of b_dec is the slope of the loss along it, the selection held fixed',
} as const;

export const mutants: readonly Mutant[] = [
  {
    operator: 'gradients',
    name: 'suffix sums shifted by one group',
    imitates: 'T_{g+1} taken for T_g: a group misses its own level',
    diagnosis: [law.inner],
    run: receiving((sums) => [sums[0], ...sums.slice(2), zeros(sums[0])]),
  },
  {
    operator: 'gradients',
    name: 'suffix sums begun one level early',
    imitates: 'T_{g-1} taken for T_g: a group hears of the level before its own',
    diagnosis: [law.prefix],
    run: receiving((sums) => [sums[0], sums[0], ...sums.slice(1, -1)]),
  },
  {
    operator: 'gradients',
    name: "only the level's own residual",
    imitates: 'appendix G.2 of the Matryoshka SAE paper: x̂_{g-1} held constant',
    diagnosis: [law.inner],
    run: receiving((sums) =>
      sums.map((sum, g) => (g > 0 && g + 1 < sums.length ? subtract(sum, sums[g + 1]) : sum)),
    ),
  },
  {
    operator: 'gradients',
    name: 'only the full reconstruction counts',
    imitates: 'a plain SAE: every group hears of the last level alone',
    diagnosis: [law.W_dec],
    run: receiving((sums) => sums.map(() => sums[sums.length - 1])),
  },
  {
    operator: 'gradients',
    name: 'the last weight for every level',
    imitates: 'dictionary_learning commit 43421f5: a stale loop index, silent with equal weights',
    diagnosis: [law.inner, law.W_dec],
    run: weighing((weights) => weights.map(() => weights[weights.length - 1])),
  },
  {
    operator: 'gradients',
    name: 'levels weighted and summed, not averaged',
    imitates: 'SAELens sums levels; dictionary_learning averages after weighting',
    diagnosis: [law.inner, law.W_dec],
    run: weighing((weights) => weights.map((weight) => weight * weights.length)),
  },
  {
    operator: 'gradients',
    name: 'summed over rows',
    imitates: 'a mean whose divisor is missing backwards',
    diagnosis: [law.rows],
    run: weighing((weights, { inputs }) => weights.map((weight) => weight * inputs.x.shape[0])),
  },
  {
    operator: 'gradients',
    name: 'averaged over rows and dimensions',
    imitates: 'Listing 1 of the Matryoshka SAE paper: .mean() over all elements',
    diagnosis: [law.W_dec],
    run: weighing((weights, { inputs }) => weights.map((weight) => weight / inputs.x.shape[1])),
  },
  {
    operator: 'gradients',
    name: 'without the factor 2',
    imitates: 'the ½ of textbooks, backwards only',
    diagnosis: [law.W_dec],
    run: weighing((weights) => weights.map((weight) => weight / 2)),
  },
  {
    operator: 'gradients',
    name: 'groups cut one latent late',
    imitates: 'a boundary taken as inclusive, backwards only',
    diagnosis: [law.prefix],
    run: changing(({ prefixes }) => ({ prefixes: shifted(prefixes) })),
  },
  {
    operator: 'gradients',
    name: 'no path from b_dec through the encoder',
    imitates: 'b_dec trained as a bias of the decoder alone',
    diagnosis: [law.b_dec],
    run: replacing('grad.b_dec', (outputs, inputs) => {
      const through = throughEncoder(outputs, inputs);
      return outputs['grad.b_dec'].data.map((value, i) => value + through[i]);
    }),
  },
  {
    operator: 'gradients',
    name: 'b_dec hears of the last level alone',
    imitates: 'b_dec taken as a part of the full reconstruction only',
    diagnosis: [law.b_dec],
    run: replacing('grad.b_dec', (outputs, inputs) => {
      const { forward, coefficients } = inputs;
      const last = columnSums(suffixSums(forward.errors, coefficients).at(-1)!);
      const through = throughEncoder(outputs, inputs);
      return last.map((value, i) => value - through[i]);
    }),
  },
  {
    operator: 'gradients',
    name: 'W_enc from x instead of x - b_dec',
    imitates: 'noanabeshima/matryoshka-saes does not subtract b_dec',
    diagnosis: [law.W_enc],
    run: replacing('grad.W_enc', (_outputs, inputs) => {
      const encode = { ...dictionaryLearning.encode, subtractsDecoderBias: false };
      const tensors = gradientTensors(inputs, { ...dictionaryLearning, encode });
      return tensors['grad.W_enc'].data;
    }),
  },
  {
    operator: 'gradients',
    name: 'b_enc untrained',
    imitates: 'bartbussmann/matryoshka_sae: b_enc is a parameter and gets no gradient',
    diagnosis: [law.b_enc],
    run: replacing('grad.b_enc', (outputs) => outputs['grad.b_enc'].data.map(() => 0)),
  },
  {
    operator: 'gradients',
    name: 'a gradient for latents that were not selected',
    imitates: 'the mask of the selection left out, as in a straight-through estimator',
    diagnosis: [law.unselected],
    run: leaking,
  },
  {
    operator: 'gradients',
    name: 'auxk never propagated',
    imitates: 'crosscode pull 3: auxk computed and logged, without any effect',
    diagnosis: [law.auxk],
    run: changing(({ forward }) => {
      const auxk = forward.auxk.map((term) => ({ ...term, gradient: zeros(term.gradient) }));
      return { forward: { ...forward, auxk } };
    }),
  },
  {
    operator: 'gradients',
    name: 'alpha applied to auxk once more',
    imitates: 'dictionary_learning pull 34: the weight applied twice',
    diagnosis: [law.auxk],
    run: changing(({ forward }) => {
      const auxk = forward.auxk.map((term) => ({
        ...term,
        gradient: scale(term.gradient, 1 / 32),
      }));
      return { forward: { ...forward, auxk } };
    }),
  },
  {
    operator: 'gradients',
    name: 'residual of auxk not detached',
    imitates: 'BatchTopK issue 4, sparsify issue 57, SAELens pull 432, dictionary_learning db2b564',
    diagnosis: [law.detached],
    run: changing(() => ({}), {
      auxk: { ...dictionaryLearning.auxk, residual: 'attached' },
    }),
  },
  {
    operator: 'gradients',
    name: 'auxk trains the decoder alone',
    imitates: 'latents of auxk detached from the encoder',
    diagnosis: [law.b_enc, law.W_enc],
    run: (call) => {
      const none = tensor(
        call.inputs.auxk_latents.shape,
        new Float64Array(call.inputs.auxk_latents.data.length),
      );
      const main = gradients.reference({ ...call, inputs: { ...call.inputs, auxk_latents: none } });
      return { ...main, 'grad.W_dec': gradients.reference(call)['grad.W_dec'] };
    },
  },
  {
    operator: 'gradients',
    name: 'W_dec stored in bfloat16',
    imitates: 'a product of latents and errors whose accumulator is as narrow as its operands',
    diagnosis: [agreement],
    run: replacing('grad.W_dec', (outputs) => outputs['grad.W_dec'].data.map(toBfloat16)),
  },
  {
    operator: 'gradients',
    name: 'NaN becomes 0',
    imitates: 'gradients sanitised before they are clipped',
    diagnosis: [nonFinite],
    run: (call) =>
      Object.fromEntries(
        Object.entries(gradients.reference(call)).map(([name, { shape, data }]) => [
          name,
          tensor(
            shape,
            data.map((value) => (Number.isFinite(value) ? value : 0)),
          ),
        ]),
      ),
  },
];
