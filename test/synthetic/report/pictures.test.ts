import { afterAll, describe, expect, test } from 'vitest';
import type { ExperimentResults } from '../../../synthetic/experiments/results.ts';
import { standalone } from '../../../synthetic/plot-frame.ts';
import { experimentPictures, picturesOf } from '../../../synthetic/report/pictures.ts';
import { drawnArchitectures, shownL0, typicalRun } from '../../../synthetic/report/selection.ts';
import { chromiumNote, closeChromium, skipWithoutChromium, withPage } from '../../chromium.ts';
import { readabilityFaults } from '../../readability.ts';
import { forestRun, toyRun, treeClaims } from './sample-results.ts';

const claims = treeClaims();
const sweep = forestRun();
const toy = toyRun();
const files = experimentPictures(claims);

describe('experimentPictures', () => {
  test('has every picture of the page once, under a name that any file system takes', () => {
    expect(files.size).toBe(Object.values(picturesOf(claims)).flat().length);
    for (const name of files.keys()) expect(name).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
    expect([...files.keys()]).toEqual(
      expect.arrayContaining(['decoder-batchtopk', 'absorption-by-parent', 'erasure', 'world']),
    );
  });

  test('architectures whose names differ in signs alone keep their pictures apart', () => {
    const names = ['γ = 1', 'γ ≠ 1'];
    const twins: ExperimentResults = {
      ...toy,
      architectures: names.map((name) => ({ ...toy.architectures[0], name })),
      cells: names.map((architecture) => ({ ...toy.cells[0], architecture })),
      summaries: names.map((architecture) => ({ ...toy.summaries[0], architecture })),
    };
    expect(experimentPictures(twins).size).toBe(Object.values(picturesOf(twins)).flat().length);
  });

  test('each is a whole SVG with a ground of its own and room around it', () => {
    const svg = files.get('erasure')!;
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" /);
    const [, x, width] = /viewBox="(-\d+) -\d+ (\d+) \d+" width="\2"/.exec(svg)!;
    expect(svg).toContain(`<rect class="sae-ground" x="${x}" y="${x}" width="${width}"`);
    expect(() => standalone('<svg/>')).toThrow('expected a figure of frame');
  });
});

describe('which runs are drawn', () => {
  test('of the L0s swept, the one nearest the world’s own', () => {
    // The forest's own is 6.05; L0s of 3, 6 and 12 were swept.
    expect(sweep.architectures.map((each) => shownL0(sweep, each))).toEqual([6, 6, 6]);
  });

  test('the median run of the baseline, not its best or worst', () => {
    const run = typicalRun(claims)!;
    const absorbed = claims.cells
      .filter(({ architecture }) => architecture === 'BatchTopK')
      .map((cell) => ({ seed: cell.seed, value: cell.metrics.fullAbsorption! }))
      .sort((a, b) => a.value - b.value);
    expect(run.seed).toBe(absorbed[2].seed);
  });

  test('architectures that are compared stand next to one another', () => {
    const [first, ...others] = claims.comparisons;
    const swapped: ExperimentResults = {
      ...claims,
      comparisons: [
        { ...first, baseline: 'ReLU + L1', architecture: 'Matryoshka, random prefixes' },
        ...others.slice(0, 1),
      ],
    };
    expect(drawnArchitectures(swapped).map(({ name }) => name)).toEqual([
      'ReLU + L1',
      'Matryoshka, random prefixes',
      'BatchTopK',
      'Matryoshka BatchTopK',
    ]);
  });
});

describe('what pictures leave out', () => {
  test('a world without parents has no bars, no erasure and no absorption curve', () => {
    const { absorption, erasure, training, prefixes } = picturesOf(toy);
    expect([absorption, erasure, prefixes]).toEqual([[], [], []]);
    expect(training.map(({ name }) => name)).not.toContain('training-full-absorption');
  });

  test('an architecture without a value is left out of the words, not printed as a number', () => {
    const silenced: ExperimentResults = {
      ...claims,
      cells: claims.cells.map((cell) =>
        cell.architecture === 'BatchTopK' ? { ...cell, erasure: [], curve: [] } : cell,
      ),
    };
    const { erasure, training } = picturesOf(silenced);
    for (const { caption } of [...erasure, ...training]) {
      expect(caption).not.toMatch(/NaN|no value|: BatchTopK/);
    }
  });

  test('the encoder’s finding is of the parents’ rows, the decoder’s of the children’s', () => {
    const { matrices } = picturesOf(claims);
    const relu = matrices.filter(({ name }) => name.endsWith('relu-l1'));
    // Total absorption in the sample: 0.7 of the parent in a child's decoder, −0.5 in the parent's encoder, ± 0.04.
    const number = (caption: string): number =>
      Number(/latent (−?[\d.]+) with/.exec(caption)?.[1].replace('−', '-'));
    expect(Math.abs(number(relu[0].caption) - 0.7)).toBeLessThan(0.05);
    expect(Math.abs(number(relu[1].caption) + 0.5)).toBeLessThan(0.05);
  });
});

describe.skipIf(skipWithoutChromium)(`in Chromium${chromiumNote}`, () => {
  afterAll(closeChromium);

  test('pictures as files are readable in light and in dark, on their own ground', async () => {
    for (const name of ['decoder-batchtopk', 'erasure', 'world', 'detectors-relu-l1']) {
      await withPage({ svg: files.get(name)! }, {}, async (page, recorded) => {
        const ground = async (colorScheme: 'light' | 'dark') => {
          await page.emulateMedia({ colorScheme });
          return page.evaluate<string>(
            `getComputedStyle(document.querySelector('.sae-ground')).fill`,
          );
        };
        expect(await ground('light')).toBe('rgb(253, 253, 251)');
        expect(await readabilityFaults(page), name).toEqual([]);
        expect(await ground('dark')).toBe('rgb(19, 21, 25)');
        expect(recorded.consoleErrors).toEqual([]);
        expect(recorded.requests).toEqual([page.url()]);
      });
    }
  });
});
