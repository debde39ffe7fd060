import { describe, expect, test } from 'vitest';
import { runTreeCell, type TreeCell } from '../../../synthetic/experiments/tree-cell.ts';
import {
  treeArchitectures,
  treeSettings,
  type TreeSettings,
} from '../../../synthetic/experiments/tree-settings.ts';
import { runTree, summarise, type TreeProgress } from '../../../synthetic/experiments/tree.ts';

const tiny: TreeSettings = {
  ...treeSettings({ seeds: 1, steps: 24, batch: 64, worlds: 2 }),
  evaluationSamples: 1024,
  curveSamples: 128,
};

describe('runTree', () => {
  test('gives the same results for any number of threads, and they are plain JSON', async () => {
    const seen: TreeProgress[] = [];
    const one = await runTree(tiny, { threads: 1, onProgress: (progress) => seen.push(progress) });
    const three = await runTree(tiny, { threads: 3 });
    expect(three).toEqual(one);
    expect(JSON.parse(JSON.stringify(one))).toEqual(one);

    // Every cell reports its way to the last step: 2 worlds x 1 seed x 2 architectures.
    expect(one.cells).toHaveLength(4);
    const ends = seen.filter(({ steps }) => steps === 24);
    expect(ends.map(({ cell }) => cell)).toEqual([0, 1, 2, 3]);
    expect(ends[3]).toMatchObject({
      architecture: 'Matryoshka BatchTopK',
      worldSeed: 1,
      seed: 0,
      cells: 4,
    });
    expect(one.cells.map((cell) => `${cell.worldSeed} ${cell.seed} ${cell.architecture}`)).toEqual([
      '0 0 BatchTopK',
      '0 0 Matryoshka BatchTopK',
      '1 0 BatchTopK',
      '1 0 Matryoshka BatchTopK',
    ]);
    expect(one.verdict.controlsHold).toBe(true);
    for (const cell of one.cells) expect(cell.curve).toHaveLength(21);
  });

  test('rejects with the message of a cell that fails', async () => {
    await expect(runTree({ ...tiny, dialect: 'nobody' }, { threads: 2 })).rejects.toThrow(
      'dialect: expected one of',
    );
  });

  test('stops when aborted, with the reason', async () => {
    const controller = new AbortController();
    const long = { ...tiny, steps: 10_000_000 };
    const running = runTree(long, { threads: 1, signal: controller.signal });
    setTimeout(() => controller.abort(new Error('enough')), 300);
    await expect(running).rejects.toThrow('enough');
  });
});

test('both architectures start from the same SAE and see the same held-out rows', async () => {
  const [plain, nested] = await Promise.all(
    treeArchitectures(tiny).map((architecture) =>
      runTreeCell({ settings: tiny, architecture, worldSeed: 0, seed: 1 }, () => undefined),
    ),
  );
  expect(plain.curve[0]).toEqual(nested.curve[0]);
  expect(plain.curve[1].mcc).not.toBe(nested.curve[1].mcc);
});

describe('the verdict', async () => {
  const settings = { ...tiny, seeds: [0, 1, 2, 3, 4], worldSeeds: [0] };
  const template = await runTreeCell(
    { settings: tiny, architecture: treeArchitectures(tiny)[0], worldSeed: 0, seed: 0 },
    () => undefined,
  );
  function verdictOf(
    plain: Partial<TreeCell['metrics']>[],
    nested: Partial<TreeCell['metrics']>[],
  ) {
    const cells = plain.flatMap((metrics, i): TreeCell[] =>
      [metrics, nested[i]].map((own, a) => ({
        ...template,
        architecture: treeArchitectures(settings)[a].name,
        seed: i,
        metrics: { ...template.metrics, l0: settings.k, ...own },
      })),
    );
    return summarise(settings, cells);
  }
  const five = (fullAbsorption: number[], mcc: number, more = {}) =>
    fullAbsorption.map((full) => ({ fullAbsorption: full, mcc, ...more }));
  const high = [0.3, 0.35, 0.4, 0.45, 0.5];
  const low = [0, 0.01, 0.02, 0.01, 0];

  test('is shown when absorption falls with intervals apart and MCC is no lower', () => {
    const results = verdictOf(five(high, 0.85), five(low, 0.85));
    expect(results.verdict).toMatchObject({
      shown: true,
      absorptionReduced: true,
      mccAtLeastAsHigh: true,
      equalL0: true,
    });
    expect(results.differences.fullAbsorption?.mean).toBeCloseTo(-0.392, 12);
    expect(results.architectures.map(({ metrics }) => metrics.fullAbsorption?.kind)).toEqual([
      'bootstrap 95 %',
      'bootstrap 95 %',
    ]);
  });

  test('is not shown when MCC is lower, when intervals touch, or when absorption rises', () => {
    expect(verdictOf(five(high, 0.85), five(low, 0.84)).verdict).toMatchObject({
      shown: false,
      absorptionReduced: true,
      mccAtLeastAsHigh: false,
    });
    const wide = [0, 0.1, 0.5, 0.4, 0.2];
    expect(verdictOf(five(high, 0.85), five(wide, 0.9)).verdict.absorptionReduced).toBe(false);
    expect(verdictOf(five(low, 0.85), five(high, 0.9)).verdict.shown).toBe(false);
  });

  test('says when measured L0 is more than 3 % from k', () => {
    const results = verdictOf(five(high, 0.85, { l0: 0.96 * settings.k }), five(low, 0.9));
    expect(results.verdict).toMatchObject({ shown: true, equalL0: false });
  });

  test('leaves undefined values out of means and pairs, and is not shown without any', () => {
    const some = high.map((full, i) => ({ fullAbsorption: i === 0 ? null : full, mcc: 0.9 }));
    const results = verdictOf(some, five(low, 0.9));
    expect(results.architectures[0].metrics.fullAbsorption?.values).toEqual(high.slice(1));
    expect(results.differences.fullAbsorption?.values).toHaveLength(4);
    const none = high.map(() => ({ fullAbsorption: null, mcc: null }));
    expect(verdictOf(none, none).verdict.shown).toBe(false);
  });
});
