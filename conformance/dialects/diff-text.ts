/**
 * The differences of two dialects in words and tables.
 * @module
 */
import type { Change, Difference, StepChange, StepComparison, StepRow } from './diff.ts';
import { columnWidths, DOES_NOT_APPLY, rowsText, shown } from './matrix.ts';

/** Each decision with both values and what it means. */
export function differencesText(found: readonly Difference[], a: string, b: string): string {
  if (found.length === 0) return `${a} and ${b} decide alike`;
  const value = (each: Difference['a']): string => (each === null ? DOES_NOT_APPLY : shown(each));
  const blocks = found.map(
    (each) => `${each.path} (${each.seen}): ${value(each.a)} → ${value(each.b)}\n  ${each.meaning}`,
  );
  const count = found.length === 1 ? '1 decision differs' : `${found.length} decisions differ`;
  return `${a} → ${b}\n\n${blocks.join('\n')}\n\n${count}; ${DOES_NOT_APPLY}: changes nothing in that dialect`;
}

/** What each decision changes in one step. */
export function comparisonText(
  { loss, latents, drawnState, rows }: StepComparison,
  a: string,
  width: number,
): string {
  const cells = [
    [
      'one step',
      'loss',
      'loss ±',
      'latents ±',
      'gradients ±',
      'parameters ±',
      'threshold ±',
      'auxk ±',
    ],
    ...rows
      .filter(({ change }, i) => change !== undefined && (i === 0 || !isNothing(change)))
      .map(rowCells),
  ];
  const widths = columnWidths(cells);
  const full = widths.reduce((sum, each) => sum + each + 2, -2);
  if (full > width) {
    // Headers and paths break; numbers do not.
    widths[0] = Math.max(...cells.map(([name]) => name.length));
    for (let i = 1; i < widths.length; i++) {
      widths[i] = Math.max(...cells.slice(1).map((row) => row[i].length), 4);
    }
  }
  const nothing = rows
    .filter(({ change }, i) => i > 0 && change !== undefined && isNothing(change))
    .map(({ name }) => name);
  const refused = rows
    .filter((row) => row.refused !== undefined)
    .map((row) => `${row.name}: no step: ${row.refused}`);
  const state = drawnState
    ? 'state drawn from the seed, in each dialect as it starts'
    : 'state as given';
  return [
    `a step in ${a}: loss ${digits(loss)}, ${latents} latents selected (${state}); then in ${rows[0].name}, and in ${a} with each single decision of it`,
    '',
    rowsText(cells, widths),
    ...(nothing.length === 0 ? [] : ['', `nothing in this step: ${nothing.join(', ')}`]),
    ...(refused.length === 0 ? [] : ['', ...refused]),
    '',
    '±: largest difference over the largest value in the same tensor; latents ±: how many (row, latent) pairs are selected in one of the two only; =: the same bits; new: 0 before',
  ].join('\n');
}

function isNothing(change: StepChange): boolean {
  const { lossChange, latents, gradients, parameters, threshold, auxk } = change;
  const changes = [lossChange, gradients, parameters, threshold, auxk];
  return latents === 0 && changes.every(({ relative }) => relative === 0);
}

function rowCells({ name, change }: StepRow): string[] {
  const { loss, lossChange, latents, gradients, parameters, threshold, auxk } = change!;
  return [
    name,
    digits(loss),
    inWords(lossChange),
    latents === 0 ? '=' : String(latents),
    inWords(gradients),
    inWords(parameters),
    inWords(threshold),
    inWords(auxk),
  ];
}

function inWords({ relative, in: name }: Change): string {
  if (relative === 0) return '=';
  const tensor = name === '' ? '' : ` ${name}`;
  return relative === null ? `new${tensor}` : `${relative.toExponential(1)}${tensor}`;
}

function digits(value: number): string {
  return String(Number(value.toPrecision(6)));
}
