/**
 * Filters over tables of laws: by operator, by outcome and by column, in CSS alone, so that a page works wherever it opens.
 *
 * A page draws an element `details.operator` for each operator, with the class {@link operatorClass}; in it a
 * `table.laws`, whose cells that show an outcome have that outcome as a class, and its column's ({@link columnClass}).
 * @module
 */
import { markup, type Html, type Verdict } from '../../synthetic/page.ts';
import type { Outcome } from '../run.ts';

export const verdicts: Readonly<Record<Outcome, Verdict>> = {
  pass: 'pass',
  fail: 'fail',
  skip: 'skip',
  unexpectedPass: 'warn',
  crashed: 'fail',
};

/** Whether a law with this outcome makes its certificate fail. */
export function isBroken(outcome: Outcome): boolean {
  return outcome !== 'pass' && outcome !== 'skip';
}

/** What may be shown, and the cells that have it. */
const shown = [
  ['broken', 'what is broken', '.fail, .crashed, .unexpectedPass'],
  ['pass', 'what passes', '.pass'],
  ['fail', 'what fails', '.fail'],
  ['crashed', 'what crashes', '.crashed'],
  ['unexpectedPass', 'what passes unexpectedly', '.unexpectedPass'],
  ['skip', 'what is skipped', '.skip'],
] as const;

export const operatorClass = (index: number): string => `operator-${index}`;
export const columnClass = (index: number): string => `column-${index}`;

/**
 * Controls and their style.
 * @param columns - what the columns of outcomes are called; where there is one alone, nothing is chosen.
 */
export function lawFilters(operators: readonly string[], columns: readonly string[]): Html {
  const chosen = (value: string): string => `body:has(option[value=${value}]:checked)`;
  const rows = '.laws tbody tr';
  const ofOperators = operators.map(
    (_, i) =>
      `${chosen(operatorClass(i))} .operator:not(.${operatorClass(i)}) { display: none !important; }`,
  );
  const hidden = columns.map(
    (_, i) => `body:has(#${columnClass(i)}:not(:checked)) .${columnClass(i)} { display: none; }`,
  );
  const ofOutcomes = shown.flatMap(([value, , cells]) => [
    `${chosen(value)} :is(${rows}, .operator) { display: none; }`,
    ...columns.map((_, i) => {
      const column = columns.length === 1 ? '' : `:not(:has(#${columnClass(i)}:not(:checked)))`;
      return `${chosen(value)}${column} :is(${rows}, .operator):has(.${columnClass(i)}:is(${cells})) { display: revert; }`;
    }),
  ]);
  const options = (all: string, values: readonly (readonly [string, string])[]): Html =>
    markup`<option value="">${all}</option>${values.map(([value, text]) => markup`<option value="${value}">${text}</option>`)}`;
  const named = operators.map((name, i) => [operatorClass(i), name] as const);
  const outcomes = shown.map(([value, text]) => [value, text] as const);
  const boxes = columns.map(
    (name, i) =>
      markup`<label><input type="checkbox" id="${columnClass(i)}" checked> ${name}</label>`,
  );
  // Nothing in a rule is a character that text on a page has to escape.
  const rules = [...ofOperators, ...hidden, ...ofOutcomes].join('\n');
  return markup`${style}<style>
${rules}
</style><form class="filters"><label>Show <select>${options('all laws', outcomes)}</select></label><label>of <select>${options('all operators', named)}</select></label>${columns.length > 1 && boxes}</form>`;
}

const style = markup`<style>
.filters { margin: 0 0 1rem; display: flex; flex-wrap: wrap; gap: .4rem 1.2rem; }
.filters select { font: inherit; max-width: 100%; }
.operator { border-top: 1px solid var(--hair); padding: .5rem 0; }
.operator summary { cursor: pointer; }
.laws { width: 100%; font-size: .92rem; }
.laws :is(th, td) { padding: .25rem .6rem; vertical-align: top; }
.laws .law { min-width: 11rem; }
.laws .why { min-width: 9rem; max-width: 24rem; }
.muted { color: var(--muted); }
</style>`;
