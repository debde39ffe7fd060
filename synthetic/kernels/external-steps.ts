/**
 * A kernel of one's own, called for every step with the whole state: a process in any language, or a TypeScript module.
 * It offers the operator `train-step` of the conformance suite, which is a step of the canonical dialect.
 * @module
 */
import { pathToFileURL } from 'node:url';
import { openKernelProcess } from '../../conformance/kernel-process.ts';
import type { Kernels, Operator, Tensors } from '../../conformance/kernel.ts';
import { trainStep as trainStepSpec } from '../../conformance/kernels/train-step.ts';
import { processKernels } from '../../conformance/process-kernels.ts';
import { fromMatrix, fromParams, fromVector, scalar, toParams } from '../../conformance/tensors.ts';
import { dictionaryLearning } from '../../reference/dialects.ts';
import type { TrainConfig, TrainState } from '../../reference/train-step.ts';
import { UsageError } from '../../training/usage-error.ts';
import { nothingToClose, type StepKernel } from './step-kernel.ts';

/** Milliseconds for one step, and until a process answers at all. */
const LIMITS = { timeLimit: 60_000, startLimit: 60_000 };

/** The tensors that one step hands to the next. */
const CARRIED: readonly string[] = [
  ...['', 'm.', 'v.'].flatMap((prefix) =>
    ['W_enc', 'b_enc', 'W_dec', 'b_dec'].map((name) => prefix + name),
  ),
  'threshold',
  'since_fired',
];

/**
 * @param command - a shell command line, or the path of a module that exports `kernels` (docs/experiments.md).
 * @throws {@link UsageError} if it cannot be started or loaded, or offers no `train-step`.
 */
export async function openExternal(command: string): Promise<StepKernel> {
  const { kernels, close } = /\.(ts|js|mjs)$/.test(command.trim())
    ? { kernels: await moduleKernels(command.trim()), close: nothingToClose }
    : await commandKernels(command);
  const operator = kernels.operators['train-step'];
  if (operator === undefined) {
    await close();
    throw new UsageError(`--kernel ${command}: ${kernels.name} offers no train-step`);
  }
  return operatorSteps(kernels.name, operator, close);
}

/** The operator `train-step` as a kernel. */
export function operatorSteps(
  name: string,
  operator: Operator,
  close: () => Promise<void> = nothingToClose,
): StepKernel {
  return {
    name,
    open(config, start) {
      requireCanonical(name, config);
      let carried = tensorsOf(start);
      let steps = start.step;
      return {
        async step(x, now) {
          const answer = await operator({
            config: settingsOf(now, steps),
            inputs: { x: fromMatrix(x), ...carried },
          });
          carried = Object.fromEntries(CARRIED.map((key) => [key, answer[key]]));
          steps++;
          const kept = answer['latents'].data.reduce((sum, z) => sum + (z > 0 ? 1 : 0), 0);
          return { loss: answer['loss'].data[0], l0: kept / x.rows };
        },
        state: () => ({
          step: steps,
          params: toParams(carried),
          m: toParams(carried, 'm.'),
          v: toParams(carried, 'v.'),
          threshold: carried['threshold'].data[0],
          sinceFired: carried['since_fired'].data.slice(),
        }),
        close: nothingToClose,
      };
    },
    close,
  };
}

async function commandKernels(
  command: string,
): Promise<{ kernels: Kernels; close: () => Promise<void> }> {
  const process = await openKernelProcess(command, LIMITS);
  const { hello } = process;
  if (hello.skip !== null) {
    await process.close();
    throw new UsageError(`--kernel ${command}: ${hello.name} cannot run here: ${hello.skip}`);
  }
  return {
    kernels: processKernels(process, hello.dtypes[0], [trainStepSpec]),
    close: () => process.close(),
  };
}

async function moduleKernels(path: string): Promise<Kernels> {
  const where = `--kernel ${path}`;
  let module: { readonly kernels?: Kernels };
  try {
    module = (await import(pathToFileURL(path).href)) as typeof module;
  } catch (error) {
    throw new UsageError(`${where}: ${(error as Error).message.split('\n')[0]}`, { cause: error });
  }
  if (module.kernels === undefined) {
    throw new UsageError(`${where}: expected a module that exports \`kernels\``);
  }
  return module.kernels;
}

/** The operator knows one dialect and no draws. @throws {@link UsageError} naming what else was asked for. */
function requireCanonical(name: string, { dialect, selection, inputScale }: TrainConfig): void {
  if (dialect.name !== dictionaryLearning.name) {
    throw new UsageError(
      `--kernel: ${name} steps in dialect ${dictionaryLearning.name} alone, got ${dialect.name}`,
    );
  }
  if (selection !== 'batch' || inputScale !== 1) {
    throw new UsageError(
      `--kernel: ${name} selects over the batch alone, on unscaled inputs; got selection ${selection}, inputScale ${inputScale}`,
    );
  }
}

function tensorsOf({ params, m, v, threshold, sinceFired }: TrainState): Tensors {
  return {
    ...fromParams(params),
    ...fromParams(m, 'm.'),
    ...fromParams(v, 'v.'),
    threshold: scalar(threshold),
    since_fired: fromVector(sinceFired),
  };
}

function settingsOf(
  config: TrainConfig,
  step: number,
): Readonly<Record<string, number | null | readonly number[]>> {
  return {
    k: config.k,
    prefixes: config.prefixes,
    level_weights: config.levelWeights,
    step,
    steps: config.steps,
    warmup_steps: config.warmupSteps,
    decay_start: config.decayStart,
    learning_rate: config.learningRate,
    threshold_start_step: config.thresholdStartStep,
    dead_after: config.deadAfter,
    auxk_alpha: config.auxkAlpha,
  };
}
