import { saelens, withDecision, type Dialect } from '../../../reference/dialects.ts';
import { rowNorms } from '../../../reference/decoder-norm.ts';
import { trainConfig } from '../../../reference/train-config.ts';
import type { Recording } from '../golden-vectors.ts';
import {
  auxkLatents,
  auxkLoss,
  paramQuantities,
  paramsAt,
  selected,
  stacked,
  type Quantity,
  type Source,
} from './source.ts';

/** SAELens's MatryoshkaBatchTopKTrainingSAE. */
export const saelensSource: Source = {
  folder: 'saelens',
  dialect: saelens,
  runs: ['rescaled', 'rescaled-level-aux', 'fractional-k'],
  configOf: (recording, change = (dialect) => dialect) => {
    const { config } = recording;
    const number = (name: string): number => config[name] as number;
    const decays = number('lr_decay_steps');
    return trainConfig({
      dialect: change(dialectOf(recording)),
      d_in: number('d_in'),
      d_sae: number('d_sae'),
      k: number('k'),
      steps: number('steps'),
      prefixes: config['prefixes'] as number[],
      learningRate: number('lr'),
      warmupSteps: number('lr_warm_up_steps'),
      decayStart: decays === 0 ? null : number('steps') - decays,
      cosineTo: config['lr_scheduler_name'] === 'cosineannealing' ? number('lr_end') : null,
      auxkAlpha: number('aux_loss_coefficient'),
      deadAfter: number('dead_feature_window'),
      inputScale: number('scaling_factor'),
    });
  },
  stateAt: (recording, t, r) => ({
    step: t,
    params: paramsAt(recording, r),
    m: paramsAt(recording, r, 'm.'),
    v: paramsAt(recording, r, 'v.'),
    threshold: recording.values('threshold')[r],
    sinceFired: recording.values('passes_since_fired', r),
  }),
  drawsAt: () => ({}),
  *quantities(result, recording, config, s, r): Generator<Quantity> {
    const one = (name: string, at = s): Float64Array => recording.values(name).slice(at, at + 1);
    const at = result.state.step - 1;
    // What is recorded is in units of rescaled acts.
    const rescales = recording.config['rescale_acts_by_decoder_norm'] === true;
    const norms = rescales ? rowNorms(paramsAt(recording, r - 1).W_dec) : null;
    const scaled = (values: Float64Array): Float64Array =>
      norms === null ? values : values.map((value, i) => value * norms[i % norms.length]);
    yield ['input', result.input.data, recording.values('sae_in', s)];
    yield ['pre-activations', scaled(result.pre.data), recording.values('hidden_pre', s)];
    yield ['latents', scaled(result.latents.data), recording.values('latents', s)];
    yield ['selection', selected(result.latents.data), selected(recording.values('latents', s))];
    yield ['level losses', result.levelLosses.slice(1), recording.values('level_losses', s)];
    yield ['penalty', [result.penalty], [0]];
    const positive = result.acts.data.reduce((sum, act) => sum + Number(act > 0), 0);
    yield ['positives', [positive], one('positives')];
    yield ['auxk', [config.auxkAlpha * auxkLoss(result.auxk)], one('aux')];
    yield ['auxk latents', scaled(auxkLatents(result)), recording.values('aux_latents', s)];
    if (recording.names.includes('aux_levels')) {
      const levels = config.prefixes.map(
        (_, g) => result.auxk.find(({ level }) => level === g + 1)?.loss ?? 0,
      );
      yield ['auxk of levels', levels, recording.values('aux_levels', s)];
    }
    yield ['loss', [result.loss], one('loss', at)];
    yield ['gradient norm', [result.gradientNorm], one('grad_norm')];
    yield ['learning rate', [result.learningRate], one('lr')];
    yield ['threshold', [result.state.threshold], one('threshold', r)];
    yield ['dead', [result.dead.reduce((sum, dead) => sum + dead, 0)], one('dead')];
    yield ['counts', result.state.sinceFired, recording.values('passes_since_fired', r)];
    yield ['reconstructions', stacked(result.reconstructions), recording.values('x_hat', s)];
    yield* paramQuantities(result, recording, s, r);
  },
};

/** With the run's own options. */
function dialectOf({ config }: Recording): Dialect {
  const [beta1, beta2] = config['adam_betas'] as [number, number];
  let dialect = withDecision(saelens, 'adam.beta1', beta1);
  dialect = withDecision(dialect, 'adam.beta2', beta2);
  dialect = withDecision(dialect, 'threshold.decay', 1 - (config['topk_threshold_lr'] as number));
  if (config['use_matryoshka_aux_loss'] === true) {
    dialect = withDecision(dialect, 'auxk.levels', 'each');
  }
  return config['rescale_acts_by_decoder_norm'] === true
    ? dialect
    : withDecision(dialect, 'select.score', 'acts');
}
