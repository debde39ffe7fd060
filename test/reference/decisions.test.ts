/**
 * Every decision of every published dialect is held by a recording: made otherwise, some vector disagrees.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { decisionList, dialects } from '../../reference/dialects.ts';
import {
  decisionCells,
  decisionsTable,
  notReached,
  otherValues,
  paperCells,
} from './recorded/decisions-table.ts';
import { listingCase } from './recorded/listing.ts';
import { relativeError } from './recorded/source.ts';

const docs = fileURLToPath(new URL('../../docs/decisions.md', import.meta.url));
const cells = decisionCells();
const paper = paperCells();
const isNotReached = (dialect: string, path: string): boolean =>
  notReached[dialect]?.[path] !== undefined;

describe('decisions', () => {
  test('made otherwise are rejected by a vector of every published dialect that they apply to', () => {
    const open = cells.flatMap(({ path, dialect, notApplicable, rejections }) =>
      notApplicable === undefined
        ? rejections
            .filter(({ by }) => by === null)
            .map(({ value }) => `${dialect}: ${path} as ${String(value)}`)
        : [],
    );
    expect(open).toEqual([]);
  });

  test('that a trainer never comes to change nothing of what it was recorded to do', () => {
    const reached = cells.flatMap(({ path, dialect, rejections }) =>
      isNotReached(dialect, path) && rejections.some(({ by }) => by !== null)
        ? [`${dialect}: ${path}`]
        : [],
    );
    expect(reached).toEqual([]);
  });

  test('cover every dialect but the paper, which published no code', () => {
    const covered = new Set(cells.map(({ dialect }) => dialect));
    expect(Object.keys(dialects).filter((name) => !covered.has(name))).toEqual(['paper']);
    expect(cells).toHaveLength(decisionList.length * covered.size);
  });

  test('stand in docs/decisions.md with the vector that catches each (UPDATE_DOCS=1 writes it)', () => {
    const table = decisionsTable([...cells, ...paper]).trim();
    console.log(table);
    const page = readFileSync(docs, 'utf8');
    const written = page.replace(
      /(<!-- caught -->\n)[^]*(<!-- \/caught -->)/,
      (_all, start: string, end: string) => `${start}\n${table}\n\n${end}`,
    );
    if (process.env['UPDATE_DOCS'] === '1') writeFileSync(docs, written);
    else expect(page).toBe(written);
  });

  test('each have another value to be tried', () => {
    for (const decision of decisionList) {
      for (const value of [...decision.values, ...(decision.number === undefined ? [] : [0.5])]) {
        expect(otherValues(decision, value as number).length, decision.path).toBeGreaterThan(0);
      }
    }
  });
});

describe('the paper', () => {
  test('computes the loss of its Listing 1', () => {
    for (const [name, got, expected] of listingCase.compare((dialect) => dialect)) {
      expect(relativeError(got, expected), name).toBeLessThan(1e-12);
    }
  });

  test('is held by the listing where the listing differs from its authors’ code', () => {
    const held = paper
      .filter(
        ({ rejections }) => rejections.length > 0 && rejections.every(({ by }) => by !== null),
      )
      .map(({ path }) => path);
    for (const path of [
      'encode.subtractsDecoderBias',
      'encode.usesEncoderBias',
      'loss.emptyPrefix',
      'loss.overDimensions',
      'loss.overLevels',
      'loss.defaultWeight',
      'learningRate.base',
      'learningRate.scalesWithWidth',
    ]) {
      expect(held).toContain(path);
    }
  });
});
