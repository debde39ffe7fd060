/**
 * Sides of a benchmark that are no trainers: node programs that answer as they are told.
 */
import { openSide, type Side } from '../../gpu/bench/side.ts';
import type { Setup } from '../../gpu/bench/messages.ts';

export const setup: Setup = {
  op: 'setup',
  d_in: 4,
  d_sae: 8,
  batch: 2,
  k: 1,
  prefixes: [8],
  dialect: 'saelens',
  threads: 1,
  activations: '',
  batches: 4,
  params: '',
  steps: 100,
  learning_rate: 0.01,
  warmup_steps: 1,
  threshold_start_step: 0,
  auxk_alpha: 1,
  dead_after: 3,
  auxk: true,
  peer_device: 'cpu',
  peer_precision: 'fp32',
};

/** A side that runs this program: `on(answer)` is called with a function that is given each request. */
export function sideOf(program: string, limit = 20_000, signal?: AbortSignal): Side {
  const command = [process.execPath, '-e', `${prelude}\n${program}`];
  return openSide({ name: 'fake', command, threads: 1, limit, ...(signal && { signal }) });
}

const prelude = `
const say = (value) => process.stdout.write(
  (typeof value === 'string' ? value : JSON.stringify(value)) + '\\n');
const on = (answer) => require('node:readline').createInterface({ input: process.stdin })
  .on('line', (line) => answer(JSON.parse(line)));
const opened = { engine: 'fake', notes: [], base: 1 };
const steps = (n, each, loss = 1) => ({
  total: n * each, seconds: Array.from({ length: n }, () => each), loss, dead: 0, peak: 2 });
`;

/** Trains at `each` seconds a step, without taking that long. @param loss - an expression of `count`, the steps so far. */
export function trainer(each: number, loss = '1 / count'): string {
  return `let count = 0;
on(({ op, n }) => {
  if (op === 'setup') return say(opened);
  if (op === 'product') return say({ seconds: Array.from({ length: n }, () => ${each} / 10) });
  count += n;
  say(steps(n, ${each}, ${loss}));
});`;
}
