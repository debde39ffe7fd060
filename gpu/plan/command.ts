/**
 * matryoshka plan: memory and time of a run on this machine, before it is started.
 * @module
 */
import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import { dialectNamed } from '../../reference/dialects.ts';
import { trainConfig } from '../../reference/train-config.ts';
import { initialState, type TrainConfig } from '../../reference/train-step.ts';
import { createRng } from '../../synthetic/rng.ts';
import { colours } from '../../training/colours.ts';
import { oneOf, wholeNumber } from '../../training/option-values.ts';
import { usage } from '../../training/usage-error.ts';
import { backendNames, openBackend, type BackendName } from '../backend.ts';
import { benchPrefixes, shapeFrom, type Shape } from '../bench/shape.ts';
import { planRun, type Plan } from './plan.ts';
import { planOnPort, type PortPlan, type Start } from './port-plan.ts';

interface Options {
  readonly backend: 'threads' | BackendName;
  readonly tokens: number;
  readonly dialect: string;
  readonly threads: number;
  readonly seconds: number;
  readonly json?: true;
}

const backends: readonly Options['backend'][] = ['threads', ...backendNames];

export function addPlanCommand(program: Command): void {
  program
    .command('plan')
    .summary('memory and time of a run on this machine, before it is started')
    .description(
      'Says what training a Matryoshka SAE takes on this machine: parameters, memory, operations, and the time of a step and of the whole run, predicted from some seconds of real steps.',
    )
    .argument('<shape>', 'd_in/d_sae/B/k, B rows in a batch')
    .option(
      '--backend <name>',
      `what would compute: ${backends.join(', ')}`,
      oneOf('--backend', backends),
      'threads',
    )
    .option('--tokens <n>', 'rows to train on', wholeNumber('--tokens', 1), 500_000_000)
    .option('--dialect <name>', 'a published one', 'dictionary_learning')
    .option(
      '--threads <n>',
      'processors to use',
      wholeNumber('--threads', 1),
      availableParallelism(),
    )
    .option('--seconds <n>', 'of real steps to predict from', wholeNumber('--seconds', 1), 5)
    .option('--json', 'print everything as JSON')
    .addHelpText(
      'after',
      '\nExit status: 0 it fits, 1 it does not, 2 wrong usage.\nExample: matryoshka plan 2304/65536/2048/40',
    )
    .action(async (text: string, options: Options) => {
      const shape = shapeFrom(text, 'shape');
      const { backend } = options;
      if (backend !== 'threads') {
        const opened = await openBackend(backend);
        const { start, config } = usage(() => runOf(shape, options));
        const slow = opened.rank === 'cpu' || opened.rank === 'webgpu in software';
        const plan = await planOnPort(config, shape.batch, options.seconds, start, slow);
        const { device } = opened;
        if (options.json)
          console.log(JSON.stringify({ shape, ...options, device, ...plan }, null, 2));
        else for (const line of portLines(shape, plan, options, device)) console.log(line);
        return;
      }
      const plan = usage(() => planFor(shape, options));
      if (options.json) console.log(JSON.stringify({ shape, ...options, ...plan }, null, 2));
      else for (const line of lines(shape, plan, options)) console.log(line);
      process.exitCode = plan.fits ? 0 : 1;
    });
}

function planFor(shape: Shape, options: Options): Plan {
  const { config, start } = runOf(shape, options);
  return planRun(config, shape.batch, options.threads, options.seconds, start);
}

/** The run that is planned, and the beginning of one like it with fewer latents. */
function runOf(
  { d_in, d_sae, k }: Shape,
  { dialect: name }: Options,
): { readonly config: TrainConfig; readonly start: Start } {
  const dialect = dialectNamed(name);
  const configOf = (latents: number): TrainConfig =>
    trainConfig({
      dialect,
      d_in,
      d_sae: latents,
      k: Math.min(k, latents),
      steps: 100_000,
      prefixes: benchPrefixes(latents),
    });
  const start: Start = (latents) => {
    const rng = createRng(0);
    const config = configOf(latents);
    return {
      config,
      state: initialState(config, rng.uniform),
      batch: (rows) => Float32Array.from({ length: rows * d_in }, () => rng.normal()),
    };
  };
  return { config: configOf(d_sae), start };
}

function portLines(
  { batch }: Shape,
  { parameters, memory, work, seconds, calibrated }: PortPlan,
  { tokens, backend }: Options,
  device: string,
): string[] {
  const steps = Math.ceil(tokens / batch);
  return [
    `${colours.bold('backend')}     ${backend}, ${device}`,
    `${colours.bold('parameters')}  ${parameters.toLocaleString('en')}`,
    `${colours.bold('memory')}      ${bytes(memory.peak)} of tensors within a step, AuxK at work; ${bytes(memory.state)} between steps`,
    `${colours.bold('operations')}  ${count(work)} in five dense products, a step`,
    `${colours.bold('a step')}      ${duration(seconds.step)}`,
    `            predicted from ${calibrated.steps} steps of ${batch} rows, with ${calibrated.d_sae.join(' and ')} latents`,
    `${colours.bold('the run')}     ${duration(seconds.step * steps)} for ${tokens.toLocaleString('en')} rows in ${steps.toLocaleString('en')} steps`,
  ];
}

function lines({ batch }: Shape, plan: Plan, { tokens, threads }: Options): string[] {
  const { memory, work, seconds, calibrated } = plan;
  const percent = (part: number): string => `${Math.round((100 * part) / seconds.step)} %`;
  const steps = Math.ceil(tokens / batch);
  return [
    `${colours.bold('parameters')}  ${plan.parameters.toLocaleString('en')}`,
    `${colours.bold('memory')}      ${bytes(memory.total)}: parameters ${bytes(memory.parameters)}, moments ${bytes(memory.moments)}, gradients ${bytes(memory.gradients)}, batch at most ${bytes(memory.batch)}`,
    `            dense activations would be ${bytes(memory.denseActs)} more: they are never made`,
    `${colours.bold('operations')}  ${count(work.encode)} to encode, ${count(work.selected)} for selected latents, ${count(work.update)} to update, a step`,
    `${colours.bold('a step')}      ${duration(seconds.step)} on ${threads} thread${threads === 1 ? '' : 's'}: encode ${percent(seconds.encode)}, selected latents ${percent(seconds.selected)}, update ${percent(seconds.update)}, lists ${percent(seconds.lists)}`,
    `            predicted from ${calibrated.steps} steps of ${calibrated.rows} rows and ${calibrated.d_sae} latents`,
    `${colours.bold('the run')}     ${duration(seconds.step * steps)} for ${tokens.toLocaleString('en')} rows in ${steps.toLocaleString('en')} steps`,
    ...(plan.fits
      ? []
      : [
          colours.red(
            'It does not fit: backend threads addresses 4 GiB. Train on a GPU, or with fewer latents.',
          ),
        ]),
  ];
}

function bytes(n: number): string {
  return n < 2 ** 30 ? `${(n / 2 ** 20).toFixed(1)} MiB` : `${(n / 2 ** 30).toFixed(2)} GiB`;
}

function count(n: number): string {
  return n < 1e9 ? `${(n / 1e6).toFixed(1)} MFLOP` : `${(n / 1e9).toFixed(1)} GFLOP`;
}

function duration(seconds: number): string {
  if (seconds < 1) return `${(seconds * 1000).toPrecision(3)} ms`;
  if (seconds < 120) return `${seconds.toPrecision(3)} s`;
  if (seconds < 7200) return `${(seconds / 60).toFixed(0)} min`;
  return seconds < 172_800
    ? `${(seconds / 3600).toFixed(1)} h`
    : `${(seconds / 86_400).toFixed(1)} days`;
}
