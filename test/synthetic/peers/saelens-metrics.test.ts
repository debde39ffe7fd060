import { afterAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { fileURLToPath } from 'node:url';
import { denseRows } from '../../../synthetic/sparse-rows.ts';
import { configOfPeer, saelensSettings } from '../../../synthetic/peers/peer-settings.ts';
import {
  codeOf,
  peerMetrics,
  saelensValue,
  sharedMetrics,
} from '../../../synthetic/peers/peer-metrics.ts';
import { readPeerWorld } from '../../../synthetic/peers/peer-world.ts';
import { openTensorFile } from '../../../synthetic/peers/tensor-file.ts';

/** SAELens sums in float32. */
const WITHIN = 1e-6;

const factsOf = z.object({
  world: z.string(),
  evaluation_batch: z.int(),
  saes: z.array(
    z.object({ settings: saelensSettings, metrics: z.record(z.string(), z.unknown()) }),
  ),
});

describe.each(['tree', 'mini256'])('On SAEs that SAELens trained on its own %s', async (name) => {
  const path = fileURLToPath(new URL(`fixtures/${name}.safetensors`, import.meta.url));
  const file = await openTensorFile(path);
  afterAll(() => file.close());
  const facts = factsOf.parse(JSON.parse(file.metadata['facts']));
  const peerWorld = await readPeerWorld(file);

  test('the sample is what the directions say: x = bias + features · directions', () => {
    const { world, sample } = peerWorld;
    const features = denseRows(sample.features);
    for (let n = 0; n < features.rows; n++) {
      for (let i = 0; i < world.d_in; i++) {
        let x = world.bias[i];
        for (let f = 0; f < features.cols; f++) {
          x += features.data[n * features.cols + f] * world.directions.data[f * world.d_in + i];
        }
        expect(Math.abs(sample.x.data[n * world.d_in + i] - x)).toBeLessThan(1e-5);
      }
    }
  });

  for (const { settings, metrics } of facts.saes) {
    test(`${settings.architecture}: our metrics of its weights are its own metrics`, async () => {
      const prefix = `${settings.architecture}.`;
      const config = configOfPeer(settings, peerWorld.world.d_in);
      const params = await file.params(prefix);
      const code = codeOf(params, peerWorld, config, facts.evaluation_batch);
      const theirs = await file.sparse(`${prefix}latents.`, code.x.rows, settings.d_sae);
      expect(code.latents.index.length).toBe(theirs.index.length);
      // On the tree many rows are equal, and which of equal scores a top-k takes is anyone's choice: rows with the same
      // features then, so that no metric can tell.
      if (name !== 'tree') {
        expect(code.latents.start).toEqual(theirs.start);
        expect(code.latents.index).toEqual(theirs.index);
      }
      const ours = peerMetrics(code, peerWorld);
      for (const metric of sharedMetrics) {
        const difference = Math.abs(ours[metric]! - saelensValue(metrics, metric));
        expect(difference, metric).toBeLessThan(WITHIN);
      }
    });
  }
});
