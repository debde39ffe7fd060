/**
 * What a run will cost on this machine, before it is started: memory from a model of what is allocated, time from a few
 * seconds of real steps at a shape that is as large as those seconds allow.
 * @module
 */
import type { TrainConfig } from '../../reference/train-step.ts';
import { openEngine, type Engine, type Phase } from '../threads/engine.ts';
import { memoryNeeded } from '../threads/memory.ts';
import { createTrainer } from '../threads/trainer.ts';

/** Operations of one step, a product and a sum counted as two. */
export interface Work {
  /** The one dense product: 2 · rows · d_in · d_sae. */
  readonly encode: number;
  /** What follows for selected latents alone: 8 · K · d_in, and the levels' rows. */
  readonly selected: number;
  /** Adam, projection and norms: every parameter once. */
  readonly update: number;
  /** The same by latents and selected latents, counted on one thread. */
  readonly lists: number;
}

export interface Plan {
  readonly parameters: number;
  /** Bytes. */
  readonly memory: {
    readonly parameters: number;
    readonly moments: number;
    readonly gradients: number;
    readonly batch: number;
    readonly total: number;
    /** What [rows, d_sae] would take, which is never made. */
    readonly denseActs: number;
  };
  readonly work: Work;
  /** Whether the `threads` backend can hold it. */
  readonly fits: boolean;
  /** What was really run to predict from. */
  readonly calibrated: { readonly d_sae: number; readonly rows: number; readonly steps: number };
  /** Seconds of one step, by kind of work, and of all. */
  readonly seconds: Readonly<Record<keyof Work, number>> & { readonly step: number };
}

/** @param levels - number of prefixes. */
export function workOf(
  { d_in, d_sae, k }: Pick<TrainConfig, 'd_in' | 'd_sae' | 'k'>,
  rows: number,
  levels: number,
): Work {
  const K = Math.trunc(k * rows);
  return {
    encode: 2 * rows * d_in * d_sae,
    selected: 8 * K * d_in + 6 * levels * rows * d_in,
    update: 2 * 15 * d_in * d_sae,
    lists: 20 * K + 10 * d_sae + rows * d_in,
  };
}

const kinds: Readonly<Record<Phase, keyof Work>> = {
  centreRows: 'lists',
  encodeAbove: 'encode',
  encodeTop: 'encode',
  encodeDense: 'encode',
  scanAbove: 'encode',
  gatherDead: 'encode',
  unpanel: 'lists',
  addBias: 'lists',
  spreadRows: 'selected',
  gatherColumns: 'selected',
  decodeRows: 'selected',
  errorRows: 'selected',
  suffixRows: 'selected',
  errorColumns: 'selected',
  missRows: 'selected',
  latentGradients: 'selected',
  updateLatents: 'update',
  // Of no step.
  packTiles: 'lists',
  addGram: 'lists',
  addProduct: 'lists',
};

/** Operations of a step that is small enough to be run for calibration. */
const affordable = 4e9;

/**
 * @param start - makes the configuration and first state of a run of so many latents.
 * @param seconds - spent on real steps.
 */
export function planRun(
  config: TrainConfig,
  rows: number,
  threads: number,
  seconds: number,
  start: (d_sae: number) => {
    readonly config: TrainConfig;
    readonly state: Parameters<typeof createTrainer>[2];
    readonly batch: (rows: number) => Float32Array;
  },
): Plan {
  const work = workOf(config, rows, config.prefixes.length);
  const { d_in, d_sae } = config;
  const parameters = 2 * d_in * d_sae + d_sae + d_in;
  const { state, batch } = memoryNeeded(config, rows, threads);

  // Latents first: what they cost is what differs most from one shape to another.
  const fewer = Math.min(
    d_sae,
    Math.max(64, Math.floor(affordable / (2 * d_in * Math.min(rows, 512)))),
  );
  const own = start(fewer);
  const ownRows = Math.max(16, Math.min(rows, Math.floor(affordable / (2 * d_in * fewer))));
  const spent: Record<keyof Work, number> = { encode: 0, selected: 0, update: 0, lists: 0 };
  const engine = openEngine({ threads });
  const trainer = createTrainer(timed(engine, spent), own.config, own.state);
  const x = own.batch(ownRows);
  for (let warm = 0; warm < 3; warm++) trainer.step(x);
  for (const kind of Object.keys(spent) as (keyof Work)[]) spent[kind] = 0;
  const from = performance.now();
  let steps = 0;
  while (steps < 3 || performance.now() - from < seconds * 1000) {
    trainer.step(x);
    steps++;
  }
  const whole = (performance.now() - from) / 1000;
  void trainer.close();
  spent.lists += whole - (spent.encode + spent.selected + spent.update + spent.lists);

  const done = workOf(own.config, ownRows, own.config.prefixes.length);
  const each = (kind: keyof Work): number => (spent[kind] / steps / done[kind]) * work[kind];
  const predicted = {
    encode: each('encode'),
    selected: each('selected'),
    update: each('update'),
    lists: each('lists'),
  };
  return {
    parameters,
    memory: {
      parameters: state / 4,
      moments: state / 2,
      gradients: state / 4,
      batch,
      total: state + batch,
      denseActs: 4 * rows * d_sae,
    },
    work,
    fits: state + batch <= 2 ** 32,
    calibrated: { d_sae: fewer, rows: ownRows, steps },
    seconds: {
      ...predicted,
      step: predicted.encode + predicted.selected + predicted.update + predicted.lists,
    },
  };
}

/** The engine, with the seconds of each phase added up by the kind of its work. */
function timed(engine: Engine, spent: Record<keyof Work, number>): Engine {
  return {
    ...engine,
    each(phase, task, chunks, work) {
      const from = performance.now();
      engine.each(phase, task, chunks, work);
      spent[kinds[phase]] += (performance.now() - from) / 1000;
    },
  };
}
