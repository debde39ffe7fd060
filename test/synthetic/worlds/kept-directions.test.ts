import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Matrix } from '../../../reference/matrix.ts';
import { createRng } from '../../../synthetic/rng.ts';
import { unitRows } from '../../../synthetic/worlds/directions.ts';
import { keptDirections } from '../../../synthetic/worlds/kept-directions.ts';
import type { SynthParams } from '../../../synthetic/worlds/params.ts';
import { worldNamed } from '../../../synthetic/worlds/presets.ts';

const params: SynthParams = { ...(worldNamed('mini256') as SynthParams), features: 12, d_in: 5 };
const made = unitRows(12, 5, createRng(1));
const make = vi.fn(() => made);

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'directions-'));
  make.mockClear();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const kept = (seed = 3, own: SynthParams = params): Matrix =>
  keptDirections(own, seed, make, folder, 1);
const file = (): string => join(folder, readdirSync(folder)[0]);

describe('kept directions', () => {
  test('are made once, and the same to the bit from then on', () => {
    expect(kept()).toBe(made);
    expect(kept()).toEqual(made);
    expect(make).toHaveBeenCalledTimes(1);
    expect(readdirSync(folder)).toHaveLength(1);
  });

  test('are of one seed and one way to push apart', () => {
    kept();
    kept(4);
    kept(3, { ...params, orthogonalisation: { steps: 99, learningRate: 3e-4 } });
    expect(make).toHaveBeenCalledTimes(3);
    // Whatever else a world has does not change them.
    kept(3, { ...params, name: 'other', bias: 7 });
    expect(make).toHaveBeenCalledTimes(3);
  });

  test.each([
    ['cut short', () => truncateSync(file(), 100)],
    [
      'changed in one bit',
      () => {
        const bytes = readFileSync(file());
        bytes[bytes.length - 1] ^= 1;
        writeFileSync(file(), bytes);
      },
    ],
  ])('are made anew where the file is %s', (_, spoil) => {
    kept();
    spoil();
    expect(kept()).toEqual(made);
    expect(make).toHaveBeenCalledTimes(2);
    kept();
    expect(make).toHaveBeenCalledTimes(2);
  });

  test('are made each time where nothing can be written, or where it takes no time', () => {
    const inTheWay = join(folder, 'file');
    writeFileSync(inTheWay, '');
    for (let i = 0; i < 2; i++) {
      expect(keptDirections(params, 3, make, join(inTheWay, 'below'), 1)).toBe(made);
      expect(keptDirections(params, 3, make, folder, 1e9)).toBe(made);
    }
    expect(make).toHaveBeenCalledTimes(4);
    expect(readdirSync(folder)).toEqual(['file']);
  });
});
