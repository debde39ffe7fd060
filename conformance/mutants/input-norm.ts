/**
 * Wrong foldings of the input scale.
 * @module
 */
import type { Call, Tensor, Tensors } from '../kernel.ts';
import { foldInputScale } from '../kernels/input-norm.ts';
import { numberOf, tensor } from '../tensors.ts';
import type { Mutant } from './mutant.ts';

const honest = (call: Call): Tensors => foldInputScale.reference(call);
const intoBiases = ({ config }: Call): boolean => config['folds'] === 'into-biases';

const times = ({ shape, data }: Tensor, factor: number): Tensor =>
  tensor(
    shape,
    data.map((value) => value * factor),
  );

/** Laws that tell what is wrong. */
const law = {
  same: 'on x the folded SAE acts and reconstructs as the given one does on scale · x, up to the scale',
  gate: 'on x the folded SAE has the latents above its threshold that the given one has on scale · x',
  unset: 'a threshold that was never set stays -1 where biases are folded',
} as const;

/** The right answer but for these tensors, which are as they were given. */
function leaving(...names: readonly string[]): Mutant['run'] {
  return (call) => ({
    ...honest(call),
    ...Object.fromEntries(names.map((name) => [name, call.inputs[name]])),
  });
}

export const mutants: readonly Mutant[] = [
  {
    operator: 'fold-input-scale',
    name: 'b_dec left as it was trained',
    imitates: 'SAELens issue 354: fold_activation_norm_scaling_factor without the decoder bias',
    diagnosis: [law.same],
    run: leaving('b_dec'),
  },
  {
    operator: 'fold-input-scale',
    name: 'W_dec left as it was trained',
    imitates: 'SAELens pull 212: W_enc was scaled and W_dec was not',
    diagnosis: [law.same],
    run: leaving('W_dec'),
  },
  {
    operator: 'fold-input-scale',
    name: 'the threshold left as it was trained',
    imitates:
      'dictionary_learning efd76b1 and SAELens issue 763: the threshold stays in units of training',
    diagnosis: [law.gate],
    run: leaving('threshold'),
  },
  {
    operator: 'fold-input-scale',
    name: 'b_enc left as it was trained',
    imitates: 'one of two biases forgotten, as b_dec was in SAELens issue 354',
    diagnosis: [law.same],
    run: leaving('b_enc'),
  },
  {
    operator: 'fold-input-scale',
    name: 'nothing folded',
    imitates: 'SAELens issue 381: checkpoints before the last one were saved unscaled',
    diagnosis: [law.same],
    run: ({ inputs }) => inputs,
  },
  {
    operator: 'fold-input-scale',
    name: 'the reciprocal of the scale',
    imitates:
      'dictionary_learning divides x by its factor and SAELens multiplies x by its own: one taken for the other',
    diagnosis: [law.same],
    run: (call) =>
      honest({ ...call, config: { ...call.config, scale: 1 / numberOf(call, 'scale') } }),
  },
  {
    operator: 'fold-input-scale',
    name: 'folded twice',
    imitates: 'a checkpoint folded when it is saved and again when it is loaded',
    diagnosis: [law.same],
    run: (call) => honest({ ...call, inputs: honest(call) }),
  },
  {
    operator: 'fold-input-scale',
    name: 'b_enc multiplied with W_enc',
    imitates: 'the encoder scaled as a whole, as folding decoder norms does',
    diagnosis: [law.same],
    run: (call) => {
      const outputs = honest(call);
      if (intoBiases(call)) return outputs;
      return { ...outputs, b_enc: times(outputs.b_enc, numberOf(call, 'scale')) };
    },
  },
  {
    operator: 'fold-input-scale',
    name: 'a threshold of acts divided where they keep their units',
    imitates: 'SAELens’s rule for rescaled acts, applied where rescale_acts_by_decoder_norm is off',
    diagnosis: [law.gate],
    run: (call) => {
      const threshold = times(call.inputs.threshold, 1 / numberOf(call, 'scale'));
      return intoBiases(call) ? honest(call) : { ...honest(call), threshold };
    },
  },
  {
    operator: 'fold-input-scale',
    name: 'a threshold never set divided as well',
    imitates: 'scale_biases without the test for a threshold below 0',
    diagnosis: [law.unset],
    run: (call) => {
      const threshold = times(call.inputs.threshold, 1 / numberOf(call, 'scale'));
      return intoBiases(call) ? { ...honest(call), threshold } : honest(call);
    },
  },
];
