import { nabeshima, withDecision, type Dialect } from '../../../reference/dialects.ts';
import { map } from '../../../reference/matrix.ts';
import { sparsityPenalty } from '../../../reference/penalty.ts';
import { trainConfig } from '../../../reference/train-config.ts';
import type { StepResult } from '../../../reference/train-step.ts';
import type { Recording } from '../golden-vectors.ts';
import {
  paramQuantities,
  paramsAt,
  selected,
  stacked,
  type Quantity,
  type Source,
} from './source.ts';

/** matryoshka-saes's MatryoshkaSAE, prefixes and permutations as it drew them. */
export const nabeshimaSource: Source = {
  folder: 'nabeshima',
  dialect: nabeshima,
  runs: ['l1', 'log', 'one-dimension'],
  configOf: (recording, change = (dialect) => dialect) => {
    const { config } = recording;
    const number = (name: string): number => config[name] as number;
    return trainConfig({
      dialect: change(dialectOf(recording)),
      d_in: number('d_in'),
      d_sae: number('d_sae'),
      k: 0,
      steps: number('steps'),
      learningRate: number('lr'),
      sparsityCoefficient: number('starting_sparsity_loss_scale'),
      targetL0: number('target_l0'),
    });
  },
  stateAt: (recording, t, r) => ({
    step: t,
    params: paramsAt(recording, r),
    m: paramsAt(recording, r, 'm.'),
    v: paramsAt(recording, r, 'v.'),
    threshold: 0,
    sinceFired: new Float64Array(recording.config['d_sae'] as number),
    averages: {
      meanNorm: recording.values('running_avg', r)[0],
      meanSquares: permutes(recording)
        ? recording.values('sq_act_running_avg', r)
        : new Float64Array(recording.config['d_sae'] as number),
      sparsityScale: recording.values('controller_scale')[r],
    },
  }),
  drawsAt: (recording, t) => ({
    prefixes: [...recording.values('prefixes', t)],
    ...(permutes(recording) ? { order: Uint32Array.from(recording.values('permutation', t)) } : {}),
  }),
  *quantities(result, recording, _config, s, r): Generator<Quantity> {
    const one = (name: string, at = s): Float64Array => recording.values(name).slice(at, at + 1);
    const at = result.state.step - 1;
    const averages = result.state.averages!;
    yield ['input', result.input.data, recording.values('normalised', s)];
    yield ['latents', result.latents.data, recording.values('latents', s)];
    yield ['selection', selected(result.latents.data), selected(recording.values('latents', s))];
    yield ['level losses', result.levelLosses.slice(1), recording.values('level_losses', s)];
    yield ['reconstruction loss', [result.reconstructionLoss], one('l2')];
    yield ['auxiliary losses', [result.auxk.length], [0]];
    yield ['penalty', [result.penalty], one('sparsity')];
    yield [
      'penalty of levels',
      levelPenalties(result, recording, r),
      recording.values('level_sparsity', s),
    ];
    yield ['penalty coefficient', [result.penaltyCoefficient], one('sparsity_scale')];
    yield ['L0', [result.l0], one('l0')];
    yield ['loss', [result.loss], recording.values('loss').slice(at, at + 1)];
    yield ['gradient norm', [result.gradientNorm], one('grad_norm')];
    yield ['learning rate', [result.learningRate], one('lr')];
    yield ['mean norm', [averages.meanNorm], recording.values('running_avg', r)];
    yield ['controller step', [result.state.step], one('controller_step', r)];
    yield ['controller', [averages.sparsityScale], one('controller_scale', r)];
    if (permutes(recording)) {
      yield ['mean squares', averages.meanSquares, recording.values('sq_act_running_avg', r)];
    }
    yield ['reconstructions', stacked(result.reconstructions), recording.values('x_hat', s)];
    yield* paramQuantities(result, recording, s, r);
  },
};

/** The penalty of each prefix's latents by themselves. */
function levelPenalties(
  { latents, reconstructions, l0 }: StepResult,
  recording: Recording,
  r: number,
): number[] {
  const prefixes = [...recording.values('prefixes', r - 1)];
  const { W_dec } = paramsAt(recording, r - 1);
  const dialect = withDecision(dialectOf(recording), 'penalty.overPrefixes', false);
  return reconstructions.map((_, g) => {
    const own = map(latents, (latent, i) => (i % latents.cols < prefixes[g] ? latent : 0));
    return sparsityPenalty(own, W_dec, [latents.cols], l0, 1, dialect).loss;
  });
}

function permutes({ config }: Recording): boolean {
  return config['permute_latents'] === true;
}

/** With the run's own options. */
function dialectOf(recording: Recording): Dialect {
  const dialect = withDecision(
    nabeshima,
    'penalty.kind',
    recording.config['sparsity_type'] as string,
  );
  return permutes(recording) ? dialect : withDecision(dialect, 'latentOrder.permute', 'never');
}
