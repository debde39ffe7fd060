/**
 * A short training run on the sample of real activations in sample/, of both architectures: does training work on this
 * machine? Too little data and too few steps for a good SAE.
 * @module
 */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ComputeName } from '../gpu/choose.ts';
import type { Evaluation } from './evaluate.ts';
import type { RunSettings } from './run-settings.ts';
import { train, type Progress } from './train.ts';

/** In the order they are run: the plain SAE is the Matryoshka one's control. */
const architectures = ['batchtopk', 'matryoshka'] as const;

export type SampleArchitecture = (typeof architectures)[number];

export type SampleSettings = Required<
  Pick<RunSettings, 'k' | 'batchRows'> & {
    readonly [
      field in
        'd_sae' | 'steps' | 'learningRate' | 'warmupSteps' | 'decayStart' | 'thresholdStartStep'
    ]: number;
  }
>;

/**
 * About 20 seconds of one core for each architecture on the wasm backend. Beside a full run: few steps, a higher rate
 * that decays so that the last steps settle, a short warm-up, and a threshold taken at the end.
 */
export const sampleSettings: SampleSettings = {
  d_sae: 1024,
  k: 32,
  batchRows: 256,
  steps: 120,
  learningRate: 3e-3,
  warmupSteps: 10,
  decayStart: 80,
  thresholdStartStep: 105,
};

export interface SampleOptions {
  readonly backend: ComputeName | 'auto' | 'reference';
  readonly seed: number;
  readonly onProgress?: (progress: SampleProgress) => void;
  readonly signal?: AbortSignal;
  /** In place of {@link sampleSettings}. */
  readonly settings?: SampleSettings;
}

export interface SampleProgress extends Progress {
  readonly architecture: SampleArchitecture;
}

/** One point of a training curve. */
export interface SamplePoint {
  /** Steps done. */
  readonly step: number;
  readonly loss: number;
  /** Mean number of latents per row. */
  readonly l0: number;
  /** Latents taken for dead. */
  readonly dead: number;
}

/** What training one architecture came to, as plain JSON. */
export interface SampleRun {
  readonly architecture: SampleArchitecture;
  readonly prefixes: readonly number[];
  readonly steps: number;
  /** Of everything, evaluation included. */
  readonly seconds: number;
  /** Of the steps after the first. */
  readonly tokensPerSecond: number;
  /** On held-out rows by the inference threshold: the figure to judge by. */
  readonly explainedVariance: number;
  /** On held-out rows, by each way of choosing latents. */
  readonly threshold: Evaluation;
  readonly batch: Evaluation;
  /** Every step. */
  readonly curve: readonly SamplePoint[];
}

export interface SampleResults {
  readonly kernel: string;
  readonly seed: number;
  readonly settings: SampleSettings;
  readonly runs: readonly SampleRun[];
}

/**
 * Trains and evaluates both architectures, in a temporary folder that is removed.
 * @throws {@link UsageError} if the backend does not work or training diverges; the signal's reason if aborted.
 */
export async function runSample(options: SampleOptions): Promise<SampleResults> {
  const { seed, settings = sampleSettings } = options;
  const runs: SampleRun[] = [];
  let kernel = '';
  for (const architecture of architectures) {
    const out = await mkdtemp(join(tmpdir(), 'matryoshka-sample-'));
    try {
      const trained = await trainArchitecture(architecture, out, { ...options, settings });
      runs.push(trained.run);
      kernel = trained.kernel;
    } finally {
      await rm(out, { recursive: true, force: true });
    }
  }
  return { kernel, seed, settings, runs };
}

async function trainArchitecture(
  architecture: SampleArchitecture,
  out: string,
  {
    backend,
    seed,
    settings,
    signal,
    onProgress,
  }: Required<Pick<SampleOptions, 'settings'>> & SampleOptions,
): Promise<{ run: SampleRun; kernel: string }> {
  const curve: SamplePoint[] = [];
  const started = performance.now();
  let first = 0;
  let last = 0;
  const outcome = await train(
    {
      ...settings,
      activations: [sampleFile('train')],
      heldout: [sampleFile('heldout')],
      out,
      backend,
      architecture,
      seed,
      normalise: true,
      checkpointEvery: settings.steps,
      resume: 'never',
    },
    {
      ...(signal !== undefined && { signal }),
      onStep: (progress) => {
        last = performance.now();
        if (curve.length === 0) first = last;
        const { loss, l0, dead } = progress.report;
        curve.push({ step: progress.step, loss, l0, dead });
        onProgress?.({ ...progress, architecture });
      },
    },
  );
  signal?.throwIfAborted();
  const { kernel, config, evaluations } = outcome;
  const { threshold, batch } = evaluations!; // held-out rows were given
  return {
    kernel,
    run: {
      architecture,
      prefixes: config.prefixes,
      steps: config.steps,
      seconds: (performance.now() - started) / 1000,
      tokensPerSecond: ((config.steps - 1) * settings.batchRows * 1000) / (last - first),
      explainedVariance: threshold.explainedVariance,
      threshold,
      batch,
      curve,
    },
  };
}

/** The sample lies beside the sources, also when this file runs compiled, from dist/training/. */
function sampleFile(name: 'train' | 'heldout'): string {
  const file = join('sample', `${name}.safetensors`);
  const beside = join(import.meta.dirname, file);
  return existsSync(beside) ? beside : join(import.meta.dirname, '..', '..', 'training', file);
}
