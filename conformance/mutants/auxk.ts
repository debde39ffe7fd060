/**
 * Wrong auxiliary losses.
 * @module
 */
import { auxk as auxkReference } from '../../reference/auxk.ts';
import { dictionaryLearning, type Dialect } from '../../reference/dialects.ts';
import { columnMeans, dot, matrix, type Matrix } from '../../reference/matrix.ts';
import { batchTopK } from '../../reference/select.ts';
import type { Call, Tensors } from '../kernel.ts';
import { auxk } from '../kernels/auxk.ts';
import { fromMatrix, numberOf, scalar, tensor, toMatrix } from '../tensors.ts';
import { nonFinite, type Mutant } from './mutant.ts';

/** The reference under other decisions. */
function deciding(decisions: (call: Call) => Partial<Dialect['auxk']>): Mutant['run'] {
  return (call): Tensors => {
    const { residual, acts, W_dec, dead } = call.inputs;
    const { loss, latents, gradient } = auxkReference(
      toMatrix(residual),
      toMatrix(acts),
      toMatrix(W_dec),
      Uint8Array.from(dead.data),
      numberOf(call, 'alpha'),
      { ...dictionaryLearning, auxk: { ...dictionaryLearning.auxk, ...decisions(call) } },
    );
    return { loss: scalar(loss), latents: fromMatrix(latents), gradient: fromMatrix(gradient) };
  };
}

/** The reference on one changed input. */
function changing(
  name: string,
  change: (value: number, index: number, call: Call) => number,
): Mutant['run'] {
  return (call): Tensors => {
    const { shape, data } = call.inputs[name];
    const changed = tensor(
      shape,
      data.map((value, i) => change(value, i, call)),
    );
    return auxk.reference({ ...call, inputs: { ...call.inputs, [name]: changed } });
  };
}

/** The reference with its loss and gradient multiplied. */
function scaling(factors: (call: Call) => { loss?: number; gradient?: number }): Mutant['run'] {
  return (call): Tensors => {
    const { loss, latents, gradient } = auxk.reference(call);
    const factor = factors(call);
    return {
      loss: scalar(loss.data[0] * (factor.loss ?? 1)),
      latents,
      gradient: tensor(
        gradient.shape,
        gradient.data.map((value) => value * (factor.gradient ?? 1)),
      ),
    };
  };
}

/** Chooses by a rule of its own, then fits as the reference does: what is not chosen is 0. */
function choosing(choose: (acts: Matrix, dead: Float64Array, k: number) => Matrix): Mutant['run'] {
  return (call): Tensors => {
    const { acts, dead, residual } = call.inputs;
    const count = dead.data.filter((flag) => flag === 1).length;
    const k = Math.min(Math.floor(residual.shape[1] / 2), count);
    const chosen = fromMatrix(choose(toMatrix(acts), dead.data, k));
    return auxk.reference({ ...call, inputs: { ...call.inputs, acts: chosen } });
  };
}

const onlyDead = (acts: Matrix, dead: Float64Array): Matrix =>
  matrix(
    acts.rows,
    acts.cols,
    acts.data.map((act, i) => act * dead[i % dead.length]),
  );

/** The k smallest positive acts of dead latents in each row. */
function smallest(acts: Matrix, dead: Float64Array, k: number): Matrix {
  const candidates = onlyDead(acts, dead);
  const kept = candidates.data.map((act, i) => {
    const start = i - (i % acts.cols);
    const others = candidates.data.subarray(start, start + acts.cols);
    return others.filter((other) => other > 0 && other < act).length < k ? act : 0;
  });
  return matrix(acts.rows, acts.cols, kept);
}

/** Mean square of the residual over its variance about the mean row. */
function squareOverVariance({ inputs }: Call): number {
  const { rows, cols, data } = toMatrix(inputs.residual);
  const mean = columnMeans({ rows, cols, data });
  const centred = data.map((value, i) => value - mean[i % cols]);
  return dot(data, data) / dot(centred, centred);
}

/** The reference, and `otherwise` where it throws or answers with NaN or infinity. */
function guarded(otherwise: (call: Call) => Tensors): Mutant['run'] {
  return (call): Tensors => {
    try {
      const outputs = auxk.reference(call);
      const finite = Object.values(outputs).every(({ data }) => data.every(Number.isFinite));
      return finite ? outputs : otherwise(call);
    } catch {
      return otherwise(call);
    }
  };
}

const nothing = ({ inputs: { acts, residual } }: Call): Tensors => ({
  loss: scalar(0),
  latents: tensor(acts.shape, new Float64Array(acts.data.length)),
  gradient: tensor(residual.shape, new Float64Array(residual.data.length)),
});

const someDead = ({ inputs }: Call): boolean => inputs.dead.data.includes(1);

/** Laws that tell what is wrong. */
const law = {
  choice: 'chooses the k_aux largest acts of dead latents in each row, unchanged',
  live: 'acts of latents that are not dead do not matter',
  none: 'with no dead latent loss, latents and gradient are exactly 0, whatever the residual',
  alpha: 'alpha scales the gradient, and neither loss nor latents',
  fit: 'a residual that the chosen latents decode to costs nothing, exactly',
  scale: 'residual and acts s times as large leave the loss as it is and divide the gradient by s',
  slope: 'the gradient is the slope of the loss along the auxiliary reconstruction',
  variance:
    'where no dead latent is active the loss is the mean square of the residual over its variance',
  refused: 'a residual without variance is refused, or shows as NaN or infinity',
} as const;

export const mutants: readonly Mutant[] = [
  {
    operator: 'auxk',
    name: 'live latents chosen instead of dead ones',
    imitates: 'an inverted mask',
    diagnosis: [law.choice, law.live],
    run: changing('dead', (flag) => 1 - flag),
  },
  {
    operator: 'auxk',
    name: 'dead mask ignored once a latent is dead',
    imitates: 'top k_aux taken before the mask is applied',
    diagnosis: [law.choice, law.live],
    run: changing('dead', (flag, _i, call) => (someDead(call) ? 1 : flag)),
  },
  {
    operator: 'auxk',
    name: 'acts after selection',
    imitates: 'dictionary_learning pull 36: post-selection acts, which are zero for dead latents',
    diagnosis: [law.choice],
    run: changing('acts', () => 0),
  },
  {
    operator: 'auxk',
    name: 'a bias added to the auxiliary reconstruction',
    imitates: 'sparsify issue 132 and SAELens pull 644: b_dec added again',
    // ê + 1 - e; the variance of e - 1 is that of e.
    diagnosis: [law.fit],
    run: changing('residual', (value) => value - 1),
  },
  {
    operator: 'auxk',
    name: 'residual with the wrong sign',
    imitates: 'x̂ - x fitted where x - x̂ is left over',
    diagnosis: [law.fit],
    run: changing('residual', (value) => -value),
  },
  {
    operator: 'auxk',
    name: 'not normalised',
    imitates: 'SAELens and bartbussmann/matryoshka_sae leave the normaliser out',
    diagnosis: [law.scale],
    run: deciding(() => ({ normaliser: 'none' })),
  },
  {
    operator: 'auxk',
    name: 'normalised by the mean square',
    imitates: 'the residual taken to have mean zero',
    diagnosis: [law.variance],
    run: scaling((call) => {
      const factor = someDead(call) ? 1 / squareOverVariance(call) : 1;
      return { loss: factor, gradient: factor };
    }),
  },
  {
    operator: 'auxk',
    name: 'mean over all elements',
    imitates: 'dictionary_learning pull 36 and bartbussmann/matryoshka_sae: mean over d_in as well',
    diagnosis: [law.variance],
    run: deciding(() => ({ overDimensions: 'mean' })),
  },
  {
    operator: 'auxk',
    name: 'scaled by the share of dead latents',
    imitates: 'SAELens multiplies by min(dead / floor(d_in / 2), 1)',
    diagnosis: [law.variance],
    run: deciding(({ inputs }) => ({
      scale: inputs.residual.shape[1] > 1 ? 'dead-fraction' : 'none',
    })),
  },
  {
    operator: 'auxk',
    name: 'k_aux from d_sae',
    imitates: 'SAELens pull 432: half of d_sae instead of half of d_in',
    diagnosis: [law.choice],
    run: deciding(({ inputs }) => ({ k: Math.floor(inputs.dead.data.length / 2) })),
  },
  {
    operator: 'auxk',
    name: 'k_aux rounded up',
    imitates: 'ceil(d_in / 2)',
    diagnosis: [law.choice],
    run: deciding(({ inputs }) => ({ k: Math.ceil(inputs.residual.shape[1] / 2) })),
  },
  {
    operator: 'auxk',
    name: 'k_aux of 512',
    imitates: 'bartbussmann/matryoshka_sae: a fixed number',
    diagnosis: [law.choice],
    run: deciding(() => ({ k: 512 })),
  },
  {
    operator: 'auxk',
    name: 'the smallest acts chosen',
    imitates: 'an ascending sort',
    diagnosis: [law.choice],
    run: choosing(smallest),
  },
  {
    operator: 'auxk',
    name: 'chosen over the batch instead of in each row',
    imitates: 'BatchTopK, as the main selection uses, for auxk',
    diagnosis: [law.choice],
    run: choosing((acts, dead, k) => batchTopK(onlyDead(acts, dead), k)),
  },
  {
    operator: 'auxk',
    name: 'nothing chosen while fewer latents are dead than k_aux',
    imitates: 'a fixed k_aux that needs as many candidates',
    diagnosis: [law.choice],
    run: (call) => {
      const dead = call.inputs.dead.data.filter((flag) => flag === 1).length;
      const enough = dead >= Math.floor(call.inputs.residual.shape[1] / 2);
      return enough ? auxk.reference(call) : nothing(call);
    },
  },
  {
    operator: 'auxk',
    name: 'alpha in the loss as well',
    imitates: 'dictionary_learning pull 34: the weight applied twice',
    diagnosis: [law.alpha],
    run: scaling((call) => ({ loss: numberOf(call, 'alpha') })),
  },
  {
    operator: 'auxk',
    name: 'alpha twice in the gradient',
    imitates: 'dictionary_learning pull 34: the weight applied twice',
    diagnosis: [law.alpha],
    run: scaling((call) => ({ gradient: numberOf(call, 'alpha') })),
  },
  {
    operator: 'auxk',
    name: 'gradient summed over rows',
    imitates: 'a mean whose divisor is missing backwards',
    diagnosis: [law.slope],
    run: scaling(({ inputs }) => ({ gradient: inputs.residual.shape[0] })),
  },
  {
    operator: 'auxk',
    name: 'gradient without the factor 2',
    imitates: 'the ½ of textbooks, backwards only',
    diagnosis: [law.slope],
    run: scaling(() => ({ gradient: 0.5 })),
  },
  {
    operator: 'auxk',
    name: 'alpha added instead of multiplied',
    imitates: 'dictionary_learning commit a3b71f7: l2 + alpha + auxk, not 0 with no dead latent',
    diagnosis: [law.none, law.alpha],
    run: (call) => {
      const outputs = auxk.reference(call);
      return { ...outputs, loss: scalar(outputs.loss.data[0] + numberOf(call, 'alpha')) };
    },
  },
  {
    operator: 'auxk',
    name: 'NaN becomes 0',
    imitates: 'dictionary_learning: nan_to_num(0.0) on a quotient whose divisor may be 0',
    diagnosis: [law.refused, nonFinite],
    run: guarded(nothing),
  },
  {
    operator: 'auxk',
    name: 'normaliser kept from 0 by an epsilon',
    imitates: 'the usual guard of a division: one row then gets a loss of 10⁸ times its square',
    diagnosis: [law.refused],
    run: (call) =>
      guarded((spoiled) => {
        if (!Object.values(spoiled.inputs).every(({ data }) => data.every(Number.isFinite))) {
          return auxk.reference(spoiled);
        }
        const { loss, latents, gradient } = deciding(() => ({ normaliser: 'none' }))(
          spoiled,
        ) as Tensors;
        return { loss: scalar(loss.data[0] * 1e8), latents, gradient };
      })(call),
  },
];
