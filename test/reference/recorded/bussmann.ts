import { bussmann, withDecision, type Dialect } from '../../../reference/dialects.ts';
import { normaliseRows } from '../../../reference/decoder-norm.ts';
import { normaliseInput } from '../../../reference/input-norm.ts';
import { trainConfig } from '../../../reference/train-config.ts';
import { recordedMatrix, type Recording } from '../golden-vectors.ts';
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

/** b_enc is never used: it has no gradient, and Adam no state for it. */
const trained = ['W_enc', 'W_dec', 'b_dec'] as const;

/** matryoshka_sae's GlobalBatchTopKMatryoshkaSAE. */
export const bussmannSource: Source = {
  folder: 'bussmann',
  dialect: bussmann,
  runs: ['normalised-input', 'four-groups', 'one-dimension'],
  configOf: (recording, change = (dialect) => dialect) => {
    const { config } = recording;
    const number = (name: string): number => config[name] as number;
    return trainConfig({
      dialect: change(dialectOf(recording)),
      d_in: number('d_in'),
      d_sae: number('d_sae'),
      k: number('k'),
      steps: number('steps'),
      prefixes: config['prefixes'] as number[],
      learningRate: number('lr'),
      auxkAlpha: number('aux_penalty'),
      deadAfter: number('n_batches_to_dead'),
      sparsityCoefficient: number('l1_coeff'),
    });
  },
  stateAt: (recording, t, r) => ({
    step: t,
    params: paramsAt(recording, r),
    m: paramsAt(recording, r, 'm.', trained),
    v: paramsAt(recording, r, 'v.', trained),
    threshold: recording.values('threshold')[r],
    sinceFired: recording.values('batches_since_fired', r),
  }),
  drawsAt: () => ({}),
  *quantities(result, recording, config, s, r): Generator<Quantity> {
    const one = (name: string, at = s): Float64Array => recording.values(name).slice(at, at + 1);
    yield ['input', result.input.data, recording.values('normalised', s)];
    yield ['latents', result.latents.data, recording.values('latents', s)];
    // Recorded as means over d_in.
    const levels = result.levelLosses.map((loss) => loss / config.d_in);
    yield ['selection', selected(result.latents.data), selected(recording.values('latents', s))];
    yield ['level losses', levels, recording.values('level_losses', s)];
    yield ['reconstruction loss', [result.reconstructionLoss], one('l2')];
    const positive = result.acts.data.reduce((sum, act) => sum + Number(act > 0), 0);
    yield ['positives', [positive], one('positives')];
    yield ['L0', [result.l0], one('l0')];
    yield ['auxk', [config.auxkAlpha * auxkLoss(result.auxk)], one('aux')];
    yield ['auxk latents', auxkLatents(result), recording.values('aux_latents', s)];
    yield [
      'loss',
      [result.loss],
      recording.values('loss').slice(result.state.step - 1, result.state.step),
    ];
    const { restore } = normaliseInput(recordedMatrix(recording, 'x', s), 0, config.dialect, true);
    const last = restore(result.reconstructions[result.reconstructions.length - 1]);
    yield ['restored', last.data, recording.values('sae_out', s)];
    const { normalise, normaliseEpsilon } = config.dialect.decoderNorm;
    const before = paramsAt(recording, r - 1).W_dec;
    const unit = normalise === 'before-update' ? normaliseRows(before, normaliseEpsilon) : before;
    yield ['unit W_dec', unit.data, recording.values('unit.W_dec', s)];
    yield ['learning rate', [result.learningRate], [recording.config['lr'] as number]];
    yield ['gradient norm', [result.gradientNorm], one('grad_norm')];
    yield ['threshold', [result.state.threshold], one('threshold', r)];
    yield ['dead', [result.dead.reduce((sum, dead) => sum + dead, 0)], one('dead')];
    yield ['counts', result.state.sinceFired, recording.values('batches_since_fired', r)];
    yield ['reconstructions', stacked(result.reconstructions), recording.values('x_hat', s)];
    yield* paramQuantities(result, recording, s, r, trained);
  },
};

/** With the run's own options: some runs leave rows as they are, and limits are small. */
function dialectOf({ config }: Recording): Dialect {
  let dialect = withDecision(bussmann, 'auxk.k', config['k_aux'] as number);
  dialect = withDecision(dialect, 'clip.maxNorm', config['clip_norm'] as number);
  return config['input_unit_norm'] === true
    ? dialect
    : withDecision(dialect, 'input.normaliser', 'none');
}
