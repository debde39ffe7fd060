import { afterAll, describe, expect, test } from 'vitest';
import { experimentReport } from '../../../synthetic/report/report.ts';
import { chromiumNote, closeChromium, skipWithoutChromium, withPage } from '../../chromium.ts';
import { readabilityFaults } from '../../readability.ts';
import { forestRun, toyRun, treeClaims } from './sample-results.ts';

const pages: readonly (readonly [string, string])[] = [
  ['claims', experimentReport(treeClaims(), 'matryoshka synthetic claims --out runs/claims')],
  ['a sweep', experimentReport(forestRun(), 'matryoshka synthetic run forest --l0 3,6,12')],
  ['a toy', experimentReport(toyRun(), 'matryoshka synthetic run independent4')],
];

describe.skipIf(skipWithoutChromium)(`the page in Chromium${chromiumNote}`, () => {
  afterAll(closeChromium);

  test.each(pages)(
    'of %s is readable at 360 and 1280 px, light and dark, and loads nothing',
    async (_, html) => {
      await withPage({ html }, {}, async (page, recorded) => {
        for (const colorScheme of ['light', 'dark'] as const) {
          await page.emulateMedia({ colorScheme });
          for (const width of [360, 1280]) {
            await page.setViewportSize({ width, height: 900 });
            expect(await readabilityFaults(page), `${colorScheme}, ${width} px`).toEqual([]);
          }
        }
        expect(recorded.consoleErrors).toEqual([]);
        expect(recorded.requests).toEqual([page.url()]);
      });
    },
  );

  test('in print the page is light and as wide as the paper, on a dark screen too', async () => {
    const [[, html]] = pages;
    await withPage({ html }, { colorScheme: 'dark', width: 720, media: 'print' }, async (page) => {
      expect(await page.evaluate<string>('getComputedStyle(document.body).backgroundColor')).toBe(
        'rgb(253, 253, 251)',
      );
      expect(await readabilityFaults(page)).toEqual([]);
    });
  });

  test('hover text of a cell of the heat map has both names and the value', async () => {
    const [[, html]] = pages;
    await withPage({ html }, {}, async (page) => {
      const title = page.locator('#latents-against-features svg').first().locator('title');
      expect(await title.allTextContents()).toContainEqual(
        expect.stringMatching(/^A · 0 · A: 0\.970$/),
      );
    });
  });
});
