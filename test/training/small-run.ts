/**
 * Small runs in a folder of their own, for tests of the loop.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunSettings } from '../../training/run-settings.ts';
import { train, type Outcome } from '../../training/train.ts';
import { writeShard } from './made-activations.ts';

export interface SmallRuns {
  readonly folder: string;
  /** Two shards of 500 rows, and one of 300 to evaluate on. */
  readonly shards: readonly string[];
  readonly heldout: string;
  /** Settings of a run of 60 steps on the reference, each call with an output folder of its own. */
  readonly settings: (changes?: Partial<RunSettings>) => RunSettings;
  readonly remove: () => void;
}

export function smallRuns(): SmallRuns {
  const folder = mkdtempSync(join(tmpdir(), 'train-'));
  const shards = ['a', 'b'].map((name, i) =>
    writeShard(join(folder, `${name}.safetensors`), 500, i + 10),
  );
  const heldout = writeShard(join(folder, 'heldout.safetensors'), 300, 20);
  let outs = 0;
  return {
    folder,
    shards,
    heldout,
    settings: (changes = {}) => ({
      activations: shards,
      heldout: [heldout],
      out: join(folder, `out-${outs++}`),
      backend: 'reference',
      architecture: 'matryoshka',
      d_sae: 48,
      prefixes: [8, 24, 48],
      k: 3,
      steps: 60,
      batchRows: 64,
      learningRate: 0.01,
      warmupSteps: 5,
      thresholdStartStep: 40,
      normalise: true,
      seed: 7,
      checkpointEvery: 1000,
      resume: 'auto',
      ...changes,
    }),
    remove: () => rmSync(folder, { recursive: true }),
  };
}

/** Trains, stopping after so many steps of this call. */
export async function trainFor(steps: number, run: RunSettings): Promise<Outcome> {
  const controller = new AbortController();
  let done = 0;
  return train(run, {
    signal: controller.signal,
    onStep: () => {
      if (++done === steps) controller.abort();
    },
  });
}

/** What a finished run wrote, byte for byte. */
export function written({ out }: RunSettings): Record<string, string> {
  return Object.fromEntries(
    ['sae.safetensors', 'cfg.json'].map((name) => [
      name,
      readFileSync(join(out, name)).toString('base64'),
    ]),
  );
}
