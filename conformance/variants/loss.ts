/**
 * loss: squares in any order.
 * @module
 */
import { dictionaryLearning } from '../../reference/dialects.ts';
import { levelCoefficients } from '../../reference/loss.ts';
import type { Call, Tensors } from '../kernel.ts';
import { fromVector, numbersOf, scalar } from '../tensors.ts';
import { sum, sumOfSquares, type Arithmetic } from './arithmetic.ts';

/** Mean over rows of ‖x̂_g - x‖², and the mean over levels of its weighted values. */
export function loss(call: Call, arithmetic: Arithmetic): Tensors {
  const { x, reconstructions } = call.inputs;
  const { round, store } = arithmetic;
  const weights = numbersOf(call, 'level_weights');
  const d_in = x.shape[x.shape.length - 1];
  levelCoefficients(weights, d_in, dictionaryLearning); // refuses weights that are none
  const size = x.data.length;
  const losses = Float64Array.from(weights, (_, g) => {
    const miss = x.data.map((value, i) => round(reconstructions.data[g * size + i] - value));
    return round(sumOfSquares(arithmetic, miss) / (size / d_in));
  });
  const weighted = losses.map((value, g) => round(round(weights[g]) * value));
  const total = round(sum(arithmetic, weighted, weighted.length) / weights.length);
  return { level_losses: fromVector(losses.map(store)), loss: scalar(store(total)) };
}
