/**
 * The catalogue of decisions, and that every published dialect decides all of them within it.
 */
import { describe, expect, test } from 'vitest';
import { decisions } from '../../reference/decisions.ts';
import {
  decided,
  decisionList,
  dialectFrom,
  dialects,
  type Dialect,
  type Value,
} from '../../reference/dialects.ts';

const published = Object.values(dialects);
const sections = Object.keys(decisions);
const described = ['name', 'source', 'readFrom'];

test('nine dialects are published, each under its own name', () => {
  expect(Object.keys(dialects)).toEqual([
    'dictionary_learning',
    'bussmann',
    'saelens',
    'nabeshima',
    'paper',
    'dictionary_learning_jumprelu',
    'dictionary_learning_relu',
    'saelens_jumprelu',
    'saelens_relu',
  ]);
  for (const [name, dialect] of Object.entries(dialects)) expect(dialect.name).toBe(name);
});

describe.each(published)('$name', (dialect) => {
  test('decides everything in the catalogue, and nothing else', () => {
    expect(Object.keys(dialect).sort()).toEqual([...described, ...sections].sort());
    for (const [section, members] of Object.entries(decisions)) {
      const values = dialect[section as keyof typeof decisions];
      expect(Object.keys(values).sort(), section).toEqual(Object.keys(members).sort());
    }
  });

  test('decides only what a dialect of one’s own may', () => {
    const chosen = Object.fromEntries(
      sections.map((section) => [section, dialect[section as keyof Dialect]]),
    );
    for (const base of published) {
      const again = dialectFrom({ name: 'again', extends: base.name, ...chosen });
      for (const { path } of decisionList) {
        expect(decided(again, path), path).toBe(decided(dialect, path));
      }
    }
  });

  test('says of each section where its values were read', () => {
    expect(Object.keys(dialect.readFrom ?? {}).sort()).toEqual([...sections].sort());
    for (const where of Object.values(dialect.readFrom ?? {})) expect(where).not.toBe('');
    expect(dialect.source).not.toBe('');
  });
});

describe('every decision', () => {
  test.each(decisionList)(
    '$path has a meaning in a sentence, and is seen somewhere',
    (decision) => {
      expect(decision.meaning).toMatch(/^\p{L}.{10,}\.$/su);
      expect(decision.seen).toMatch(/^(?=.)I?L?G?T?$/);
    },
  );

  test.each(decisionList)('$path may be something: two words, or numbers', ({ values, number }) => {
    expect(values.length >= 2 || number !== undefined).toBe(true);
    expect(new Set(values).size).toBe(values.length);
  });

  test.each(decisionList.filter(({ onlyIf }) => onlyIf !== undefined))(
    '$path depends on a decision that may be what it needs, and may be otherwise',
    ({ path, onlyIf }) => {
      for (const { decision, is } of onlyIf!) {
        const other = decisionList.find((one) => one.path === decision)!;
        expect(other.path).not.toBe(path);
        const allowed = other.values as readonly Value[];
        for (const value of is) expect(allowed).toContain(value);
        expect(allowed.length).toBeGreaterThan(is.length);
      }
    },
  );

  test('has a path of its own', () => {
    const paths = decisionList.map(({ path }) => path);
    expect(new Set(paths).size).toBe(paths.length);
    expect(paths[0]).toBe('input.normaliser');
    expect(paths).toHaveLength(
      Object.values(decisions).reduce((sum, members) => sum + Object.keys(members).length, 0),
    );
  });
});
