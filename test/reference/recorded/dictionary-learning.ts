import { dictionaryLearning, withDecision } from '../../../reference/dialects.ts';
import { geometricMedian } from '../../../reference/geometric-median.ts';
import { trainConfig } from '../../../reference/train-config.ts';
import {
  auxkLoss,
  paramQuantities,
  paramsAt,
  selected,
  stacked,
  type Quantity,
  type Source,
} from './source.ts';

/** dictionary_learning's MatryoshkaBatchTopKTrainer. */
export const dictionaryLearningSource: Source = {
  folder: 'dictionary-learning',
  dialect: dictionaryLearning,
  runs: ['three-groups', 'four-groups', 'one-dimension'],
  configOf: (recording, change = (dialect) => dialect) => {
    const { config } = recording;
    const number = (name: string): number => config[name] as number;
    return trainConfig({
      dialect: change(
        withDecision(dictionaryLearning, 'threshold.decay', number('threshold_beta')),
      ),
      d_in: number('d_in'),
      d_sae: number('d_sae'),
      k: number('k'),
      steps: number('steps'),
      prefixes: config['prefixes'] as number[],
      levelWeights: config['group_weights'] as number[],
      learningRate: number('lr'),
      warmupSteps: number('warmup_steps'),
      decayStart: config['decay_start'] as number | null,
      auxkAlpha: number('auxk_alpha'),
      deadAfter: number('dead_feature_threshold'),
      thresholdStartStep: number('threshold_start_step'),
    });
  },
  stateAt: (recording, t, r) => ({
    step: t,
    params: paramsAt(recording, r),
    m: paramsAt(recording, r, 'm.'),
    v: paramsAt(recording, r, 'v.'),
    threshold: recording.values('threshold')[r],
    sinceFired: recording.values('tokens_since_fired', r),
  }),
  drawsAt: () => ({}),
  *quantities(result, recording, _config, s, r): Generator<Quantity> {
    const one = (name: string, at = s): Float64Array => recording.values(name).slice(at, at + 1);
    yield ['latents', result.latents.data, recording.values('latents', s)];
    yield ['selection', selected(result.latents.data), selected(recording.values('latents', s))];
    yield ['level losses', result.levelLosses.slice(1), recording.values('level_losses', s)];
    yield ['reconstruction loss', [result.reconstructionLoss], one('l2')];
    yield ['auxk', [auxkLoss(result.auxk)], one('auxk')];
    yield ['penalty', [result.penalty], [0]];
    yield ['loss', [result.loss], one('loss')];
    yield ['gradient norm', [result.gradientNorm], one('grad_norm')];
    yield ['learning rate', [result.learningRate], one('lr')];
    yield ['threshold', [result.state.threshold], one('threshold', r)];
    yield ['dead', [result.dead.reduce((sum, dead) => sum + dead, 0)], one('dead')];
    yield ['counts', result.state.sinceFired, recording.values('tokens_since_fired', r)];
    const positive = result.acts.data.reduce((sum, act) => sum + Number(act > 0), 0);
    yield ['positives', [positive], one('positives')];
    if (result.state.step === 1 && recording.names.includes('b_dec_init')) {
      yield ['b_dec at the start', geometricMedian(result.input), recording.values('b_dec_init')];
    }
    yield ['reconstructions', stacked(result.reconstructions), recording.values('x_hat', s)];
    yield* paramQuantities(result, recording, s, r);
  },
};
