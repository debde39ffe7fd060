import { expect, test } from 'vitest';
import { openRowThreads, type RowSource } from '../../synthetic/row-threads.ts';
import { streamsOf } from '../../synthetic/train.ts';
import type { SynthParams } from '../../synthetic/worlds/params.ts';
import { createWorld, worldNamed } from '../../synthetic/worlds/presets.ts';
import { createSampler } from '../../synthetic/worlds/world.ts';

const params: SynthParams = { ...(worldNamed('mini256') as SynthParams), rowsPerBlock: 32 };
const world = createWorld(params, 7);
const run = { params, seed: 3, batch: 48 };
const BATCHES = 7;

const whole = createSampler(world, streamsOf(3).train).nextX(BATCHES * run.batch).data;

async function batchesOf(source: RowSource, count: number): Promise<Float64Array[]> {
  try {
    const taken: Float64Array[] = [];
    for (let i = 0; i < count; i++) taken.push(Float64Array.from((await source.next()).data));
    return taken;
  } finally {
    await source.close();
  }
}

test.each([1, 3])(
  'rows of %i threads are the stream, to the bit, from any batch on',
  async (threads) => {
    for (const first of [0, 4]) {
      const source = openRowThreads(world, run, first, threads);
      for (const [i, data] of (await batchesOf(source, BATCHES - first)).entries()) {
        const at = (first + i) * run.batch * world.d_in;
        expect(data).toEqual(whole.slice(at, at + data.length));
      }
    }
  },
  30_000,
);

test('a thread that fails ends the run with its message', async () => {
  const impossible = { ...run, params: { ...params, features: 0 } };
  await expect(batchesOf(openRowThreads(world, impossible, 0, 1), 1)).rejects.toThrow(
    'features: expected a whole number >= 1, got 0',
  );
});
