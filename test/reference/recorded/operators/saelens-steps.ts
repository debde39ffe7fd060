import { rowNorms } from '../../../../reference/decoder-norm.ts';
import { saelens } from '../../../../reference/dialects/saelens.ts';
import { fromRows } from '../../../../reference/matrix.ts';
import { paramNames, valuesOf, zeroParams } from '../../../../reference/params.ts';
import { trainConfig } from '../../../../reference/train-config.ts';
import { trainStep } from '../../../../reference/train-step.ts';
import { wholeMatrix, wholeParams, type Recording } from '../../golden-vectors.ts';
import { zeroAuxk } from '../called-once.ts';
import { auxkLoss, selected, type Quantity } from '../source.ts';
import { refused, replacedParams, withOptions, type Case } from './case.ts';

import type { Config, StepCase } from './saelens-config.ts';
import { raw } from './saelens-export.ts';

/** Dead latents of which none decodes anything. */
export const zeroAuxkCase: Case = {
  id: 'step with nothing to decode',
  *compare(change) {
    const { x, params: recorded, dead, aux, loss } = zeroAuxk;
    const [d_in, d_sae] = [4, 5];
    const dialect = change(saelens);
    const config = trainConfig({ dialect, d_in, d_sae, k: 1, steps: 100, prefixes: [2, 5] });
    const zero = zeroParams(d_in, d_sae);
    const params = replacedParams(zero, { ...recorded });
    const sinceFired = new Float64Array(d_sae);
    for (const j of dead) sinceFired[j] = config.deadAfter + 1;
    const state = { step: 1, params, m: zero, v: zero, threshold: 0, sinceFired };
    const result = trainStep(state, fromRows(x), config);
    yield ['auxk', [auxkLoss(result.auxk)], [aux]];
    yield ['loss', [result.loss], [loss]];
  },
};

/** One step in one setting. */
export function oneStep(recording: Recording, all: Config, step: StepCase): Case {
  const name = `step.${step.id}`;
  const { prefixes } = all.step;
  return {
    id: name,
    *compare(change): Generator<Quantity> {
      const rescales = step.rescale_acts_by_decoder_norm;
      const dialect = change(
        withOptions(saelens, {
          ...(rescales ? {} : raw),
          ...(step.apply_b_dec_to_input ? {} : { 'encode.subtractsDecoderBias': false }),
          ...(step.use_matryoshka_aux_loss ? { 'auxk.levels': 'each' } : {}),
        }),
      );
      const params = replacedParams(wholeParams(recording, 'step.'), step.changed);
      const [d_in, d_sae] = [params.W_enc.rows, params.W_enc.cols];
      const config = trainConfig({
        dialect,
        d_in,
        d_sae,
        k: step.k,
        steps: 100,
        prefixes,
        auxkAlpha: step.aux_loss_coefficient,
      });
      const one = (what: string): Float64Array => recording.values(`${name}.${what}`);
      const zero = zeroParams(d_in, d_sae);
      const sinceFired = one('dead').map((dead) => dead * (config.deadAfter + 1));
      const state = { step: 1, params, m: zero, v: zero, threshold: 0, sinceFired };
      const x = wholeMatrix(recording, 'step.x');
      if (step.id === 'zero-decoder-row') {
        // Published: NaN.
        const isNaN = one('loss').every(Number.isNaN);
        yield ['published loss is NaN', [Number(isNaN)], [1]];
        yield refused(() => trainStep(state, x, config));
        return;
      }
      const result = trainStep(state, x, config);
      // What is recorded is in units of rescaled acts.
      const norms = rescales ? rowNorms(params.W_dec) : new Float64Array(d_sae).fill(1);
      const latents = result.latents.data.map((value, i) => value * norms[i % d_sae]);
      yield ['latents', latents, one('latents')];
      yield ['selection', selected(latents), selected(one('latents'))];
      yield ['level losses', result.levelLosses.slice(1), one('level_losses')];
      yield ['auxk', [config.auxkAlpha * auxkLoss(result.auxk)], one('aux')];
      yield ['loss', [result.loss], one('loss')];
      for (const param of paramNames) {
        yield [`gradient ${param}`, valuesOf(result.gradients, param), one(`grad.${param}`)];
      }
    },
  };
}
