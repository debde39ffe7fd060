import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { configOf, scheduleOf } from '../../synthetic/architectures/record.ts';
import { architectureNamed } from '../../synthetic/architectures/catalogue.ts';
import { activationOf, architectureRecord } from '../../synthetic/architectures/record.ts';
import { referenceSteps } from '../../synthetic/kernels/reference-steps.ts';
import type { StepKernel } from '../../synthetic/kernels/step-kernel.ts';
import { threadsSteps } from '../../synthetic/kernels/threads-steps.ts';
import { runFile } from '../../synthetic/saved-run.ts';
import { trainOnWorld, type TrainingRun } from '../../synthetic/train.ts';
import type { SynthParams, WorldParams } from '../../synthetic/worlds/params.ts';
import { createWorld, worldNamed } from '../../synthetic/worlds/presets.ts';

const STEPS = 30;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'saved-run-'));
});
afterAll(() => rm(folder, { recursive: true }));

const blocks: SynthParams = {
  ...(worldNamed('mini256') as SynthParams),
  name: 'blocks',
  rowsPerBlock: 100,
};
const paramsOf = (name: string): WorldParams => (name === 'blocks' ? blocks : worldNamed(name));

function runOf(slug: string, name: string, width: number): TrainingRun {
  const world = createWorld(paramsOf(name), 1);
  const sizes = {
    d_in: world.d_in,
    d_sae: width,
    prefixes: [width / 4, width / 2, width],
    steps: STEPS,
    batch: 64,
    learningRate: 3e-3,
    activation: activationOf(world),
  };
  const record = architectureRecord(architectureNamed(slug), sizes, [2]);
  const config = configOf(record, world.d_in, 2);
  const schedule = scheduleOf(record, config);
  return { config, world, seed: 4, batch: 64, curveSamples: 64, ...(schedule && { schedule }) };
}

/** Ends like a process that is killed: between two steps, without a word. */
function dyingAfter(kernel: StepKernel, steps: number): StepKernel {
  return {
    ...kernel,
    open(config, start) {
      const stepper = kernel.open(config, start);
      let left = steps;
      return {
        ...stepper,
        step: (...given) => {
          if (left-- === 0) throw new Error('killed');
          return stepper.step(...given);
        },
      };
    },
  };
}

describe('a run that is ended goes on to the same bits', () => {
  test.each([
    ['batchtopk', 'tree', 20, threadsSteps],
    ['matryoshka', 'mini256', 32, threadsSteps],
    ['batchtopk', 'blocks', 32, threadsSteps],
    ['matryoshka', 'correlated50', 32, referenceSteps],
    ['matryoshka-falling-k', 'absorb4', 4, referenceSteps],
    ['matryoshka-random', 'tree', 20, referenceSteps],
    ['relu', 'mini256', 32, referenceSteps],
    ['jumprelu', 'tree', 20, referenceSteps],
  ] as const)('%s on %s, %i latents', async (slug, world, width, kernel) => {
    const file = runFile(join(folder, `${slug}-${world}.unfinished`), 0);
    const whole = await trainOnWorld(runOf(slug, world, width), { kernel });
    for (const steps of [7, 12]) {
      const dying = dyingAfter(kernel, steps);
      const ended = trainOnWorld(runOf(slug, world, width), { kernel: dying, file });
      await expect(ended).rejects.toThrow('killed');
    }
    const rest: number[] = [];
    const onProgress = (step: number): void => void rest.push(step);
    const resumed = await trainOnWorld(runOf(slug, world, width), { kernel, file, onProgress });
    expect(resumed).toEqual(whole);
    expect(rest[0]).toBeGreaterThan(19);
  });
});

test('nothing is saved before it is due, and nothing half-written is left', async () => {
  const file = runFile(join(folder, 'rare.unfinished'));
  await trainOnWorld(runOf('batchtopk', 'tree', 20), { file });
  expect(await file.load()).toBeNull();
  expect((await readdir(folder)).filter((name) => !name.endsWith('.unfinished'))).toEqual([]);
});

test('what is no saved run is refused, with what to do', async () => {
  const path = join(folder, 'broken.unfinished');
  await writeFile(path, 'half a file');
  await expect(runFile(path).load()).rejects.toThrow(
    `${path}: not a saved run: remove the file to start this run anew`,
  );
});
