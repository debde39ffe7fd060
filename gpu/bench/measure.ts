/**
 * Measures all sides on one problem, in turns: every side takes the same steps in every round, so that all are at the
 * same step of the same training whenever they are compared.
 * @module
 */
import type { Setup, SetupReply, Steps, StepsReply } from './messages.ts';
import { othersLoad, type OthersLoad } from './others-load.ts';
import { SideFailure, type Side } from './side.ts';
import { quantile } from './statistics.ts';

/** A side to measure, and what it is asked to train. */
export interface Contender {
  readonly side: Side;
  readonly setup: Setup;
}

/** What was measured of one side; as many rounds as all sides finished. */
export interface Measured extends SetupReply {
  /** Seconds per step in each round: the turn without its first step, by its number of steps. */
  readonly rounds: readonly number[];
  /** Median of single steps in each round. */
  readonly medianStep: readonly number[];
  /** After each round. */
  readonly losses: readonly number[];
  readonly dead: readonly number[];
  /** Largest resident memory after the first round, bytes. */
  readonly peak: number;
  /** That it computed on; null where it has no choice. */
  readonly threads: number | null;
  /** Seconds of single products x · W_enc, over all rounds. */
  readonly products: readonly number[];
  /** Why it takes no part any longer. */
  readonly failure: string | null;
}

export interface CellOptions {
  /** To spend on all sides together, warm-up not counted. */
  readonly seconds: number;
  readonly rounds: number;
  readonly signal?: AbortSignal;
  readonly onRound?: (round: number, rounds: number) => void;
}

export interface Cell {
  readonly warmupSteps: number;
  /** Those that count. */
  readonly stepsPerRound: number;
  /** In the order of the contenders. */
  readonly sides: readonly Measured[];
  /** Share of the processors that other programs kept busy between turns. */
  readonly othersLoad: number;
  readonly interrupted: boolean;
}

/** Enough for a latent to be dead, and for the first step's geometric median not to be timed. */
const FIRST_STEPS = 5;
/** Then until the slowest side has trained for so long, or so many steps: engines compile what runs often. */
const WARMUP_SECONDS = 0.5;
const WARMUP_STEPS = 300;
const MOST_STEPS = 2000;
/** Of a turn, not counted: its first step meets caches and threads that the side before left cold. */
const UNCOUNTED = 1;
/** In a turn at least so many counted steps, or so many seconds of them. */
const LEAST_STEPS = 8;
const LEAST_SECONDS = 0.05;
const PRODUCT_SECONDS = 0.05;

interface Running {
  readonly contender: Contender;
  readonly opened: SetupReply;
  readonly replies: StepsReply[];
  readonly products: number[];
  failure: string | null;
}

/**
 * Opens, warms up and measures. A side that fails is left out from there on, with its reason; the others go on.
 * @throws what is neither a {@link SideFailure} nor the signal's reason. After an abort, what was measured is returned.
 */
export async function measureCell(
  contenders: readonly Contender[],
  { seconds, rounds, signal, onRound }: CellOptions,
): Promise<Cell> {
  const all: Running[] = [];
  const others = othersLoad();
  let warmupSteps = 0;
  let stepsPerRound = 0;
  let finished = 0;
  try {
    // At once: what takes long is loading libraries, and nothing is timed yet.
    all.push(...(await Promise.all(contenders.map(open))));
    const last = await turn(all, FIRST_STEPS, others);
    warmupSteps = FIRST_STEPS;
    const slowest = Math.max(0, ...last.map(steady));
    const more = Math.min(WARMUP_STEPS, Math.floor(WARMUP_SECONDS / slowest));
    const warm = more > 0 && slowest > 0 ? await turn(all, more, others) : last;
    warmupSteps += warm === last ? 0 : more;
    stepsPerRound = stepsIn(seconds / rounds, warm.map(steady));
    while (finished < rounds && alive(all).length > 0) {
      const round = await turn(all, UNCOUNTED + stepsPerRound, others, finished % 2 === 1);
      alive(all).forEach((one, i) => one.replies.push(round[i]));
      finished++;
      onRound?.(finished, rounds);
      for (const one of alive(all)) await products(one);
    }
  } catch (error) {
    if (signal?.aborted !== true) throw error;
  }
  return {
    warmupSteps,
    stepsPerRound,
    sides: all.map((one) => measured(one, finished)),
    othersLoad: others.share(),
    interrupted: signal?.aborted === true,
  };
}

/**
 * Counted steps in a turn: as many as let all sides' turns together last about as long as asked, but enough for the
 * fastest side's turn to be seen by the clock.
 * @param steps - seconds of one step of each side.
 */
export function stepsIn(roundSeconds: number, steps: readonly number[]): number {
  if (steps.length === 0) return 1;
  const together = steps.reduce((sum, step) => sum + step, 0);
  const least = Math.min(LEAST_STEPS, Math.ceil(LEAST_SECONDS / Math.min(...steps)));
  return Math.max(least, Math.min(MOST_STEPS, Math.floor(roundSeconds / together)));
}

function alive(all: readonly Running[]): Running[] {
  return all.filter(({ failure }) => failure === null);
}

async function open(contender: Contender): Promise<Running> {
  const opened: SetupReply = { engine: contender.side.name, notes: [], base: 0 };
  const running = { contender, opened, replies: [], products: [], failure: null };
  const answer = await unlessItFails(running, () => contender.side.ask(contender.setup));
  return answer === null ? running : { ...running, opened: answer };
}

/**
 * Every side that is left takes n steps, one side after the other: in their order, or backwards.
 * @returns the answers of those that are left afterwards, in their order.
 */
async function turn(
  all: readonly Running[],
  n: number,
  others: OthersLoad,
  backwards = false,
): Promise<StepsReply[]> {
  const answers = new Map<Running, StepsReply>();
  const order = alive(all);
  const request: Steps = { op: 'steps', n };
  for (const one of backwards ? order.toReversed() : order) {
    await others.wait();
    const answer = await unlessItFails(one, () => takeSteps(one.contender.side, request));
    if (answer !== null) answers.set(one, answer);
  }
  return alive(all).map((one) => answers.get(one)!);
}

/** @throws {@link SideFailure} also if times of another number of steps come back. */
async function takeSteps(side: Side, request: Steps): Promise<StepsReply> {
  const reply = await side.ask(request);
  if (reply.seconds.length === request.n) return reply;
  throw new SideFailure(
    `${side.name}: steps: expected times of ${request.n} steps, got ${reply.seconds.length}`,
  );
}

/** Seconds of a step once the first ones are over. */
function steady({ seconds }: StepsReply): number {
  return Math.min(...seconds.slice(-3));
}

/** Times the dense product; not before the first round, whose memory it must not raise. */
async function products(one: Running): Promise<void> {
  const { side } = one.contender;
  const ask = (n: number): Promise<{ readonly seconds: readonly number[] } | null> =>
    unlessItFails(one, () => side.ask({ op: 'product', n }));
  const first = await ask(1);
  if (first === null || first.seconds.length === 0) return;
  const n = Math.max(1, Math.min(200, Math.floor(PRODUCT_SECONDS / first.seconds[0])));
  one.products.push(...((await ask(n))?.seconds ?? []));
}

async function unlessItFails<T>(
  one: { failure: string | null },
  ask: () => Promise<T>,
): Promise<T | null> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof SideFailure)) throw error;
    one.failure = error.message;
    return null;
  }
}

function measured({ opened, replies, products, failure }: Running, rounds: number): Measured {
  const kept = replies.slice(0, rounds);
  return {
    ...opened,
    rounds: kept.map(({ total, seconds }) => counted(total, seconds)),
    medianStep: kept.map(({ seconds }) => quantile(seconds.slice(UNCOUNTED), 0.5)),
    losses: kept.map(({ loss }) => loss),
    dead: kept.map(({ dead }) => dead),
    peak: kept[0]?.peak ?? 0,
    threads: kept.at(-1)?.threads ?? null,
    products,
    failure,
  };
}

/** Seconds of a counted step: the turn without its first, whatever came between steps included. */
function counted(total: number, seconds: readonly number[]): number {
  const first = seconds.slice(0, UNCOUNTED).reduce((sum, step) => sum + step, 0);
  return (total - first) / (seconds.length - UNCOUNTED);
}
