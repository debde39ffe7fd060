import { foldDecoderNorm } from '../../../../reference/decoder-norm.ts';
import type { Dialect, Value } from '../../../../reference/dialects.ts';
import { saelens } from '../../../../reference/dialects/saelens.ts';
import { infer } from '../../../../reference/infer.ts';
import { foldInputScale } from '../../../../reference/input-norm.ts';
import type { Matrix } from '../../../../reference/matrix.ts';
import { paramNames, valuesOf, type SaeParams } from '../../../../reference/params.ts';
import { recordedMatrix, wholeParams, type Recording } from '../../golden-vectors.ts';
import type { Quantity } from '../source.ts';
import { withOptions, type Case } from './case.ts';

import { configOf } from './saelens-config.ts';

/** Of an SAE that does not rescale acts. */
export const raw: Readonly<Record<string, Value>> = {
  'select.score': 'acts',
  'inference.values': 'acts',
};

export function* paramsEqual(
  got: SaeParams,
  recording: Recording,
  prefix: string,
): Generator<Quantity> {
  for (const name of paramNames) {
    yield [name, valuesOf(got, name), recording.values(`${prefix}${name}`)];
  }
}

/** Parameters as {@link infer} runs them. */
const exportable = (params: SaeParams, dialect: Dialect): SaeParams =>
  dialect.inference.values === 'acts-times-decoder-norm' ? foldDecoderNorm(params) : params;

/** What an SAE with a decoder row of zeros is exported as. */
export function exported(recording: Recording, id: 'rescaled' | 'raw'): Case {
  return {
    id: `export.${id}`,
    *compare(change): Generator<Quantity> {
      const dialect = change(id === 'raw' ? withOptions(saelens, raw) : saelens);
      const params = wholeParams(recording, 'export.');
      yield* paramsEqual(exportable(params, dialect), recording, `export.${id}.`);
      const [threshold] = recording.values('export.threshold');
      const all = recording.values(`export.${id}.threshold`);
      yield ['threshold', all.map(() => threshold), all];
    },
  };
}

/** The input scale folded into the same SAE. */
export function scaled(recording: Recording, id: 'rescaled' | 'raw', base: Dialect): Case {
  return {
    id: `scale.${id}`,
    *compare(change): Generator<Quantity> {
      const dialect = change(id === 'raw' ? withOptions(base, raw) : base);
      const { scale } = configOf(recording).export_and_scale;
      const [threshold] = recording.values('scale.threshold');
      const folded = foldInputScale(wholeParams(recording, 'scale.'), threshold, scale, dialect);
      yield* paramsEqual(folded.params, recording, `scale.${id}.`);
      yield ['threshold', [folded.threshold], recording.values(`scale.${id}.threshold`)];
    },
  };
}

/** What a trained run's SAE is exported as, and what that does. */
export function exportedRun(recording: Recording, base: Dialect): Case {
  const rescales = recording.config['rescale_acts_by_decoder_norm'] === true;
  return {
    id: 'folded and exported',
    *compare(change): Generator<Quantity> {
      const dialect = change(rescales ? base : withOptions(base, raw));
      const steps = recording.config['steps'] as number;
      const last = (name: string): Float64Array => recording.values(name, steps);
      const shape = (name: 'W_enc' | 'W_dec'): Matrix => recordedMatrix(recording, name, steps);
      const params: SaeParams = {
        W_enc: shape('W_enc'),
        b_enc: last('b_enc'),
        W_dec: shape('W_dec'),
        b_dec: last('b_dec'),
      };
      const c = recording.config['scaling_factor'] as number;
      const [threshold] = last('threshold');
      const folded = foldInputScale(params, threshold, c, dialect);
      yield* paramsEqual(folded.params, recording, 'folded.');
      yield ['folded threshold', [folded.threshold], recording.values('folded.threshold')];
      yield* paramsEqual(exportable(folded.params, dialect), recording, 'exported.');
      const all = recording.values('exported.threshold');
      yield ['exported threshold', all.map(() => folded.threshold), all];
      const x = recordedMatrix(recording, 'x', steps - 1);
      const { latents, reconstruction } = infer(x, folded.params, folded.threshold, dialect);
      yield ['latents', latents.data, recording.values('exported.latents')];
      yield ['x̂', reconstruction.data, recording.values('exported.x_hat')];
    },
  };
}
