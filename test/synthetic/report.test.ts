import { parseHTML } from 'linkedom';
import { describe, expect, test } from 'vitest';
import { runTreeCell } from '../../synthetic/experiments/tree-cell.ts';
import { treeArchitectures, treeSettings } from '../../synthetic/experiments/tree-settings.ts';
import { summarise, type TreeResults } from '../../synthetic/experiments/tree.ts';
import { intervalText, verdictParagraphs } from '../../synthetic/report-words.ts';
import { treeReport } from '../../synthetic/report.ts';

const settings = {
  ...treeSettings({ seeds: 2, steps: 4, batch: 64 }),
  evaluationSamples: 1024,
  curveSamples: 64,
};
const results = summarise(
  settings,
  await Promise.all(
    settings.seeds.flatMap((seed) =>
      treeArchitectures(settings).map((architecture) =>
        runTreeCell({ settings, architecture, worldSeed: 0, seed }, () => undefined),
      ),
    ),
  ),
);

/** What of a document is read here: linkedom's own types lean on the browser's, which the project is without. */
interface DocumentNode {
  readonly textContent: string;
  readonly children: Iterable<DocumentNode>;
  getAttribute(name: string): string | null;
  querySelector(selector: string): DocumentNode | null;
  querySelectorAll(selector: string): Iterable<DocumentNode>;
}
const page = treeReport(results, 'matryoshka synthetic tree --seed 0');
const { document } = (
  parseHTML as (html: string) => { document: DocumentNode & { body: DocumentNode } }
)(page);
const headings = [...document.querySelectorAll('h2')].map((heading) => heading.textContent);
const figures = [...document.querySelectorAll('svg')].map(
  (svg) => svg.getAttribute('aria-label') ?? '',
);

/** Cells of the table whose caption contains this, spaces made plain. */
function rowsOf(caption: string): string[][] {
  const figure = [...document.querySelectorAll('figure.table')].find((each) =>
    each.querySelector('figcaption')?.textContent.includes(caption),
  );
  return [...(figure?.querySelectorAll('tbody tr') ?? [])].map((row) =>
    [...row.children].map((cell) => cell.textContent.replaceAll('\u00a0', ' ')),
  );
}

describe('treeReport', () => {
  test('has a section for everything the results hold', () => {
    expect(headings).toEqual([
      'Absorption',
      'Decoder against truth',
      'Numbers',
      'Training',
      'The world',
      'Controls',
      'Settings',
    ]);
  });

  test('draws absorption bars, a heat map per architecture side by side, means and three curves', () => {
    expect(figures).toHaveLength(7);
    expect(figures.filter((alt) => alt.startsWith('Cosines of decoder rows'))).toHaveLength(2);
    expect(figures.filter((alt) => alt.includes('over training'))).toHaveLength(3);
  });

  test('is self-contained: nothing on the page is fetched', () => {
    expect(page).not.toMatch(/(?:src|href)="(?!data:|#)/);
    expect(page).not.toMatch(/url\((?!["']?data:)/);
    expect([...document.querySelectorAll('script, iframe, object')]).toEqual([]);
  });

  test('prints every metric with its interval, and SAELens beside ours', () => {
    const [plain, nested] = results.architectures;
    const metrics = rowsOf('paired difference');
    expect(metrics).toHaveLength(Object.keys(plain.metrics).length);
    expect(metrics.find(([name]) => name === 'full absorption')).toEqual([
      'full absorption',
      intervalText(plain.metrics.fullAbsorption, 3),
      intervalText(nested.metrics.fullAbsorption, 3),
      intervalText(results.differences.fullAbsorption, 3),
      expect.any(String),
    ]);
    const beside = rowsOf('Beside SAELens').find(([name]) => name === 'full absorption');
    expect([beside?.[2], beside?.[4]]).toEqual(['0.298', '0.068']);
  });

  test('lists every run with each parent’s absorption', () => {
    const runs = rowsOf('Every run');
    expect(runs.map(([name]) => name)).toEqual(
      results.cells.map((cell) => `${cell.architecture}, seed ${cell.seed}`),
    );
    expect(Number(runs[0][1])).toBeCloseTo(results.cells[0].parents[0].full ?? NaN, 3);
  });

  test('states the exact probabilities of the world and the ceiling', () => {
    const text = document.body.textContent;
    for (const part of ['1.12', '0.85', '0.4074', '0.15', '0.2, 0.2, 0.2'])
      expect(text).toContain(part);
  });
});

describe('the verdict in words', () => {
  const withVerdict = (verdict: Partial<TreeResults['verdict']>): string =>
    verdictParagraphs({ ...results, verdict: { ...results.verdict, ...verdict } }).join(' ');

  test('says what holds and what does not', () => {
    expect(withVerdict({ absorptionReduced: true })).toContain('intervals do not touch.');
    expect(withVerdict({ absorptionReduced: false })).toContain('is not lower');
    expect(withVerdict({ equalL0: false })).toContain('not equally sparse');
    expect(withVerdict({ controlsHold: false })).toContain('do not trust this page');
  });

  test('says that two pairs of runs give a range and no certainty', () => {
    expect(withVerdict({})).toContain('With 2 pairs of runs the brackets hold the range');
  });

  test('names unconverged runs', () => {
    const moving = results.architectures.map((each) => ({ ...each, unconverged: 1 }));
    expect(verdictParagraphs({ ...results, architectures: moving }).join(' ')).toContain(
      'In 2 of 4 runs MCC still moved more than 0.01',
    );
  });

  test('an interval without a value says so', () => {
    expect(intervalText(null, 3)).toBe('no value');
    expect(intervalText({ mean: -0.5, low: -1, high: 0, kind: 'range', values: [] }, 2)).toBe(
      '−0.50 [−1.00, 0.00]',
    );
  });
});
