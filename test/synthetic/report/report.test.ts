import { parseHTML } from 'linkedom';
import { describe, expect, test } from 'vitest';
import type { ExperimentResults } from '../../../synthetic/experiments/results.ts';
import { experimentReport } from '../../../synthetic/report/report.ts';
import { differenceText, intervalText, metricNames } from '../../../synthetic/report/words.ts';
import { forestRun, toyRun, treeClaims } from './sample-results.ts';

/** What of a document is read here: linkedom's own types lean on the browser's, which the project is without. */
interface DocumentNode {
  readonly textContent: string;
  readonly children: Iterable<DocumentNode>;
  getAttribute(name: string): string | null;
  querySelector(selector: string): DocumentNode | null;
  querySelectorAll(selector: string): Iterable<DocumentNode>;
}
function read(html: string): DocumentNode {
  return (parseHTML as (html: string) => { document: DocumentNode })(html).document;
}
const texts = (root: DocumentNode, selector: string): string[] =>
  [...root.querySelectorAll(selector)].map(({ textContent }) => textContent);
const section = (root: DocumentNode, heading: string): DocumentNode =>
  [...root.querySelectorAll('section')].find(
    (each) => each.querySelector('h2')?.textContent === heading,
  )!;
/** Cells of every row of every table in a section. */
const rows = (root: DocumentNode): string[][] =>
  [...root.querySelectorAll('tbody tr')].map((row) =>
    [...row.children].map(({ textContent }) => textContent),
  );

const claims = treeClaims();
const sweep = forestRun();
const toy = toyRun();
const pages = {
  claims: experimentReport(claims, 'matryoshka synthetic claims --out runs/claims'),
  sweep: experimentReport(sweep, 'matryoshka synthetic run forest --l0 3,6,12'),
  toy: experimentReport(toy, 'matryoshka synthetic run independent4 --arch topk'),
};
const documents = {
  claims: read(pages.claims),
  sweep: read(pages.sweep),
  toy: read(pages.toy),
};

describe('every page', () => {
  test.each(Object.entries(pages))('of %s fetches nothing', (_, html) => {
    const addresses = html.match(/(?:https?:)?\/\/[a-z][^\s"')]*/gi) ?? [];
    expect(new Set(addresses)).toEqual(new Set(['http://www.w3.org/2000/svg']));
    expect(
      /<script|<link(?! rel="icon" href="data:,">)|@import|url\(|\ssrc=/.exec(html),
    ).toBeNull();
  });

  test.each(Object.entries(documents))(
    'of %s has pictures that say in words, with numbers, what they show',
    (_, document) => {
      const pictures = [...document.querySelectorAll('svg')];
      expect(pictures.length).toBeGreaterThan(5);
      for (const picture of pictures) {
        const alt = picture.getAttribute('aria-label') ?? '';
        expect(picture.getAttribute('role')).toBe('img');
        expect(alt).toMatch(/\d/);
        expect(alt).not.toMatch(/no value|undefined|NaN/);
        expect(alt).not.toMatch(/^(a |the )?(heat ?map|plot|chart|graph|figure)/i);
      }
    },
  );

  test.each([
    ['claims', documents.claims, claims],
    ['sweep', documents.sweep, sweep],
    ['toy', documents.toy, toy],
  ] as const)('of %s has every metric of every L0 with its interval', (_, document, results) => {
    const table = rows(section(document, 'All metrics'));
    for (const summary of results.summaries) {
      for (const name of metricNames(results)) {
        const interval = summary.metrics[name];
        const text = intervalText(interval);
        expect(
          table.some((cells) => cells.slice(1).some((cell) => cell.startsWith(text))),
          `${name} of ${summary.architecture}: ${text}`,
        ).toBe(true);
      }
    }
  });

  test.each(Object.entries(documents))('of %s draws the world', (_, document) => {
    expect(section(document, 'The world').querySelector('svg')).not.toBeNull();
  });
});

describe('the page of claims', () => {
  test('has its sections in the order of the argument', () => {
    expect(texts(documents.claims, 'h2')).toEqual([
      'Verdict',
      'Latents against features',
      'Absorption',
      'Erasure',
      'Precision and recall',
      'Against L0',
      'By prefix',
      'Training',
      'All metrics',
      'Beside others: 1 of 2 agree',
      'The world',
      'Controls',
      'Settings',
    ]);
  });

  test('says of each claim whether it is shown, by what, with which interval', () => {
    const shown = texts(section(documents.claims, 'Verdict'), '.claims > li');
    expect(shown).toHaveLength(5);
    expect(shown[0]).toContain('✓ shown 1. Features are absorbed less');
    const [evidence] = claims.claims[0].evidence;
    expect(shown[0]).toContain(differenceText(evidence.difference));
    expect(shown[0]).toContain('Matryoshka BatchTopK against BatchTopK, 5 pairs of runs');
    expect(shown[0]).toContain(
      `Full absorption: from ${intervalText(evidence.baselineInterval)} to `,
    );
    expect(shown[3]).toContain('? undecided 4.');
    expect(shown[3]).toContain('SCR, 2 latents: no value in both');
    expect(shown[4]).toContain('✕ not reproduced 5.');
    expect(shown[4]).toContain('not expected to show on this world');
  });

  test('fails where an expected claim is not shown or a control misses, and says which', () => {
    const verdict = documents.claims.querySelector('.verdict')!.textContent;
    expect(verdict).toContain('fail');
    expect(verdict).toContain('do not trust this page');
    expect(verdict).toContain('Expected on this world but not shown: 4.');
  });

  test('passes where every expected claim is shown, whatever is not expected', () => {
    const good: ExperimentResults = {
      ...claims,
      controls: [],
      claims: claims.claims.map((each) => (each.expected ? { ...each, verdict: 'shown' } : each)),
    };
    const verdict = read(experimentReport(good, '')).querySelector('.verdict')!.textContent;
    expect(verdict).toContain('pass');
    expect(verdict).toContain('4 of 5 claims are shown.');
  });

  test('leaves a world undecided of which nothing is published and something is not shown', () => {
    const unknown: ExperimentResults = {
      ...claims,
      controls: [],
      claims: claims.claims.map((each) => ({ ...each, expected: false })),
    };
    const page = read(experimentReport(unknown, ''));
    expect(page.querySelector('.verdict')!.textContent).toContain('undecided');
    expect(page.querySelector('.claims .missing')).toBeNull();
  });

  test('names runs that were still moving or off their L0', () => {
    const verdict = documents.claims.querySelector('.verdict')!.textContent;
    // Seed 2 of each of four architectures; only that of ReLU misses its L0.
    expect(verdict).toContain('In 4 of 20 runs MCC still moved');
    expect(verdict).toContain('In 1 of 20 runs L0 is further than 3 %');
  });

  test('shows decoder and encoder of each architecture on one and the same seed', () => {
    const titles = texts(section(documents.claims, 'Latents against features'), 'figcaption');
    expect(titles).toHaveLength(8);
    expect(new Set(titles.map((title) => /seed \d/.exec(title)?.[0])).size).toBe(1);
    const alts = [...section(documents.claims, 'Latents against features').querySelectorAll('svg')];
    expect(alts.map((svg) => svg.getAttribute('aria-label')?.split(' ')[0])).toEqual([
      'Decoder',
      'Decoder',
      'Encoder',
      'Encoder',
      'Decoder',
      'Decoder',
      'Encoder',
      'Encoder',
    ]);
  });

  test('puts ours beside others, with what is allowed', () => {
    const beside = section(documents.claims, 'Beside others: 1 of 2 agree');
    expect(texts(beside, 'figcaption')).toEqual([
      'BatchTopK, SAELens 6.54.12, observed',
      'Matryoshka BatchTopK, SAELens 6.54.12, observed',
    ]);
    expect(rows(beside)).toEqual([
      ['MCC', '0.900', '0.898', '0.050', '✓ pass'],
      ['full absorption', '–', '0.068', '0.050', '✕ fail'],
    ]);
  });
});

describe('the page of a sweep', () => {
  test('has no verdict of its own but a sentence for each comparison', () => {
    expect(documents.sweep.querySelector('.verdict')).toBeNull();
    const sentences = texts(section(documents.sweep, 'Verdict'), 'li');
    expect(sentences).toHaveLength(6);
    expect(sentences[0]).toMatch(
      /^Matryoshka against BatchTopK at L0 3: better in full absorption .*; worse in explained/,
    );
  });

  test('has a table for each L0 and draws a line through them', () => {
    const all = section(documents.sweep, 'All metrics');
    const captions = texts(all, 'figcaption').map((text) => text.replace(/ \[.*|, paired.*/, ''));
    expect(captions).toEqual(
      [3, 6, 12].flatMap((l0) => [
        `Means over runs at a target L0 of ${l0}`,
        `Mean differences at a target L0 of ${l0}`,
      ]),
    );
    expect(section(documents.sweep, 'Against L0').querySelector('svg path')).not.toBeNull();
  });

  test('says why a large world has no heat maps, and which parents are left out', () => {
    expect(section(documents.sweep, 'Latents against features').textContent).toContain(
      'more than 64 features',
    );
    expect(section(documents.sweep, 'Absorption').textContent).toContain('18 more are in results');
  });

  test('calls the range of four runs a range, and no measure of certainty', () => {
    expect(section(documents.sweep, 'Verdict').textContent).toContain('no measure of certainty');
    expect(documents.claims.querySelector('.verdict')!.textContent).not.toContain('no measure');
    expect(section(documents.sweep, 'All metrics').textContent).toContain('smallest, largest');
  });
});

describe('the page of a toy', () => {
  test('says why there is nothing to absorb, to erase or to compare', () => {
    expect(section(documents.toy, 'Absorption').textContent).toContain('Nothing to absorb');
    expect(section(documents.toy, 'Erasure').textContent).toContain('No parent');
    expect(section(documents.toy, 'By prefix').textContent).toContain('one prefix');
    expect(section(documents.toy, 'Verdict').textContent).toContain('Nothing was compared');
  });

  test('prints a missing value as a dash that says why', () => {
    const dash = section(documents.toy, 'All metrics').querySelector('.missing')!;
    expect(dash.textContent).toBe('–');
    expect(dash.getAttribute('title')).toContain('this world has no parent with children');
  });
});

test('more architectures than colours: tables have all of them, pictures say that they do not', () => {
  const names = Array.from({ length: 10 }, (_, i) => `variant ${i}`);
  const [one] = toy.architectures;
  const many: ExperimentResults = {
    ...toy,
    architectures: names.map((name) => ({ ...one, name })),
    cells: names.map((architecture) => ({ ...toy.cells[0], architecture })),
    summaries: names.map((architecture) => ({ ...toy.summaries[0], architecture })),
  };
  const document = read(experimentReport(many, ''));
  expect(section(document, 'Verdict').textContent).toContain('8 of 10 architectures');
  expect(section(document, 'All metrics').textContent).toContain('variant 9');
});

test('names that look like markup stay text', () => {
  const hostile = '"><script>alert(1)</script>';
  const named: ExperimentResults = {
    ...toy,
    world: { ...toy.world, name: hostile, features: toy.world.features.map(() => hostile) },
    architectures: toy.architectures.map((each) => ({ ...each, name: hostile })),
    cells: toy.cells.map((cell) => ({ ...cell, architecture: hostile })),
    summaries: toy.summaries.map((summary) => ({ ...summary, architecture: hostile })),
  };
  const html = experimentReport(named, hostile);
  expect(html).not.toContain('<script');
  expect(html).toContain('&lt;script&gt;');
});

test('equal results give equal pages', () => {
  expect(experimentReport(toyRun(), 'x')).toBe(experimentReport(toyRun(), 'x'));
});
