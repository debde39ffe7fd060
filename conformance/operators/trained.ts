/**
 * Operators of `matryoshka run`: what is done with a trained SAE.
 * @module
 */
import { foldDecoderNorm } from '../../reference/decoder-norm.ts';
import { infer } from '../../reference/infer.ts';
import { foldInputScale } from '../../reference/input-norm.ts';
import { type SaeParams } from '../../reference/params.ts';
import {
  aNumber,
  decisionWord,
  has,
  numberOf,
  requireTensor,
  restored,
  rowsOf,
  scalarOf,
  type Given,
  type RunOperator,
} from './operator.ts';
import { paramsOf, paramTensors, requireThreshold, paramWords } from './step-case.ts';
import { scalar } from '../tensors.ts';
import { paramInputs, paramOutputs, paramsGiven } from './backward.ts';

const foldInputs: RunOperator['inputs'] = {
  ...paramInputs(),
  threshold: {
    words: '() or (d_sae): of JumpReLU one for each latent',
    optional: 'as the dialect starts it; JumpReLU needs it',
  },
};

const usesOwnThresholds = ({ dialect }: Given): boolean =>
  dialect.inference.gate === 'latent-thresholds';

/** Parameters, and the cut for all latents beside them. @throws UsageError where JumpReLU's thresholds are missing. */
function trained(given: Given): { params: SaeParams; threshold: number } {
  const jump = usesOwnThresholds(given);
  requireThreshold(given, jump, given.sizes['d_sae']);
  if (jump) requireTensor(given, 'threshold', `dialect ${given.dialect.name} has one a latent`);
  const scalarThreshold = !jump && has(given, 'threshold');
  return {
    params: paramsOf(given, '', jump),
    threshold: scalarThreshold ? scalarOf(given, 'threshold') : given.dialect.threshold.start,
  };
}

export const afterTraining: readonly RunOperator[] = [
  {
    name: 'fold-input-scale',
    summary: 'parameters that do on x what the given ones do on scale · x',
    inputs: foldInputs,
    outputs: { ...paramWords(), threshold: '() or (d_sae)' },
    config: {
      scale: aNumber('what x was multiplied by in training'),
      folds: decisionWord('input.folds', ['into-biases', 'into-weights']),
      score: decisionWord('select.score', ['acts', 'acts-times-decoder-norm']),
    },
    run: (given) => {
      const scale = numberOf(given, 'scale');
      if (!(scale > 0)) throw new RangeError(`scale: expected a number > 0, got ${scale}`);
      const { params, threshold } = trained(given);
      const folded = foldInputScale(params, threshold, scale, given.dialect);
      return { threshold: scalar(folded.threshold), ...paramTensors(folded.params) };
    },
  },
  {
    name: 'fold-decoder-norm',
    summary: 'parameters with unit decoder rows and the same reconstruction',
    inputs: paramInputs(),
    outputs: paramOutputs(),
    config: {},
    run: (given) => paramTensors(foldDecoderNorm(paramsGiven(given))),
  },
  {
    name: 'infer',
    summary: 'what a trained SAE does: latents of x, and x̂ from them',
    inputs: {
      x: { words: '(…, d_in)' },
      ...foldInputs,
      mean_norm: {
        words: '(): running mean of row norms that training ended with',
        optional: '0; dialects that divide by it need it',
      },
      first_threshold: {
        words: '(): of the selection before a refinement',
        optional: 'without encode.refinement',
      },
    },
    outputs: { latents: '(…, d_sae): in the dialect’s units', reconstruction: '(…, d_in)' },
    config: {},
    run: (given) => {
      const { dialect } = given;
      const { params, threshold } = trained(given);
      if (dialect.input.normaliser === 'running-mean-norm') {
        requireTensor(given, 'mean_norm', `dialect ${dialect.name} divides by it`);
      }
      if (dialect.inference.gate === 'threshold') {
        requireTensor(given, 'threshold', `dialect ${dialect.name} cuts latents at it`);
      }
      if (dialect.encode.refinement > 0) {
        requireTensor(
          given,
          'first_threshold',
          `dialect ${dialect.name} selects before it refines`,
        );
      }
      const meanNorm = has(given, 'mean_norm') ? scalarOf(given, 'mean_norm') : 0;
      const inferred = infer(
        rowsOf(given, 'x'),
        params,
        threshold,
        dialect,
        meanNorm,
        has(given, 'first_threshold') ? scalarOf(given, 'first_threshold') : undefined,
      );
      return {
        latents: restored(given, inferred.latents),
        reconstruction: restored(given, inferred.reconstruction),
      };
    },
  },
];
