import { describe, expect, test } from 'vitest';
import { row, norm } from '../../../reference/matrix.ts';
import { createRng } from '../../../synthetic/rng.ts';
import { denseRows } from '../../../synthetic/sparse-rows.ts';
import type { SynthParams } from '../../../synthetic/worlds/params.ts';
import {
  createWorld,
  isPreset,
  worldDefaults,
  worldNamed,
  worldPresets,
} from '../../../synthetic/worlds/presets.ts';
import { createSampler, type FireRow, type World } from '../../../synthetic/worlds/world.ts';
import { parseWorldFile } from '../../../synthetic/worlds/world-file.ts';
import { UsageError } from '../../../training/usage-error.ts';
import { brokenLaws, draw, l0Of } from './world-laws.ts';

const names = Object.keys(worldPresets);
const small = names.filter((name) => name !== 'synth16k');

/** A miniature whose derived statistics are exact: nothing correlated, no activation cut at 0. */
const exactMini: SynthParams = {
  ...(worldNamed('mini256') as SynthParams),
  correlation: null,
  magnitudes: { first: 5, last: 4, spread: { mean: 0, sd: 0 } },
};

describe('a preset', () => {
  test.each(small)('%s obeys the laws of worlds', (name) => {
    expect(brokenLaws(createWorld(worldNamed(name), 42), 10_000)).toEqual([]);
  });

  test('synth16k obeys them', () => {
    expect(brokenLaws(createWorld(worldNamed('synth16k'), 42), 300)).toEqual([]);
  });

  test.each(names)('%s has defaults that fit it, and is called what it is listed as', (name) => {
    const { d_sae, k, prefixes } = worldDefaults[name];
    expect(worldPresets[name].name).toBe(name);
    expect(k).toBeGreaterThan(0);
    expect(k).toBeLessThanOrEqual(d_sae);
    expect(prefixes.at(-1)).toBe(d_sae);
    expect([...prefixes].sort((a, b) => a - b)).toEqual(prefixes);
    expect(Object.keys(worldDefaults)).toContain(name);
  });

  test.each(small.filter((name) => name !== 'mini1k'))(
    '%s is the same world after a round trip through JSON',
    (name) => {
      const params = worldNamed(name);
      const copy = createWorld(JSON.parse(JSON.stringify(params)) as typeof params, 3);
      const world = createWorld(params, 3);
      expect(copy.directions.data).toEqual(world.directions.data);
      expect(draw(copy, 50)).toEqual(draw(world, 50));
    },
  );

  test.each(names)('%s is known by its parameters, not by its name', (name) => {
    const copy = parseWorldFile(JSON.stringify(worldNamed(name)), 'copy.json');
    expect(isPreset(copy)).toBe(true);
    expect(isPreset({ ...copy, d_in: copy.d_in + 1 })).toBe(false);
    expect(isPreset({ ...copy, name: 'mine' })).toBe(false);
  });

  test('an unknown name is a usage error that lists the known ones', () => {
    expect(() => worldNamed('mini512')).toThrow(UsageError);
    expect(() => worldNamed('mini512')).toThrow(/tree.*absorb4.*mini256.*synth16k.*mini512/s);
    expect(() => worldNamed('toString')).toThrow(UsageError);
  });
});

describe('published figures', () => {
  const l0 = (name: string): number => createWorld(worldNamed(name), 42).statistics.expectedL0;

  test.each([
    ['tree', 1.12],
    ['independent4', 0.4],
    ['absorb4', 0.4],
    ['hedge1', 0.3],
    ['hedge1-pos', 0.375],
    ['hedge1-anti', 0.425],
    ['hedge3', 0.8],
    ['balance', 0.3625],
    ['unbalanceable', 0.4175],
    ['correlated5-pos', 2],
    ['correlated5-anti', 2],
    ['correlated50', 10.9525],
  ])('%s has L0 %f', (name, expected) => {
    expect(l0(name)).toBeCloseTo(expected, 12);
  });

  test.each([
    ['synth16k', 34.495, 25.17, [8.2, 7.32, 7.32, 7.13], 4.52, 0.107],
    ['mini1k', 6.094, 4.19, [1.28, 1.27, 1.27, 1.25], 1.02, 0.011],
    ['mini256', 4.216, 2.87, [1.25, 1.23, 1.2], 0.53, 0.02],
  ] as const)('%s has L0 %f, also by depth', (name, total, firstLatents, depths, free, alone) => {
    const { statistics, edges, features } = createWorld(worldNamed(name), 42);
    const { marginals, parents } = statistics;
    const sum = (among: (f: number) => boolean): number =>
      marginals.reduce((all, p, f) => (among(f) ? all + p : all), 0);
    const depth = new Int32Array(features.length);
    for (const { parent, child } of edges) depth[child] = depth[parent] + 1;
    const size = 1 + edges[edges.length - 1].child;
    expect(statistics.expectedL0).toBeCloseTo(total, 3);
    expect(sum((f) => f < worldDefaults[name].d_sae)).toBeCloseTo(firstLatents, 2);
    depths.forEach((expected, d) =>
      expect(sum((f) => f < size && depth[f] === d)).toBeCloseTo(expected, 2),
    );
    expect(sum((f) => f >= size)).toBeCloseTo(free, 2);
    const roots = parents.filter(({ parent }) => depth[parent] === 0);
    const rate = roots.reduce((all, { parent }) => all + marginals[parent], 0);
    const silent = roots.reduce((all, r) => all + marginals[r.parent] * r.noChild, 0);
    expect(silent / rate).toBeCloseTo(alone, 3);
  });

  test.each([
    ['synth16k', [0.0876, 0.0872, 0.0868, 0.0865], 4],
    ['mini1k', [0.261, 0.245, 0.232, 0.221], 3],
    ['mini256', [0.257, 0.24, 0.226, 0.214], 3],
  ] as const)('%s has the published P(child | root 0)', (name, expected, digits) => {
    const { givenParent } = createWorld(worldNamed(name), 42).statistics.parents[0];
    givenParent.forEach((p, c) => expect(p).toBeCloseTo(expected[c], digits));
    expect(givenParent).toHaveLength(4);
  });

  test('correlated miniatures fire at every depth as they would without correlation, within 3 %', () => {
    const world = createWorld(worldNamed('mini256'), 42);
    const sample = draw(world, 20_000);
    for (const [from, to] of [
      [0, 8],
      [8, 40],
      [40, 168],
      [168, 256],
    ]) {
      const expected = world.statistics.marginals.slice(from, to).reduce((a, b) => a + b);
      const [l0Here, error] = l0Of(sample, (f) => f >= from && f < to);
      expect(Math.abs(l0Here - expected)).toBeLessThan(0.03 * expected + 5 * error);
    }
  });
});

describe('rows in blocks', () => {
  const world = createWorld({ ...(worldNamed('mini256') as SynthParams), rowsPerBlock: 5 }, 5);

  test('can be drawn from any row on', () => {
    const whole = createSampler(world, createRng(2)).next(17);
    for (const from of [0, 3, 5, 9, 16]) {
      const rest = createSampler(world, createRng(2), from).next(17 - from);
      expect(rest.x.data).toEqual(whole.x.data.slice(from * world.d_in));
      expect(denseRows(rest.features).data).toEqual(
        denseRows(whole.features).data.slice(from * world.directions.rows),
      );
    }
  });

  test('begin another source after each, and the first is not the stream of one source', () => {
    const one = createWorld(worldNamed('mini256'), 5);
    const [x, stream] = [world, one].map((each) => createSampler(each, createRng(2)).nextX(5));
    expect(x.data).not.toEqual(stream.data);
    const again = createSampler(world, createRng(2).split('1')).nextX(5);
    expect(again.data).not.toEqual(x.data);
    const second = createSampler(one, createRng(2).split('1')).nextX(5);
    expect(createSampler(world, createRng(2), 5).nextX(5)).toEqual(second);
  });

  test('are what a world has that is drawn from a row on', () => {
    const one = createWorld(worldNamed('mini256'), 5);
    expect(() => createSampler(one, createRng(2), 5)).toThrow('from: expected 0');
    expect(() =>
      createWorld({ ...(worldNamed('mini256') as SynthParams), rowsPerBlock: 0.5 }, 5),
    ).toThrow('rowsPerBlock: expected a whole number >= 0, got 0.5');
  });
});

describe('a world', () => {
  test.each(['tree', 'mini256'])(
    '%s writes rows over those that are not needed any more, the same ones',
    (name) => {
      const world = createWorld(worldNamed(name), 5);
      const [fresh, over] = [1, 2].map(() => createSampler(world, createRng(2)));
      let x = over.nextX(9);
      expect(x).toEqual(fresh.nextX(9));
      for (const batch of [9, 9, 4]) {
        const before = x;
        x = over.nextX(batch, before);
        expect(x).toEqual(fresh.nextX(batch));
        expect(x.data === before.data).toBe(batch === 9);
      }
    },
  );

  test.each([0, 1, 5])(
    'has rows that do not depend on the batch size, with x = b + A G, in blocks of %i',
    (rowsPerBlock) => {
      const world = createWorld({ ...(worldNamed('mini256') as SynthParams), rowsPerBlock }, 5);
      const at = (): ReturnType<typeof createSampler> => createSampler(world, createRng(2));
      const whole = at().next(12);
      const one = at();
      for (let n = 0; n < 12; n++) expect(row(one.nextX(1), 0)).toEqual(row(whole.x, n));
      const a = denseRows(whole.features);
      for (let n = 0; n < 12; n++) {
        const x = world.bias.slice();
        for (let f = 0; f < a.cols; f++) {
          const g = row(world.directions, f);
          for (let i = 0; i < x.length; i++) x[i] += a.data[n * a.cols + f] * g[i];
        }
        x.forEach((value, i) => expect(row(whole.x, n)[i]).toBeCloseTo(value, 10));
      }
    },
  );

  test('is another one for another seed, but fires the same for the same stream of draws where nothing is drawn once', () => {
    const [a, b] = [1, 2].map((seed) => createWorld(worldNamed('absorb4'), seed));
    expect(a.directions.data).not.toEqual(b.directions.data);
    expect(draw(a, 100)).toEqual(draw(b, 100));
    const [c, d] = [1, 2].map((seed) => createWorld(worldNamed('mini256'), seed));
    expect(draw(c, 20)).not.toEqual(draw(d, 20));
  });

  test('has a bias of the length asked for, and unit directions', () => {
    const world = createWorld(worldNamed('mini256'), 9);
    expect(norm(world.bias)).toBeCloseTo(0.5, 12);
    for (let f = 0; f < 256; f++) expect(norm(row(world.directions, f))).toBeCloseTo(1, 12);
  });

  test('without correlation obeys every law exactly', () => {
    const world = createWorld(exactMini, 4);
    expect(world.statistics.exact).toBe(true);
    expect(brokenLaws(world, 30_000)).toEqual([]);
  });
});

/** The world with its rows changed before anyone sees them. */
function withRows(
  world: World,
  change: (row: Map<number, number>, rng: () => number) => void,
): World {
  return {
    ...world,
    directions: world.directions,
    firing: (rng): FireRow => {
      const fireRow = world.firing(rng.split('rows'));
      const { uniform } = rng.split('change');
      return (fire) => {
        const row = new Map<number, number>();
        fireRow((f, a) => row.set(f, a));
        change(row, uniform);
        for (const [f, a] of row) fire(f, a);
      };
    },
  };
}

describe('the laws reject a world', () => {
  const world = createWorld(exactMini, 4);
  const { parents } = world.statistics;
  const broken = (change: Parameters<typeof withRows>[1]): string[] =>
    brokenLaws(withRows(world, change), 10_000);

  test('whose children survive their parent', () => {
    expect(broken((row) => row.delete(parents[0].parent))).toContain(
      'a child is on only with its parent',
    );
  });

  test('whose exclusive siblings fire together', () => {
    const [a, b] = parents[0].children;
    expect(broken((row) => row.has(a) && row.set(b, 1))).toContain(
      'siblings that exclude each other are never on together',
    );
  });

  test('whose conditional probabilities are a third off', () => {
    const laws = broken((row, uniform) => {
      for (const child of parents[0].children) if (uniform() < 0.33) row.delete(child);
    });
    expect(laws).toContain('children fire given their parent as often as derived');
    expect(laws).toContain('parents are without a child as often as derived');
  });

  test('whose marginals are off, as without compensation for exclusion', () => {
    const free = 200;
    expect(broken((row, uniform) => void (uniform() < 0.02 && row.set(free, 1)))).toContain(
      'features fire as often as derived',
    );
  });

  test('whose L0 or silence is off', () => {
    expect(broken((row, uniform) => void (uniform() < 0.1 && row.clear()))).toEqual(
      expect.arrayContaining(['L0 is as derived', 'nothing is on as often as derived']),
    );
  });

  test('whose activations are negative', () => {
    expect(broken((row) => row.forEach((a, f) => row.set(f, -a)))).toEqual([
      'activations are finite and above 0',
    ]);
  });
});
