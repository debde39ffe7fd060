/**
 * Samples a second of our worlds beside SAELens's generators, and a training run with its evaluation beside its synthetic
 * runner: in turns, on one machine, from a checkout. `npx tsx synthetic/peers/speed.ts`. See docs/peers.md.
 * @module
 */
import { writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { Command, InvalidArgumentError } from 'commander';
import { quantile } from '../../gpu/bench/statistics.ts';
import type { Matrix } from '../../reference/matrix.ts';
import { initialState } from '../../reference/train-step.ts';
import { evaluate } from '../evaluate.ts';
import { threadsSteps } from '../kernels/threads-steps.ts';
import { createRng } from '../rng.ts';
import { trainedCode } from '../trained-code.ts';
import { createWorld, worldDefaults, worldNamed } from '../worlds/presets.ts';
import { createSampler, type World } from '../worlds/world.ts';
import { configOfPeer } from './peer-settings.ts';
import { openPeer, type Peer } from './peer-process.ts';

/** Rows sampled at once, on both sides. */
const BATCH = 1024;

interface Options {
  readonly worlds: readonly string[];
  readonly rounds: number;
  readonly seconds: number;
  readonly runnerSteps: number;
  readonly json?: string;
}

interface Measured {
  readonly what: string;
  /** The fastest of SAELens's ways. */
  readonly way: string;
  /** Of a turn: rows, or training rows. */
  readonly rows: number;
  /** Seconds of every round. */
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
  /** Theirs by ours: the median of the rounds' ratios. */
  readonly ratio: number;
}

await new Command('speed')
  .description('Our worlds and a training run beside SAELens, in turns.')
  .option('--worlds <names>', 'to sample, between commas', list, ['tree', 'mini1k', 'synth16k'])
  .option('--rounds <n>', 'turns of each side', wholeNumber, 5)
  .option('--seconds <s>', 'about how long a turn of the peer takes', wholeNumber, 2)
  .option(
    '--runner-steps <n>',
    'steps of the training run on mini256; 0 leaves it out',
    Number,
    500,
  )
  .option('--json <file>', 'write everything there')
  .action(async (options: Options) => {
    const peer = openPeer('saelens_speed.py');
    try {
      const measured: Measured[] = [];
      for (const name of options.worlds) measured.push(await sampling(peer, name, options));
      if (options.runnerSteps > 0) measured.push(await training(peer, options));
      process.stdout.write(`\n${measured.map(line).join('\n')}\n`);
      if (options.json !== undefined) {
        const machine = { cpu: cpus()[0].model, cores: cpus().length, node: process.version };
        const date = new Date().toISOString().slice(0, 10);
        await writeFile(options.json, `${JSON.stringify({ date, machine, measured }, null, 2)}\n`);
      }
    } finally {
      peer.close();
    }
  })
  .parseAsync();

async function sampling(peer: Peer, name: string, { rounds, seconds }: Options): Promise<Measured> {
  note(`${name}: building the world on both sides`);
  const opened = await peer.ask({ op: 'open', world: name });
  const sampler = createSampler(asDrawn(name), createRng(1));
  const batches = Math.max(1, Math.round((seconds * Number(opened['rows_per_second'])) / BATCH));
  const ours = (): number => {
    const start = performance.now();
    let x: Matrix | undefined;
    for (let batch = 0; batch < batches; batch++) x = sampler.nextX(BATCH, x);
    return (performance.now() - start) / 1000;
  };
  const theirs = async (): Promise<number> =>
    Number((await peer.ask({ op: 'sample', rows: batches * BATCH }))['seconds']);
  ours();
  const times = await inTurns(name, rounds, async () => ours(), theirs);
  const what = `${name}, rows of x`;
  return { what, way: String(opened['way']), rows: batches * BATCH, ...times };
}

/** Directions as they were drawn: what a row costs is the same, and 16,384 of them take seconds and not minutes. */
function asDrawn(name: string): World {
  const params = worldNamed(name);
  if (params.kind !== 'synth') return createWorld(params, 42);
  const orthogonalisation = { ...params.orthogonalisation, steps: 0 };
  return createWorld({ ...params, orthogonalisation }, 42);
}

/**
 * mini256, Matryoshka with the one auxiliary loss that is SAELens's default: training and one evaluation, as
 * SyntheticSAERunner does without its log. Ours on one thread.
 */
async function training(peer: Peer, { rounds, runnerSteps: steps }: Options): Promise<Measured> {
  const name = 'mini256';
  const { d_sae, k, prefixes, batch, learningRate } = worldDefaults[name];
  const rows = 40 * batch;
  note(`${name}: opening the runner on both sides`);
  const opened = await peer.ask({
    op: 'open_runner',
    world: name,
    architecture: 'matryoshka',
    widths: prefixes,
    steps,
    rows,
  });
  const world = asDrawn(name);
  const config = configOfPeer(
    {
      architecture: 'matryoshka',
      d_sae,
      k,
      widths: prefixes,
      steps,
      batch,
      learning_rate: learningRate,
      l1: 0,
      level_aux: false,
    },
    world.d_in,
  );
  let seed = 0;
  const ours = async (): Promise<number> => {
    const rng = createRng(seed++);
    const start = performance.now();
    const sampler = createSampler(world, rng.split('rows'));
    const stepper = threadsSteps.open(config, initialState(config, rng.split('weights').uniform));
    let x: Matrix | undefined;
    for (let step = 0; step < steps; step++) {
      x = sampler.nextX(batch, x);
      await stepper.step(x, config, {});
    }
    const state = await stepper.state();
    await stepper.close();
    evaluate(trainedCode(state, sampler.next(rows), config, batch).judged, world);
    return (performance.now() - start) / 1000;
  };
  const theirs = async (): Promise<number> =>
    Number((await peer.ask({ op: 'run', seed }))['seconds']);
  await ours();
  const times = await inTurns(name, rounds, ours, theirs);
  const what = `${name}, ${steps} steps of ${batch} and an evaluation on ${rows}`;
  return { what, way: String(opened['way']), rows: steps * batch, ...times };
}

/** Ours, theirs, then theirs, ours, and so on: what the machine does meanwhile meets both alike. */
async function inTurns(
  what: string,
  rounds: number,
  ours: () => Promise<number>,
  theirs: () => Promise<number>,
): Promise<Pick<Measured, 'ours' | 'theirs' | 'ratio'>> {
  const times = { ours: [] as number[], theirs: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    if (round % 2 === 0) times.ours.push(await ours());
    times.theirs.push(await theirs());
    if (round % 2 === 1) times.ours.push(await ours());
    note(
      `${what}: round ${round + 1} of ${rounds}: ours ${times.ours[round].toFixed(2)} s, theirs ${times.theirs[round].toFixed(2)} s`,
    );
  }
  return {
    ...times,
    ratio: quantile(
      times.theirs.map((time, round) => time / times.ours[round]),
      0.5,
    ),
  };
}

function line({ what, way, rows, ours, theirs, ratio }: Measured): string {
  const rate = (times: readonly number[]): string => (rows / quantile(times, 0.5)).toFixed(0);
  return `${ratio.toFixed(2)}x  ${what}: ours ${rate(ours)} rows/s, SAELens ${rate(theirs)} rows/s (${way})`;
}

function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

function list(text: string): string[] {
  const names = text === '' ? [] : text.split(',');
  const wrong = names.find((name) => !['tree', 'mini256', 'mini1k', 'synth16k'].includes(name));
  if (wrong !== undefined) {
    throw new InvalidArgumentError(`expected of tree, mini256, mini1k, synth16k, got ${wrong}`);
  }
  return names;
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) {
    throw new InvalidArgumentError('expected a whole number from 1');
  }
  return value;
}
