import { describe, expect, test } from 'vitest';
import { stepTensors } from '../../../conformance/kernels/train-step-calls.ts';
import { trainConfig } from '../../../reference/train-config.ts';
import { operatorSteps } from '../../../synthetic/kernels/external-steps.ts';
import { openSteps } from '../../../synthetic/kernels/open.ts';
import { referenceSteps } from '../../../synthetic/kernels/reference-steps.ts';
import type { StepKernel } from '../../../synthetic/kernels/step-kernel.ts';
import { threadsSteps } from '../../../synthetic/kernels/threads-steps.ts';
import { trainOnWorld, type TrainedSae, type TrainingRun } from '../../../synthetic/train.ts';
import { createWorld, worldNamed } from '../../../synthetic/worlds/presets.ts';
import { pythonWith } from '../../conformance/python.ts';
import { rightStep } from './wrong-prefix-gradient.ts';

const world = createWorld(worldNamed('tree'), 1);
const python = pythonWith('numpy');

function run(more: Partial<Parameters<typeof trainConfig>[0]> = {}): TrainingRun {
  const config = trainConfig({
    d_in: 20,
    d_sae: 20,
    k: 1.12,
    steps: 60,
    prefixes: [5, 12, 20],
    learningRate: 1e-2,
    warmupSteps: 5,
    thresholdStartStep: 10,
    ...more,
  });
  return { config, world, seed: 2, batch: 64, curveSamples: 512 };
}

const trained = (kernel: StepKernel): Promise<TrainedSae> => trainOnWorld(run(), { kernel });

/** Largest difference between two decoders. */
function apart(a: TrainedSae, b: TrainedSae): number {
  const [p, q] = [a, b].map(({ state }) => state.params.W_dec.data);
  return Math.max(...p.map((value, i) => Math.abs(value - q[i])));
}

describe('kernels', () => {
  test('train the SAE of the reference: one that is called with the whole state for every step, bit for bit', async () => {
    const kernel = operatorSteps('conformance reference', (call) => stepTensors(call));
    const [own, reference] = await Promise.all([kernel, referenceSteps].map(trained));
    expect(own.curve).toEqual(reference.curve);
    expect(apart(own, reference)).toBe(0);
  });

  test('train the SAE of the reference within float32: own threads', async () => {
    const [own, reference] = await Promise.all([threadsSteps, referenceSteps].map(trained));
    // 60 updates of float32 beside float64: rounding may grow by selections, not to the size of a wrong update.
    expect(apart(own, reference)).toBeLessThan(1e-2);
    expect(own.state.step).toBe(60);
  });

  test('train the SAE of the reference within float32: the port, on the backend that is named', async () => {
    const port = await openSteps('wasm');
    const settings = run({ selection: 'row', k: 2 });
    const falling: TrainingRun = { ...settings, schedule: (step) => ({ k: step < 30 ? 3 : 2 }) };
    const [own, reference] = await Promise.all([
      trainOnWorld(falling, { kernel: port }),
      trainOnWorld(falling),
    ]);
    expect(port.name).toBe('wasm');
    expect(apart(own, reference)).toBeLessThan(1e-2);
    expect(own.state.step).toBe(60);
  });

  test('refuse what they do not compute, by name', () => {
    const jump = run({ selection: 'jump' });
    expect(() => threadsSteps.open(jump.config, {} as never)).toThrow('selection');
    const own = operatorSteps('mine', (call) => stepTensors(call));
    expect(() => own.open(jump.config, {} as never)).toThrow('mine selects over the batch alone');
  });

  test.skipIf(python.path === null)('of another language train on', async () => {
    const kernel = await openSteps(`${python.path} conformance/examples/numpy/numpy_kernels.py`);
    try {
      const short = run({ steps: 20 });
      const [own, reference] = await Promise.all([
        trainOnWorld(short, { kernel }),
        trainOnWorld(short),
      ]);
      expect(own.state.step).toBe(20);
      expect(apart(own, reference)).toBeLessThan(1e-2);
      expect(kernel.name).toBe('numpy example');
    } finally {
      await kernel.close();
    }
  });

  test('of a module train on: with a wrong prefix gradient, another SAE', async () => {
    const module = await openSteps('test/synthetic/kernels/wrong-prefix-gradient.ts');
    const [wrong, right, reference] = await Promise.all(
      [module, operatorSteps('right', rightStep), referenceSteps].map(trained),
    );
    expect(apart(right, reference)).toBeLessThan(1e-2);
    expect(apart(wrong, reference)).toBeGreaterThan(0.1);
    await expect(openSteps('nowhere.ts')).rejects.toThrow('--kernel nowhere.ts');
  });
});
