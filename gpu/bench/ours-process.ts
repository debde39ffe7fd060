/**
 * Our side of a benchmark in a process of its own, as the peers have theirs: `ours-process.ts BACKEND`, then requests of
 * messages.ts on standard input.
 * @module
 */
import { createInterface } from 'node:readline';
import { zeroParams } from '../../reference/params.ts';
import type { TrainState } from '../../reference/train-step.ts';
import { benchEngine, type BenchBackend, type Engine, type Session } from './engine.ts';
import type { ReplyTo, Request, Setup } from './messages.ts';
import { readFloat32, readParams } from './problem.ts';
import { peakResidentBytes } from './resident-memory.ts';
import { benchConfig, type DialectName } from './shape.ts';

const answer = process.stdout.write.bind(process.stdout);
// Standard output belongs to answers: what a library prints goes to the other stream.
process.stdout.write = process.stderr.write.bind(process.stderr);
// Ctrl-C reaches every process of a terminal: the one that asks decides when this one ends.
process.on('SIGINT', () => undefined);

let session: Session | undefined;
let threads: number | undefined;

async function open(setup: Setup, engine: Engine): Promise<Session> {
  const { d_in, d_sae, batch } = setup;
  const config = benchConfig(setup, setup.dialect as DialectName, setup.auxk);
  const start: TrainState = {
    step: 0,
    params: await readParams(setup.params, setup),
    m: zeroParams(d_in, d_sae),
    v: zeroParams(d_in, d_sae),
    threshold: config.dialect.threshold.start,
    sinceFired: new Float64Array(d_sae),
  };
  const values = setup.batches * batch * d_in;
  return engine.open({
    config,
    start,
    activations: await readFloat32(setup.activations, values),
    rows: batch,
  });
}

async function reply(request: Request): Promise<ReplyTo<Request>> {
  if (request.op === 'setup') {
    const engine = await benchEngine(process.argv[2] as BenchBackend, request.threads);
    threads = engine.threads;
    const base = peakResidentBytes();
    session = await open(request, engine);
    return { engine: engine.name, notes: engine.notes, base };
  }
  if (session === undefined) throw new Error(`${request.op}: expected a setup before it`);
  if (request.op === 'product') return { seconds: await session.product(request.n) };
  const seconds: number[] = [];
  const start = performance.now();
  let before = start;
  for (let i = 0; i < request.n; i++) {
    await session.step();
    const now = performance.now();
    seconds.push((now - before) / 1000);
    before = now;
  }
  return {
    total: (before - start) / 1000,
    seconds,
    loss: session.loss(),
    dead: session.dead(),
    peak: peakResidentBytes(),
    threads,
  };
}

for await (const line of createInterface({ input: process.stdin })) {
  try {
    answer(`${JSON.stringify(await reply(JSON.parse(line) as Request))}\n`);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    answer(`${JSON.stringify({ error: message })}\n`);
  }
}
session?.close();
process.exit(0);
