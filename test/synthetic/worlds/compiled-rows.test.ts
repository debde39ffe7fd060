import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { createRng } from '../../../synthetic/rng.ts';
import type { SynthParams } from '../../../synthetic/worlds/params.ts';
import { createWorld, worldNamed } from '../../../synthetic/worlds/presets.ts';
import { createSampler, type FireRow } from '../../../synthetic/worlds/world.ts';

const mini = worldNamed('mini256') as SynthParams;
const { forest } = mini;

test('the compiled rows are those of kernels/', () => {
  const script = fileURLToPath(
    new URL('../../../synthetic/worlds/build-kernels.mjs', import.meta.url),
  );
  expect(() => execFileSync(process.execPath, [script, '--check'])).not.toThrow();
}, 60_000);

test.each<[string, Partial<SynthParams>, number]>([
  ['mini256', {}, 5000],
  ['mini1k', worldNamed('mini1k') as SynthParams, 2000],
  ['synth16k', worldNamed('synth16k') as SynthParams, 40],
  ['free features alone', { forest: null }, 2000],
  ['a rank that is a multiple of eight', { correlation: { rank: 16, scale: 0.2 } }, 2000],
  ['strong correlation', { correlation: { rank: 5, scale: 2 } }, 2000],
  [
    'probabilities from 0.9 to 1e-9',
    { features: 1000, firing: { exponent: 1, p_max: 0.9, p_min: 1e-9 } },
    2000,
  ],
  [
    'children that do not all exclude each other, not scaled',
    {
      forest: forest && {
        ...forest,
        branching: { min: 2, max: 7 },
        exclusive: { portion: 0.5, minDepth: 0, maxDepth: null },
        scaleChildren: false,
      },
    },
    2000,
  ],
])('%s: the same rows, bit for bit, and the same state after them', (_, params, rows) => {
  const world = createWorld({ ...mini, ...params, name: 'test' }, 3);
  const compiled = createRng(8);
  // A source of unknown state: it is asked for every number.
  const asked = { ...createRng(8) };
  const [fast, plain] = [world.firing(compiled), world.firing(asked)];
  for (let n = 0; n < rows; n++) expect(rowOf(fast)).toEqual(rowOf(plain));
  expect([compiled.normal(), compiled.normal(), compiled.uniform()]).toEqual([
    asked.normal(),
    asked.normal(),
    asked.uniform(),
  ]);
});

test.each([
  ['mini256', 64, 300],
  ['mini256', 63, 300],
  ['mini1k', 1, 50],
  ['synth16k', 10, 20],
])('%s in %i dimensions: the same x, bit for bit, whoever draws', (name, d_in, batch) => {
  const params = { ...(worldNamed(name) as SynthParams), d_in };
  const world = createWorld({ ...params, orthogonalisation: { steps: 0, learningRate: 1 } }, 3);
  const compiled = createSampler(world, createRng(8));
  const asked = createSampler(world, { ...createRng(8) });
  const elsewhere = createSampler({ ...world, bias: world.bias.slice() }, createRng(8));
  for (const rows of [1, batch, batch]) {
    const x = compiled.nextX(rows);
    expect(x).toEqual(asked.nextX(rows));
    expect(x).toEqual(elsewhere.nextX(rows));
  }
  expect(compiled.next(3)).toEqual(asked.next(3));
});

test('streams of one world do not disturb each other', () => {
  const world = createWorld(mini, 3);
  const alone = world.firing(createRng(8));
  const expected = Array.from({ length: 100 }, () => rowOf(alone));
  const [again, other] = [world.firing(createRng(8)), world.firing(createRng(9))];
  for (const row of expected) {
    rowOf(other);
    expect(rowOf(again)).toEqual(row);
  }
});

function rowOf(fireRow: FireRow): number[] {
  const fired: number[] = [];
  fireRow((feature, activation) => fired.push(feature, activation));
  return fired;
}
