/**
 * Adam over all parameters, with what a dialect does to decoder rows around it.
 * @module
 */
import { power } from '../../reference/adam.ts';
import type { Dialect } from '../../reference/dialects.ts';
import type { TrainConfig } from '../../reference/train-step.ts';
import { type Engine, float } from './engine.ts';
import type { State } from './state.ts';

/** Clips, updates and rescales in one pass over the parameters. */
export function update(
  engine: Engine,
  state: State,
  clip: number,
  rate: number,
  { dialect }: TrainConfig,
): void {
  const { sizes, params, m, v, gradients } = state;
  const task = adamTask(engine, state, clip, state.step, rate, dialect);
  const chunks = Math.ceil(sizes.panels / engine.chunkPanels);
  engine.each('updateLatents', task, chunks, sizes.d_sae * sizes.stride * 30);
  engine.kernels.adam(task, params.b_dec, m.b_dec, v.b_dec, gradients.b_dec, sizes.stride);
}

/** One update, for all latents or through `kernels.adam` for any values. @param step - updates done before it. */
export function adamTask(
  engine: Engine,
  { sizes, params, m, v, gradients, touched, norms }: State,
  clip: number,
  step: number,
  rate: number,
  { adam: { beta1, beta2, epsilon }, decoderNorm, select }: Dialect,
): number {
  const { project, projectEpsilon, normalise, normaliseEpsilon } = decoderNorm;
  return engine.task([
    sizes.d_sae,
    sizes.d_in,
    sizes.stride,
    engine.chunkPanels,
    ...[params, m, v, gradients].flatMap(({ W_enc, b_enc, W_dec }) => [W_enc, b_enc, W_dec]),
    touched,
    float(clip),
    float(1 - beta1),
    float(beta2),
    float(1 - beta2),
    float(rate / (1 - power(beta1, step + 1))),
    float(Math.sqrt(1 - power(beta2, step + 1))),
    float(epsilon),
    Number(project === 'after-clip'),
    float(projectEpsilon),
    { never: 0, 'before-update': 1, 'after-update': 2 }[normalise],
    float(normaliseEpsilon),
    select.score === 'acts' ? 0 : norms,
  ]);
}
