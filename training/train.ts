/**
 * The training loop: batches in, steps, checkpoints, and a finished SAE out. Knows a kernel only as a {@link Trainer}.
 * @module
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { TrainConfig } from '../reference/train-step.ts';
import { openShards, type ActivationShards } from './activation-shards.ts';
import { requireWritableFolder } from './atomic-file.ts';
import {
  CHECKPOINT,
  openCheckpoint,
  requireSameRun,
  requireState,
  saveCheckpoint,
  type CheckpointFacts,
  type OpenCheckpoint,
} from './checkpoint.ts';
import { evaluate, scale, type Evaluations } from './evaluate.ts';
import { saeTensors, writeSae } from './formats/sae.ts';
import { safetensorsBytes } from './formats/safetensors.ts';
import { measureNormFactor } from './norm-factor.ts';
import { openKernel } from './open-kernel.ts';
import { resolveConfig, runIdentity, type RunSettings } from './run-settings.ts';
import { saeConfig } from './sae-config.ts';
import { shuffledBatches, type BatchOptions } from './shuffled-batches.ts';
import { createSpeed } from './speed.ts';
import { readState, seededState } from './start-state.ts';
import { stateShapes, type Kernel, type StepReport, type Trainer } from './trainer.ts';
import { UsageError } from './usage-error.ts';

export interface Progress {
  /** Steps done, and to do in all. */
  readonly step: number;
  readonly steps: number;
  /** 0 while it cannot be told. */
  readonly tokensPerSecond: number;
  readonly secondsLeft: number;
  readonly report: StepReport;
}

export interface TrainHooks {
  /** One line for a person: what computes, where a run resumes. */
  readonly onNote?: (line: string) => void;
  readonly onStep?: (progress: Progress) => void;
  /** Aborted: the step under way is finished and saved. */
  readonly signal?: AbortSignal;
}

export interface Outcome {
  readonly status: 'finished' | 'interrupted';
  readonly kernel: string;
  /** Steps done, and to do in all. */
  readonly step: number;
  readonly steps: number;
  readonly config: TrainConfig;
  /** On held-out rows; null if there were none, or the run was interrupted. */
  readonly evaluations: Evaluations | null;
}

/** Everything a run needs, opened and checked. */
interface Ready {
  readonly settings: RunSettings;
  readonly config: TrainConfig;
  readonly activations: ActivationShards;
  readonly heldout: ActivationShards | null;
  readonly kernel: Kernel;
  readonly hooks: TrainHooks;
}

interface Run extends Ready {
  readonly trainer: Trainer;
}

/**
 * Trains until all steps are done or the signal says stop; resumes a checkpoint in the output folder.
 * @throws {@link UsageError} for everything a user can set right, before any computing where it can be known by then.
 */
export async function train(settings: RunSettings, hooks: TrainHooks = {}): Promise<Outcome> {
  const opened: ActivationShards[] = [];
  let saved: OpenCheckpoint | null = null;
  let trainer: Trainer | undefined;
  try {
    const { tensor } = settings;
    const activations = await openShards(settings.activations, '--activations', tensor);
    opened.push(activations);
    const heldout =
      settings.heldout.length === 0
        ? null
        : await openShards(settings.heldout, '--heldout', tensor);
    if (heldout !== null) opened.push(heldout);
    requireSameWidth(activations, heldout);
    const config = resolveConfig(settings, activations);
    saved = await findCheckpoint(settings);
    const kernel = await openKernel(settings.backend);
    for (const note of kernel.notes) hooks.onNote?.(note);
    const resumed = saved !== null;
    await requireRoom(settings, config, kernel, resumed);
    kernel.requireFits?.(config, settings.batchRows);

    const ready = { settings, config, activations, heldout, kernel, hooks };
    const start = await (saved === null ? begin(ready) : resume(ready, saved));
    trainer = start.trainer;
    await saved?.close();
    saved = null;
    return await runSteps({ ...ready, trainer }, start.facts, resumed);
  } finally {
    trainer?.dispose();
    await saved?.close();
    for (const shards of opened) await shards.close();
  }
}

interface Start {
  readonly trainer: Trainer;
  readonly facts: CheckpointFacts;
}

/** A new run's state. */
async function begin({ settings, config, activations, kernel }: Ready): Promise<Start> {
  const normFactor = settings.normalise
    ? await measureNormFactor(activations, batchOptions(settings), config.dialect)
    : 1;
  const run = runIdentity(settings, config, activations, kernel.name);
  return {
    trainer: kernel.start(config, seededState(config, settings.seed)),
    facts: { run, step: 0, served: 0, normFactor, loss: null },
  };
}

/** A saved run's state. @throws {@link UsageError} if it is another run than the one asked for. */
async function resume(
  { settings, config, activations, kernel, hooks }: Ready,
  checkpoint: OpenCheckpoint,
): Promise<Start> {
  const { file, step, served, normFactor, loss } = checkpoint;
  const run = runIdentity(settings, config, activations, kernel.name);
  requireSameRun(checkpoint.run, run, file.path);
  requireState(file, stateShapes(config, kernel.dtype));
  if (step > config.steps) {
    throw new UsageError(
      `--steps ${config.steps}: the run in ${file.path} has done ${step} already: give more, choose another --out, or start over with --no-resume`,
    );
  }
  const nothingLeft = step === config.steps ? ': nothing is left to train' : '';
  hooks.onNote?.(`resuming ${file.path} at step ${step} of ${config.steps}${nothingLeft}`);
  const trainer = kernel.start(config, await readState(config, step, checkpoint.read));
  return { trainer, facts: { run, step, served, normFactor, loss } };
}

/** Steps until done or told to stop, then the finished SAE. */
async function runSteps(run: Run, start: CheckpointFacts, resumed: boolean): Promise<Outcome> {
  const { settings, config, activations, trainer, hooks, kernel } = run;
  const { steps } = config;
  const path = join(settings.out, CHECKPOINT);
  let facts = start;
  let savedStep = resumed ? start.step : null;
  const save = async (): Promise<void> => {
    if (facts.step === savedStep) return;
    await saveCheckpoint(path, facts, trainer.state());
    savedStep = facts.step;
  };

  const batches = shuffledBatches(activations, { ...batchOptions(settings), served: start.served });
  const speed = createSpeed();
  try {
    while (facts.step < steps && !stopped(hooks)) {
      const x = await batches.next();
      scale(x, 1 / facts.normFactor);
      const report = await stepOrExplain(run, x, facts.step);
      facts = { ...facts, step: facts.step + 1, served: batches.served(), loss: report.loss };
      const tokensPerSecond = speed.add(settings.batchRows);
      const rowsLeft = (steps - facts.step) * settings.batchRows;
      hooks.onStep?.({
        step: facts.step,
        steps,
        tokensPerSecond,
        secondsLeft: tokensPerSecond > 0 ? rowsLeft / tokensPerSecond : Infinity,
        report,
      });
      if (facts.step % settings.checkpointEvery === 0) await save();
      await setImmediate(); // lets signals and reads in, which a busy kernel keeps out
    }
  } finally {
    await batches.close();
  }
  await save();
  const outcome = { kernel: kernel.name, step: facts.step, steps, config };
  try {
    if (!stopped(hooks)) {
      return { ...outcome, status: 'finished', evaluations: await finish(run, facts) };
    }
  } catch (error) {
    if (!stopped(hooks)) throw error;
  }
  return { ...outcome, status: 'interrupted', evaluations: null };
}

/** Evaluates and writes the SAE. */
async function finish(
  run: Run,
  { normFactor, loss }: CheckpointFacts,
): Promise<Evaluations | null> {
  const { settings, config, activations, heldout, kernel, trainer, hooks } = run;
  const evaluations =
    heldout === null
      ? null
      : await evaluate(trainer, heldout, settings.batchRows, normFactor, hooks.signal);
  const tensors = saeTensors(trainer.state(), normFactor, config.dialect);
  const threshold = (await tensors.find(({ name }) => name === 'threshold')!.read())[0];
  const facts = { normFactor, loss, threshold: Number(threshold), evaluations };
  const sae = saeConfig(settings, config, { activations, heldout }, kernel.name, facts);
  await writeSae(settings.out, sae, tensors);
  return evaluations;
}

/** One step, which must come out finite: from a state that is not, nothing better follows. */
async function stepOrExplain(run: Run, x: Float32Array, done: number): Promise<StepReport> {
  const { trainer, settings, config } = run;
  const explained = (what: string, cause?: unknown): UsageError =>
    new UsageError(
      `after ${done} of ${config.steps} steps: ${what}; checkpoints are kept; if training diverged, lower --lr (now ${config.learningRate})`,
      { cause },
    );
  let report: StepReport;
  try {
    report = await trainer.step(x, settings.batchRows);
  } catch (error) {
    if (error instanceof RangeError) throw explained(error.message, error);
    throw error;
  }
  for (const [what, value] of [
    ['loss', report.loss],
    ['gradient norm', report.gradientNorm],
  ] as const) {
    if (!Number.isFinite(value)) throw explained(`step ${done + 1} gave a ${what} of ${value}`);
  }
  return report;
}

async function findCheckpoint({ out, resume }: RunSettings): Promise<OpenCheckpoint | null> {
  const path = join(out, CHECKPOINT);
  if (resume === 'never') return null;
  if (existsSync(path)) return openCheckpoint(path);
  if (resume === 'required') {
    throw new UsageError(`--resume: ${path} does not exist: check --out, or leave --resume out`);
  }
  return null;
}

/** The SAE, a checkpoint, and the next one while the last is still there. */
async function requireRoom(
  { out }: RunSettings,
  config: TrainConfig,
  { dtype }: Kernel,
  resumes: boolean,
): Promise<void> {
  const state = stateShapes(config, dtype);
  const checkpoint = safetensorsBytes(state);
  const sae = safetensorsBytes(state.slice(0, 4)); // the parameters come first
  await requireWritableFolder(out, '--out', sae + (resumes ? 1 : 2) * checkpoint);
}

function requireSameWidth(activations: ActivationShards, heldout: ActivationShards | null): void {
  if (heldout === null || heldout.d_in === activations.d_in) return;
  const [{ file }] = heldout.shards;
  throw new UsageError(
    `--heldout ${file.path}: d_in is ${heldout.d_in}, but --activations have d_in ${activations.d_in}: give files of the same model and site`,
  );
}

function batchOptions({ seed, batchRows, bufferRows }: RunSettings): BatchOptions {
  return { seed, batchRows, ...(bufferRows === undefined ? {} : { bufferRows }) };
}

function stopped({ signal }: TrainHooks): boolean {
  return signal?.aborted === true;
}
