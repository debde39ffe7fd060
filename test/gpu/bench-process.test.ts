import { describe, expect, test } from 'vitest';
import { measureCell, stepsIn } from '../../gpu/bench/measure.ts';
import { openSide } from '../../gpu/bench/side.ts';
import { spread } from '../../gpu/bench/statistics.ts';
import { setup, sideOf, trainer } from './bench-sides.ts';

describe('a side’s process', () => {
  test.each([
    [
      'dies',
      'process.stderr.write("out of luck\\n"); process.exit(3)',
      /^fake: ended with status 3: out of luck$/,
    ],
    ['dies by a signal', 'process.kill(process.pid, "SIGTERM")', /^fake: ended by SIGTERM$/],
    ['prints garbage', 'on(() => say("<html>"))', /setup: expected a line of JSON, got "<html>"$/],
    [
      'prints what is no answer',
      'on(() => say({ engine: 1 }))',
      /setup: engine: .*got "{\\"engine\\":1}"$/,
    ],
    ['answers a list', 'on(() => say([]))', /setup: answer: .*got "\[\]"$/],
    ['refuses', 'on(() => say({ error: "no torch\\nat line 3" }))', /^fake: setup: no torch$/],
    [
      'speaks unasked',
      'say("Welcome!"); on(() => {})',
      /^fake: said "Welcome!" without being asked$/,
    ],
  ])('that %s is told in one line', async (_name, program, message) => {
    const side = sideOf(program);
    if (program.includes('Welcome')) await new Promise((resolve) => setTimeout(resolve, 1000));
    await expect(side.ask(setup)).rejects.toThrow(message);
    await side.close();
  });

  test('that hangs is ended when its time is over', async () => {
    const side = sideOf('on(() => {})', 300);
    await expect(side.ask(setup)).rejects.toThrow(/^fake: setup: no answer within 0.3 s$/);
    await side.close();
  });

  test('that does not exist is told as well', async () => {
    const side = openSide({ name: 'gone', command: ['/no/such'], threads: 1, limit: 9000 });
    await expect(side.ask(setup)).rejects.toThrow(/^gone: could not be started: .*ENOENT/);
    await side.close();
  });

  test('that takes a loss of no number says null, which is NaN', async () => {
    const side = sideOf(trainer(0.01, 'null'));
    await side.ask(setup);
    expect((await side.ask({ op: 'steps', n: 2 })).loss).toBeNaN();
    await side.close();
  });
});

describe('measuring', () => {
  const contend = (...programs: string[]) => programs.map((one) => ({ side: sideOf(one), setup }));
  const closeAll = (all: ReturnType<typeof contend>) =>
    Promise.all(all.map(({ side }) => side.close()));

  test('a side that takes another number of steps is left out', async () => {
    const lazy = `on(({ op }) => say(op === 'setup' ? opened : steps(1, 0.01)));`;
    const all = contend(lazy);
    const cell = await measureCell(all, { seconds: 1, rounds: 2 });
    await closeAll(all);
    expect(cell.sides[0]).toMatchObject({
      rounds: [],
      failure: 'fake: steps: expected times of 5 steps, got 1',
    });
  });

  test('every side takes the same steps, as many as fit into the seconds', async () => {
    const all = contend(trainer(0.01, 'count'), trainer(0.03, 'count'));
    const cell = await measureCell(all, { seconds: 2, rounds: 4 });
    await closeAll(all);
    expect(cell.stepsPerRound).toBe(12); // 2 s / 4 rounds / (0.01 + 0.03 s)
    const [fast, slow] = cell.sides;
    expect(fast.rounds).toHaveLength(4);
    expect(spread(fast.rounds).median).toBeCloseTo(0.01, 9);
    expect(spread(slow.rounds).median).toBeCloseTo(0.03, 9);
    expect(fast.losses).toEqual(slow.losses);
    // Each turn has a first step that does not count.
    expect(fast.losses.map((loss) => loss - cell.warmupSteps)).toEqual([13, 26, 39, 52]);
    expect(spread(fast.products).median).toBeCloseTo(0.001, 9);
  });

  test('a side that fails halfway is left out, and the others go on', async () => {
    const dies = `let asked = 0; on(({ op, n }) => {
      if (++asked > 4) process.exit(1);
      say(op === 'setup' ? opened : op === 'product' ? { seconds: [] } : steps(n, 0.01));
    });`;
    const all = contend(dies, trainer(0.01));
    const cell = await measureCell(all, { seconds: 0.2, rounds: 3 });
    await closeAll(all);
    expect(cell.sides[0].failure).toMatch(/^fake: ended with status 1/);
    expect(cell.sides[1].failure).toBeNull();
    expect(cell.sides[1].rounds).toHaveLength(3);
  });

  test('an interrupted run keeps the rounds that all sides finished', async () => {
    const interrupt = new AbortController();
    const { signal } = interrupt;
    const all = [
      { side: sideOf(trainer(0.01), 20_000, signal), setup },
      { side: sideOf(trainer(0.01), 20_000, signal), setup },
    ];
    const onRound = (round: number): void => {
      if (round === 2) interrupt.abort(new Error('interrupted'));
    };
    const cell = await measureCell(all, { seconds: 0.2, rounds: 9, signal, onRound });
    await closeAll(all);
    expect(cell.interrupted).toBe(true);
    expect(cell.sides.map(({ rounds }) => rounds.length)).toEqual([2, 2]);
  });

  test('a turn is as long as asked, but has steps enough to be timed', () => {
    expect(stepsIn(1, [0.1, 0.15])).toBe(4);
    expect(stepsIn(0.1, [1, 2])).toBe(1);
    expect(stepsIn(0.1, [0.01, 2])).toBe(5); // 0.05 s of the fastest
    expect(stepsIn(0.1, [0.001, 2])).toBe(8);
    expect(stepsIn(1e6, [0.001])).toBe(2000);
    expect(stepsIn(1, [])).toBe(1);
  });

  test('the first step of a turn, which meets cold caches, does not count', async () => {
    const cold = `on(({ op, n }) => say(op === 'setup' ? opened
      : op === 'product' ? { seconds: [] }
      : { ...steps(n, 0.01), total: n * 0.01 + 5, seconds: [5.01, ...Array(n - 1).fill(0.01)] }));`;
    const all = contend(cold);
    const { sides } = await measureCell(all, { seconds: 1, rounds: 2 });
    await closeAll(all);
    expect(spread(sides[0].rounds).median).toBeCloseTo(0.01, 9);
    expect(spread(sides[0].medianStep).median).toBeCloseTo(0.01, 9);
  });
});
