import { expect, test } from 'vitest';
import { saelens, withDecision } from '../../reference/dialects.ts';
import { infer } from '../../reference/infer.ts';
import { matrix } from '../../reference/matrix.ts';
import { trainStep } from '../../reference/train-step.ts';
import { sparseRowsBuilder } from '../../synthetic/sparse-rows.ts';
import { trainedCode } from '../../synthetic/trained-code.ts';
import { rows, worldOf } from '../reference/worlds.ts';

test.each([0, 0.3])(
  'latents are those of a training step, and those that inference lets through are counted: refinement %s',
  (refinement) => {
    const dialect = withDecision(saelens, 'encode.refinement', refinement);
    const world = worldOf(dialect, 21);
    const { x, config } = world;
    const state = { ...world.state, firstThreshold: 0.4 };
    const features = sparseRowsBuilder(1);
    for (let n = 0; n < rows; n++) features.endRow();
    const { judged, thresholdL0 } = trainedCode(
      state,
      { x, features: features.finish() },
      config,
      rows,
    );
    const { latents } = trainStep(state, x, config);
    const { start, index, value } = judged.latents;
    const got = matrix(rows, config.d_sae);
    for (let n = 0; n < rows; n++) {
      for (let e = start[n]; e < start[n + 1]; e++) got.data[n * got.cols + index[e]] = value[e];
    }
    expect(got).toEqual(latents);
    const inferred = infer(x, state.params, state.threshold, dialect, 0, 0.4);
    expect(thresholdL0).toBe(inferred.latents.data.filter((latent) => latent > 0).length / rows);
  },
);
