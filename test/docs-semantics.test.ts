/**
 * docs/semantics.md, held to what it describes: the records, the catalogue of decisions, the reference's docstrings, the
 * suite's laws and the recordings. `UPDATE_DOCS=1 npx vitest run test/docs-semantics.test.ts` writes the dialect matrix.
 */
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { specs } from '../conformance/kernels/all.ts';
import {
  applies,
  bussmann,
  decided,
  decisionList,
  dialects,
  dictionaryLearning,
  nabeshima,
  paper,
  saelens,
  type Dialect,
  type NamedDecision,
  type Value,
} from '../reference/dialects.ts';

const root = join(import.meta.dirname, '..');
const pagePath = join(root, 'docs/semantics.md');
const page = readFileSync(pagePath, 'utf8');
const operators = between(page, 'operators');

/** The columns of the matrix; the first is canonical. */
const compared: readonly Dialect[] = [dictionaryLearning, bussmann, saelens, nabeshima, paper];

/** What the page says a decision is: dialect name → value as it is written. */
interface Claim {
  readonly path: string;
  readonly values: ReadonlyMap<string, string>;
}

describe('every decision', () => {
  const claims = claimsIn(page);
  const explained = new Map(claimsIn(operators).map((claim) => [claim.path, claim]));

  test('is explained in the sections on operators', () => {
    const paths = decisionList.map(({ path }) => path);
    expect(paths.filter((path) => !explained.has(path))).toEqual([]);
  });

  test('has the value that the page gives for each dialect', () => {
    const wrong = claims.flatMap(({ path, values }) =>
      [...values].filter(([name, value]) => value !== shown(decided(dialects[name], path))),
    );
    expect(wrong).toEqual([]);
  });

  test('is given for just the dialects that it applies to and that do not decide as the canonical one', () => {
    for (const decision of decisionList) {
      const got = [...(explained.get(decision.path)?.values.keys() ?? [])];
      expect(got.sort(), decision.path).toEqual(toBeNamed(decision).sort());
    }
  });

  test('is named as it is in the catalogue', () => {
    const known = new Set(decisionList.map(({ path }) => path));
    const named = new Set([...page.matchAll(/`(\w+\.\w+)`/g)].map(([, path]) => path));
    expect([...named].filter((path) => !known.has(path) && !/\.(ts|sh)$/.test(path))).toEqual([]);
  });

  test('stands in the matrix with its values (UPDATE_DOCS=1 writes it)', () => {
    const expected = matrix();
    if (process.env['UPDATE_DOCS'] === '1') {
      const marked = /(<!-- matrix -->)[\s\S]*(<!-- \/matrix -->)/;
      writeFileSync(pagePath, page.replace(marked, `$1\n\n${expected}\n\n$2`));
      return;
    }
    expect(between(page, 'matrix').trim()).toBe(expected);
    for (const { path } of decisionList) expect(expected).toContain(`| ${path} `);
  });

  test('is read back from the page: a value changed there is found', () => {
    const [claim] = claimsIn('- `threshold.decay` (0.999; bussmann,\n  saelens 0.98): β.');
    expect(claim.path).toBe('threshold.decay');
    expect([...claim.values]).toEqual([
      ['dictionary_learning', '0.999'],
      ['bussmann', '0.98'],
      ['saelens', '0.98'],
    ]);
    expect(shown(decided(bussmann, 'threshold.decay'))).not.toBe('0.98');
    expect([2 ** -23, 1 / 32, 1e7, 1e-6, 3e-4, 0.001, -1, true].map(shown).join(' ')).toBe(
      '2⁻²³ 1/32 10,000,000 1e-6 3e-4 0.001 -1 yes',
    );
  });
});

describe('numbers in the sections on operators', () => {
  /** What holds in every dialect, and how the reference writes it. */
  const universal: Readonly<Record<string, readonly [file: string, code: string]>> = {
    '1e-5': ['geometric-median.ts', '1e-5'],
    '100': ['geometric-median.ts', 'round < 100'],
    '1e-8': ['decoder-norm.ts', '1e-8'],
    '1e-6': ['adam.ts', '1e-6'],
    '0.1': ['penalty.ts', 'v + 0.1'],
    '16,384': ['train-config.ts', '2 ** 14'],
    '0.9': ['adam.ts', '0.9 * '],
    '0.01': ['adam.ts', '+ 0.01'],
  };
  /** Of an example, not of a dialect. */
  const examples = ['0.19', '0.29', '100', '28'];

  test('are a dialect’s, given with it, or the reference’s own', () => {
    const prose = withoutCode(operators)
      .replaceAll(/^Source: [\s\S]*?\n\n/gm, '')
      .replaceAll(claimPattern, '');
    const numbers = [...prose.matchAll(/(?<![\w.,])(\d[\d,]*\.?\d*(?:e-?\d+)?|\d⁻[⁰-⁹]+)/g)]
      .map(([number]) => number.replace(/[.,]$/, ''))
      .filter((number) => /[.,e⁻]/.test(number) || Number(number) > 9);
    expect(numbers.filter((n) => !(n in universal) && !examples.includes(n))).toEqual([]);
    for (const [file, code] of Object.values(universal)) {
      expect(readFileSync(join(root, 'reference', file), 'utf8'), file).toContain(code);
    }
    for (const number of Object.keys(universal)) expect(numbers).toContain(number);
  });
});

describe('sources', () => {
  const byAbbreviation: Readonly<Record<string, RegExp>> = {
    dl: /^dictionary_learning/,
    bm: /^bussmann$/,
    sl: /^saelens/,
    nb: /^nabeshima$/,
  };
  const docstrings = readdirSync(join(root, 'reference'))
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) =>
      readFileSync(join(root, 'reference', name), 'utf8').match(/\/\*\*[\s\S]*?\*\//g),
    )
    .map((text) => text?.replaceAll(/\n \* ?/g, ' ') ?? '');

  test('are a file and a function that the records or the reference’s docstrings name', () => {
    const cited = [...flat(page).matchAll(/Source: (.*?\.) /g)].flatMap(([, source]) =>
      source.split('; ').flatMap((part) => {
        const [abbreviation] = part.split(' ');
        return [...part.matchAll(/`(\S+\.py) (\S+)`/g)].map(
          ([, file, name]) => [abbreviation, file, name] as const,
        );
      }),
    );
    const unknown = cited.filter(([abbreviation, file, name]) => {
      const records = Object.values(dialects)
        .filter((dialect) => byAbbreviation[abbreviation]?.test(dialect.name))
        .flatMap((dialect) => Object.values(dialect.readFrom ?? {}));
      const places = [
        ...records,
        ...docstrings.filter((text) => text.includes(`${abbreviation} `)),
      ];
      return !places.some((text) => text.includes(file) && namesFunction(text, name));
    });
    expect(unknown).toEqual([]);
    // Every source that is written as one is among them.
    const written = [...page.matchAll(/`[\w/]+\.py\s+[\w.]+`/g)];
    expect(cited.length).toBe(written.length);
  });

  test('are given for every operator', () => {
    for (const section of operators.split(/^###? /m).slice(1)) {
      expect(section, section.split('\n')[0]).toContain('\nSource: ');
    }
  });
});

test('its TypeScript examples give what they say', async () => {
  const blocks = [...page.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code);
  expect(blocks.length).toBeGreaterThan(0);
  const folder = mkdtempSync(join(root, 'test', 'semantics-'));
  try {
    for (const [i, code] of blocks.entries()) {
      const file = join(folder, `example-${i}.ts`);
      const checked = code
        .replaceAll(/'matryoshka-sae\/([^']*)\.js'/g, "'../../$1.ts'")
        .replaceAll(/^(\S.*); \/\/ (.*)$/gm, 'answers.push([$1, $2]);');
      writeFileSync(file, `export const answers: [unknown, unknown][] = [];\n${checked}`);
      const { answers } = (await import(pathToFileURL(file).href)) as {
        answers: [unknown, unknown][];
      };
      expect(answers.length).toBe(code.split('; // ').length - 1);
      expect(answers.length).toBeGreaterThan(0);
      for (const [got, expected] of answers) expect(got, code).toEqual(expected);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('its laws are laws of the suite, at least one of every operator', () => {
  const rows = [...between(page, 'laws').matchAll(/^\| ([a-z-]+) +\| (.*?) +\|$/gm)].filter(
    ([, operator]) => operator !== 'operator' && !operator.startsWith('---'),
  );
  expect(rows.map(([, operator]) => operator).sort()).toEqual(specs.map(({ name }) => name).sort());
  for (const [, operator, laws] of rows) {
    const known = specs.find(({ name }) => name === operator)?.laws.map(({ name }) => name);
    for (const law of laws.split('; ')) expect(known, operator).toContain(law);
  }
});

test('the steps and shapes it says were recorded are those of every manifest', () => {
  expect(flat(page)).toContain('200 steps written down, at three shapes each');
  for (const folder of ['dictionary-learning', 'bussmann', 'saelens', 'nabeshima']) {
    const path = join(root, 'conformance/vectors', folder, 'manifest.json');
    const { vectors } = JSON.parse(readFileSync(path, 'utf8')) as {
      vectors: { dtype: string; config: Readonly<Record<string, unknown>> }[];
    };
    const runs = vectors.filter(
      ({ dtype, config }) => dtype === 'float64' && config['steps'] === 200,
    );
    const shapes = runs.map(({ config }) => [config['d_in'], config['d_sae']].join());
    expect(new Set(shapes).size, folder).toBeGreaterThanOrEqual(3);
  }
});

test('its links and markers are whole', () => {
  for (const name of ['operators', 'matrix', 'laws']) {
    expect(page.split(`<!-- ${name} -->`).length, name).toBe(2);
    expect(page.split(`<!-- /${name} -->`).length, name).toBe(2);
  }
  expect(page).not.toMatch(/TODO|TBD|FIXME/);
});

/** The dialect matrix: a Markdown table of every decision, padded as prettier pads it. */
function matrix(): string {
  const head = ['decision', 'seen', ...compared.map(({ name }) => name)];
  const rows = decisionList.map((decision) => [
    decision.path,
    [...decision.seen].join(' '),
    ...compared.map((dialect) => cell(decision, dialect)),
  ]);
  const widths = head.map((_, c) => Math.max(...[head, ...rows].map((row) => row[c].length)));
  const line = (cells: readonly string[], fill: string): string =>
    `| ${cells.map((text, c) => text.padEnd(widths[c], fill)).join(' | ')} |`;
  return [
    line(head, ' '),
    line(
      head.map(() => ''),
      '-',
    ),
    ...rows.map((row) => line(row, ' ')),
  ].join('\n');
}

function cell(decision: NamedDecision, dialect: Dialect): string {
  if (!applies(decision, dialect)) return '–';
  return decidesAsCanonical(decision, dialect) ? '=' : shown(decided(dialect, decision.path));
}

/** Whether a dialect other than the canonical one decides as that does, where both decide at all. */
function decidesAsCanonical(decision: NamedDecision, dialect: Dialect): boolean {
  return (
    dialect !== dictionaryLearning &&
    applies(decision, dictionaryLearning) &&
    decided(dialect, decision.path) === decided(dictionaryLearning, decision.path)
  );
}

/** Dialects whose value the page gives; of a decision that none of the compared ones has, the others'. */
function toBeNamed(decision: NamedDecision): string[] {
  const among = (list: readonly Dialect[]): Dialect[] =>
    list.filter((dialect) => applies(decision, dialect));
  const applying = among(compared);
  return (applying.length > 0 ? applying : among(Object.values(dialects)))
    .filter((dialect) => !decidesAsCanonical(decision, dialect))
    .map(({ name }) => name);
}

/** `path` (value; dialect, dialect value; …), the first value the canonical dialect's if it has no name. */
const claimPattern = /`(\w+\.\w+)`\s\(([^()]+)\)/g;

function claimsIn(text: string): Claim[] {
  const known = new Set(decisionList.map(({ path }) => path));
  return [...flat(text).matchAll(claimPattern)]
    .filter(([, path]) => known.has(path))
    .map(([, path, list]) => {
      const values = list.split('; ').flatMap((item): [string, string][] => {
        const words = item.split(/,? /);
        const value = words.at(-1) ?? '';
        const names = words.length === 1 ? [dictionaryLearning.name] : words.slice(0, -1);
        for (const name of names)
          expect(Object.keys(dialects), `${path} (${list})`).toContain(name);
        return names.map((name) => [name, value]);
      });
      return { path, values: new Map(values) };
    });
}

/** A value as the page writes it. */
function shown(value: Value): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'string') return value;
  const power = Math.log2(value);
  if (value > 0 && Number.isInteger(power) && power < 0) {
    const digits = [...String(-power)].map((digit) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[Number(digit)]);
    return power < -10 ? `2⁻${digits.join('')}` : power < -1 ? `1/${1 / value}` : String(value);
  }
  if (Math.abs(value) >= 1000) return value.toLocaleString('en-US');
  return value > 0 && value < 1e-3 ? value.toExponential() : String(value);
}

/** Whether a text names a function: as it is, or, of a method, its class and its name apart. */
function namesFunction(text: string, name: string): boolean {
  return new RegExp(`(?<!\\w)${name.replaceAll('.', '\\.')}(?!\\w)`).test(text);
}

function between(text: string, marker: string): string {
  return text.split(`<!-- ${marker} -->`)[1]?.split(`<!-- /${marker} -->`)[0] ?? '';
}

function withoutCode(text: string): string {
  return text.replaceAll(/```[\s\S]*?```/g, '');
}

/** Lines joined, so that a sentence may be wrapped anywhere. */
function flat(text: string): string {
  return text.replaceAll(/\s+/g, ' ');
}
