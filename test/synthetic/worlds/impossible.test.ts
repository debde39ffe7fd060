import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type {
  ForestParams,
  ParentChildParams,
  SynthParams,
  TreeParams,
  WorldParams,
} from '../../../synthetic/worlds/params.ts';
import { createWorld, openWorld, worldNamed } from '../../../synthetic/worlds/presets.ts';
import { parseWorldFile } from '../../../synthetic/worlds/world-file.ts';
import { brokenLaws } from './world-laws.ts';
import { UsageError } from '../../../training/usage-error.ts';

const mini = worldNamed('mini256') as SynthParams;
const toy = worldNamed('absorb4') as ParentChildParams;
const tree = worldNamed('tree') as TreeParams;
const forest = (change: Partial<ForestParams>): SynthParams => ({
  ...mini,
  forest: { ...mini.forest!, ...change },
});
const exclusive = (change: Partial<ForestParams['exclusive']>): SynthParams =>
  forest({ exclusive: { ...mini.forest!.exclusive, ...change } });
const firing = (change: Partial<SynthParams['firing']>): SynthParams => ({
  ...mini,
  firing: { ...mini.firing, ...change },
});
const correlated = (change: object): ParentChildParams => ({
  ...(worldNamed('correlated5-pos') as ParentChildParams),
  correlation: { kind: 'pairs', pairs: [], ...change },
});
const node = { name: 'n', probability: 0.5, readout: true, exclusive: false, children: [] };
const feature = { probability: 0.5, parent: null, withoutParent: 0 };

describe('impossible parameters are a RangeError with name and value', () => {
  const cases: [RegExp, WorldParams][] = [
    [/^features: .*got 0$/, { ...mini, features: 0 }],
    [/^d_in: .*got 0$/, { ...mini, d_in: 0 }],
    [/^firing\.exponent: .*got 0$/, firing({ exponent: 0 })],
    [/^firing\.p_max: .*got 1\.2$/, firing({ p_max: 1.2 })],
    [/^firing\.p_min: .*got 0$/, firing({ p_min: 0 })],
    [/^firing\.p_min: .*got 0\.5$/, firing({ p_min: 0.5 })],
    [/^forest\.roots: .*got 0$/, forest({ roots: 0 })],
    [/^forest\.branching: .*got 1$/, forest({ branching: 1 })],
    [/^forest\.branching\.max: .*>= 4, got 3$/, forest({ branching: { min: 4, max: 3 } })],
    [/^forest\.depth: .*got 0$/, forest({ depth: 0 })],
    [/^forest\.exclusive\.portion: .*got 1\.5$/, exclusive({ portion: 1.5 })],
    [/^forest\.exclusive\.minDepth: .*got -1$/, exclusive({ minDepth: -1 })],
    [/^forest\.exclusive\.maxDepth: .*>= 2, got 1$/, exclusive({ minDepth: 2, maxDepth: 1 })],
    // By hand: p of feature 2 is .16656, of root 0 .3, of its siblings .38077 together: .5552 · 2.2692 = 1.260.
    [/^forest\.compensate: .*1\.260/, forest({ roots: 2, depth: 3, compensate: 'refuse' })],
    [/^correlation\.rank: .*got 0$/, { ...mini, correlation: { rank: 0, scale: 0.1 } }],
    [/^correlation\.scale: .*got -1$/, { ...mini, correlation: { rank: 2, scale: -1 } }],
    [/^magnitudes\.last: .*got 0$/, { ...mini, magnitudes: { ...mini.magnitudes, last: 0 } }],
    [
      /^magnitudes\.spread\.sd: .*got -1$/,
      { ...mini, magnitudes: { ...mini.magnitudes, spread: { mean: 0, sd: -1 } } },
    ],
    [/^bias: .*got -1$/, { ...mini, bias: -1 }],
    [/d_in >= 4 .*got 3$/, { ...toy, d_in: 3 }],
    [
      /feature 0: .*cycle/,
      {
        ...toy,
        features: [
          { ...feature, parent: 1 },
          { ...feature, parent: 0 },
        ],
      },
    ],
    [/feature 0: .*cycle/, { ...toy, features: [{ ...feature, parent: 0 }] }],
    [/feature 0: .*0\.\.0, got 7$/, { ...toy, features: [{ ...feature, parent: 7 }] }],
    [
      /feature 0: .*probability.*got 1\.1$/,
      { ...toy, features: [{ ...feature, probability: 1.1 }] },
    ],
    [
      /feature 0: .*withoutParent 0.*got 0\.1$/,
      { ...toy, features: [{ ...feature, withoutParent: 0.1 }] },
    ],
    [/at least 1 feature, got 0$/, { ...toy, features: [] }],
    [/^magnitude\.mean: .*got 0$/, { ...toy, magnitude: { mean: 0, sd: 0 } }],
    [/^magnitude\.sd: .*got -1$/, { ...toy, magnitude: { mean: 1, sd: -1 } }],
    [/\(0, 1\): .*got 1\.5$/, correlated({ pairs: [{ first: 0, second: 1, rho: 1.5 }] })],
    [/\(0, 9\): .*0\.\.4, got 9$/, correlated({ pairs: [{ first: 0, second: 9, rho: 0.5 }] })],
    [/\(1, 1\): .*two features/, correlated({ pairs: [{ first: 1, second: 1, rho: 0.5 }] })],
    [
      /\(1, 0\): .*once/,
      correlated({
        pairs: [
          { first: 0, second: 1, rho: 0.5 },
          { first: 1, second: 0, rho: 0.5 },
        ],
      }),
    ],
    // Feature 0 at -0.9 with two that agree perfectly would be possible; at ±0.9 it is not.
    [
      /positive definite/,
      correlated({
        pairs: [
          { first: 0, second: 1, rho: 0.9 },
          { first: 0, second: 2, rho: -0.9 },
          { first: 1, second: 2, rho: 0.9 },
        ],
      }),
    ],
    [
      /^correlation\.max: .*\[0\.9, 1\], got 0\.3$/,
      correlated({ kind: 'random', min: 0.9, max: 0.3, correlated: 1, positive: 1 }),
    ],
    [/expected no parent.*correlation/, { ...toy, correlation: { kind: 'pairs', pairs: [] } }],
    [/node n: expected probability.*got 2$/, { ...tree, root: { ...node, probability: 2 } }],
    [/node n: expected norm > 0, got 0$/, { ...tree, root: { ...node, norm: 0 } }],
    [/normSpread >= 0, got -1$/, { ...tree, normSpread: -1 }],
  ];
  test.each(cases)('%s', (message, params) => {
    const create = (): unknown => createWorld(params, 1);
    expect(create).toThrow(RangeError);
    expect(create).toThrow(message);
  });

  test('while probabilities that are clamped instead are a warning', () => {
    const world = createWorld(forest({ roots: 2, depth: 3, compensate: 'clamp' }), 1);
    expect(world.warnings).toEqual([expect.stringMatching(/clamped to 1.*1\.260/)]);
  });
});

describe('a world file', () => {
  let folder: string;
  beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'worlds-'))));
  afterAll(() => rm(folder, { recursive: true }));
  const file = async (content: unknown): Promise<string> => {
    const path = join(folder, 'world.json');
    await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
    return path;
  };

  test.each(['tree', 'hedge1-pos', 'correlated50', 'mini1k'])(
    'with the parameters of %s is that preset',
    async (name) => {
      expect(await openWorld(await file(worldNamed(name)))).toEqual(worldNamed(name));
      expect(await openWorld(name)).toBe(worldNamed(name));
    },
  );

  test('may leave out what is plain', () => {
    const tiny = parseWorldFile(
      JSON.stringify({
        kind: 'tree',
        name: 'tiny',
        d_in: 2,
        root: { name: 'a', probability: 0.5, children: [{ name: 'b', probability: 0.2 }] },
      }),
      'tiny.json',
    );
    expect(createWorld(tiny, 0).statistics.marginals).toEqual([0.5, 0.1]);
    const toys = parseWorldFile(
      JSON.stringify({
        kind: 'parent-child',
        name: 'two',
        d_in: 2,
        features: [{ probability: 0.5 }, { probability: 0.2, parent: 0 }],
      }),
      'two.json',
    );
    expect(createWorld(toys, 0).statistics.expectedL0).toBeCloseTo(0.6, 14);
    const synth = parseWorldFile(
      JSON.stringify({
        kind: 'synth',
        name: 's',
        features: 3,
        d_in: 2,
        firing: { exponent: 1, p_max: 0.5, p_min: 0.1 },
      }),
      's.json',
    );
    expect(createWorld(synth, 0).statistics.exact).toBe(true);
  });

  test.each([
    ['{', /world\.json: not JSON/],
    [{ kind: 'ring' }, /world\.json: kind: /],
    [{ ...toy, features: [{ probability: 'often' }] }, /features\.0\.probability: /],
    [{ ...tree, root: { ...tree.root, color: 'red' } }, /root: .*color/],
    [{ ...mini, firing: { exponent: 1, p_max: 0.5 } }, /firing\.p_min: /],
    [{ ...toy, d_in: 2 }, /d_in >= 4/],
  ])('that is wrong is a usage error naming the field: %j', async (content, message) => {
    const opened = openWorld(await file(content));
    await expect(opened).rejects.toThrow(UsageError);
    await expect(opened).rejects.toThrow(message);
  });

  test('shown in the documentation is a world', async () => {
    const page = await readFile(new URL('../../../docs/worlds.md', import.meta.url), 'utf8');
    const examples = [...page.matchAll(/```json\n(.*?)```/gs)].map(([, json]) => json);
    expect(examples).toHaveLength(3);
    for (const json of examples) {
      const world = createWorld(await openWorld(await file(json)), 1);
      expect(brokenLaws(world, 2000)).toEqual([]);
    }
  });

  test('that is missing is a usage error', async () => {
    await expect(openWorld(join(folder, 'none.json'))).rejects.toThrow(UsageError);
  });
});
