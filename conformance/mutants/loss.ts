/**
 * Wrong losses.
 * @module
 */
import type { Call, Tensors } from '../kernel.ts';
import { levelsOf, loss } from '../kernels/loss.ts';
import { numbersOf, scalar, tensor } from '../tensors.ts';
import { toBfloat16 } from './bfloat16.ts';
import { nonFinite, type Mutant } from './mutant.ts';

const weightsOf = (call: Call): readonly number[] => numbersOf(call, 'level_weights');

/** The reference under other weights. */
function weighing(weights: (given: readonly number[], call: Call) => readonly number[]) {
  return (call: Call): Tensors =>
    loss.reference({ ...call, config: { level_weights: weights(weightsOf(call), call) } });
}

/** The reference with every loss multiplied. */
function scaling(factor: (call: Call) => number) {
  return (call: Call): Tensors => {
    const { level_losses, loss: total } = loss.reference(call);
    const times = (data: Float64Array): Float64Array => data.map((value) => value * factor(call));
    return {
      level_losses: tensor(level_losses.shape, times(level_losses.data)),
      loss: scalar(total.data[0] * factor(call)),
    };
  };
}

/** Each level's loss from its errors, the total as it should be. */
function measuring(levelLoss: (errors: Float64Array, rows: number) => number) {
  return (call: Call): Tensors => {
    const { x, reconstructions } = call.inputs;
    const rows = x.data.length / x.shape[x.shape.length - 1];
    const level_losses = levelsOf(reconstructions).map(({ data }) =>
      levelLoss(
        data.map((value, i) => value - x.data[i]),
        rows,
      ),
    );
    const weights = weightsOf(call);
    const total = weights.reduce((sum, weight, g) => sum + weight * level_losses[g], 0);
    return {
      level_losses: tensor([weights.length], level_losses),
      loss: scalar(total / weights.length),
    };
  };
}

const sumOf = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0);
const lastDimension = ({ inputs }: Call): number => inputs.x.shape[inputs.x.shape.length - 1];

/** Laws that tell what is wrong. */
const law = {
  square: 'one value off by e costs e²',
  dims: 'the loss of a row is the sum of the losses of its dimensions',
  rows: 'the loss of a batch is the mean of the losses of its rows',
  linear: 'is linear in the level weights, and levels do not depend on them',
  alone: 'a weight at one level alone gives that level, weighted, over the number of levels',
} as const;

export const mutants: readonly Mutant[] = [
  {
    operator: 'loss',
    name: 'the last weight for every level',
    imitates: 'dictionary_learning commit 43421f5: a stale loop index, silent with equal weights',
    diagnosis: [law.alone],
    run: weighing((weights) => weights.map(() => weights[weights.length - 1])),
  },
  {
    operator: 'loss',
    name: 'level weights ignored',
    imitates: 'the total taken from the mean of unweighted levels',
    diagnosis: [law.linear],
    run: weighing((weights) => weights.map(() => 1)),
  },
  {
    operator: 'loss',
    name: 'levels weighted and summed, not averaged',
    imitates: 'SAELens sums levels; dictionary_learning averages after weighting',
    diagnosis: [law.alone],
    run: weighing((weights) => weights.map((weight) => weight * weights.length)),
  },
  {
    operator: 'loss',
    name: 'averaged over levels twice',
    imitates: 'default weights 1/G applied to a loss that is averaged already',
    diagnosis: [law.alone],
    run: weighing((weights) => weights.map((weight) => weight / weights.length)),
  },
  {
    operator: 'loss',
    name: 'weights rescaled to a sum of 1',
    imitates: 'a weighted mean as libraries define it',
    diagnosis: [law.linear],
    run: weighing((weights) => {
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      return total === 0 ? weights : weights.map((weight) => (weight * weights.length) / total);
    }),
  },
  {
    operator: 'loss',
    name: 'the last level left out of the total',
    imitates: 'a loop over inner levels, the full one counted elsewhere',
    diagnosis: [law.alone],
    run: weighing((weights) => weights.map((weight, g) => (g < weights.length - 1 ? weight : 0))),
  },
  {
    operator: 'loss',
    name: 'b_dec alone counted as a level',
    imitates: 'bartbussmann/matryoshka_sae averages over G + 1 levels',
    diagnosis: [law.alone],
    run: weighing((weights) =>
      weights.map((weight) => (weight * weights.length) / (weights.length + 1)),
    ),
  },
  {
    operator: 'loss',
    name: 'mean over all elements',
    imitates: 'Listing 1 of the Matryoshka SAE paper: .mean() instead of a sum over d_in',
    diagnosis: [law.dims],
    run: scaling((call) => 1 / lastDimension(call)),
  },
  {
    operator: 'loss',
    name: 'sum over rows',
    imitates: 'a mean that was left out',
    diagnosis: [law.rows],
    run: scaling(
      ({ inputs, ...call }) => inputs.x.data.length / lastDimension({ inputs, ...call }),
    ),
  },
  {
    operator: 'loss',
    name: 'only the first dimension counted as rows',
    imitates: 'three-dimensional input divided by x.size(0)',
    diagnosis: [law.rows],
    run: scaling(({ inputs: { x } }) => x.data.length / x.shape[x.shape.length - 1] / x.shape[0]),
  },
  {
    operator: 'loss',
    name: 'half of the squared error',
    imitates: 'the ½ of textbooks',
    diagnosis: [law.square],
    run: scaling(() => 0.5),
  },
  {
    operator: 'loss',
    name: 'root of the squared error',
    imitates: 'a norm where its square is meant',
    diagnosis: [law.square],
    run: measuring((errors, rows) => Math.sqrt(sumOf(errors.map((error) => error * error)) / rows)),
  },
  {
    operator: 'loss',
    name: 'absolute error',
    imitates: 'L1 where L2 is meant',
    diagnosis: [law.square],
    run: measuring((errors, rows) => sumOf(errors.map(Math.abs)) / rows),
  },
  {
    operator: 'loss',
    name: 'expanded square ‖x̂‖² - 2 x̂·x + ‖x‖² in float32',
    imitates: 'a matrix product for the cross term: what is left of a good fit is rounding',
    diagnosis: [law.square],
    run: (call) => {
      const { x, reconstructions } = call.inputs;
      const f = Math.fround;
      const squared = levelsOf(reconstructions).map(({ data }) => {
        let [own, cross, other] = [0, 0, 0];
        data.forEach((value, i) => {
          own = f(own + f(value * value));
          cross = f(cross + f(value * x.data[i]));
          other = f(other + f(x.data[i] * x.data[i]));
        });
        return f(f(own - f(2 * cross)) + other);
      });
      let g = 0;
      return measuring((_errors, rows) => squared[g++] / rows)(call);
    },
  },
  {
    operator: 'loss',
    name: 'squares summed in bfloat16',
    imitates: 'a loss left under autocast: from 256 equal squares on the sum stops growing',
    diagnosis: [law.square],
    run: measuring(
      (errors, rows) => errors.reduce((sum, error) => toBfloat16(sum + error * error), 0) / rows,
    ),
  },
  {
    operator: 'loss',
    name: 'NaN becomes 0',
    imitates: 'nan_to_num(0.0), as published losses guard their division with',
    diagnosis: [nonFinite],
    run: measuring((errors, rows) => {
      const sum = sumOf(errors.map((error) => error * error));
      return Number.isFinite(sum) ? sum / rows : 0;
    }),
  },
];
