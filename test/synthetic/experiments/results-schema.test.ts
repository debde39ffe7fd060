import { format } from 'prettier';
import { describe, expect, test } from 'vitest';
import { readResults, resultsJsonSchema } from '../../../synthetic/experiments/results-schema.ts';
import { UsageError } from '../../../training/usage-error.ts';
import { forestRun, toyRun, treeClaims } from '../report/sample-results.ts';

const FILE = new URL('../../../synthetic/experiments/results.schema.json', import.meta.url);
const json = (value: unknown): Record<string, unknown> =>
  JSON.parse(JSON.stringify(value)) as Record<string, unknown>;

describe('readResults', () => {
  test.each([
    ['claims', treeClaims()],
    ['a sweep', forestRun()],
    ['a toy', toyRun()],
  ])('results of %s come back unchanged from their JSON', (_, results) => {
    expect(readResults(json(results))).toEqual(results);
  });

  test.each([
    ['a missing field', (r: Record<string, unknown>) => delete r.seeds, 'seeds'],
    ['an unknown field', (r: Record<string, unknown>) => (r.date = 'today'), '"date"'],
    ['another version', (r: Record<string, unknown>) => (r.schema = 'x/2'), 'schema'],
    [
      'a metric that is text',
      (r: Record<string, unknown>) =>
        ((r.cells as { metrics: Record<string, unknown> }[])[1].metrics.mcc = '0.9'),
      'cells.1.metrics.mcc',
    ],
  ])('%s is refused by its path', (_, spoil, path) => {
    const spoilt = json(treeClaims());
    spoil(spoilt);
    expect(() => readResults(spoilt, 'out/results.json')).toThrow(UsageError);
    expect(() => readResults(spoilt, 'out/results.json')).toThrow(path);
    expect(() => readResults(spoilt, 'out/results.json')).toThrow(/^out\/results\.json: /);
  });

  test('what is no object is refused', () => {
    expect(() => readResults(null)).toThrow('no experiment results: it:');
  });
});

describe('results.schema.json', () => {
  test('is the schema that results are read by (vitest -u writes it)', async () => {
    const text = await format(JSON.stringify(resultsJsonSchema()), {
      parser: 'json',
      printWidth: 100,
    });
    await expect(text).toMatchFileSnapshot(FILE.pathname);
  });

  test('names every field of the results as required, and allows no other', () => {
    const schema = json(resultsJsonSchema()) as {
      required: string[];
      additionalProperties: boolean;
    };
    expect(schema.required.sort()).toEqual(Object.keys(treeClaims()).sort());
    expect(schema.additionalProperties).toBe(false);
  });
});
