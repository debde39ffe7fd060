/**
 * matryoshka dialects: what each published trainer decides, as a matrix, as a file to edit, and compared.
 * @module
 */
import type { Command } from 'commander';
import {
  bussmann,
  dialects,
  dictionaryLearning,
  nabeshima,
  paper,
  saelens,
} from '../../reference/dialects.ts';
import type { Dialect } from '../../reference/dialects.ts';
import { dialectJson, isPublished, readDialect } from '../../training/dialect-file.ts';
import { UsageError } from '../../training/usage-error.ts';
import { readCase } from '../operators/case-file.ts';
import { printerOf } from '../printer.ts';
import { compareSteps, differences } from './diff.ts';
import { comparisonText, differencesText } from './diff-text.ts';
import { LEGEND, matrixJson, matrixMarkdown, matrixText, sourcesText } from './matrix.ts';

/** The trainers of Matryoshka SAEs, and the paper's own text. */
const MATRYOSHKA: readonly Dialect[] = [dictionaryLearning, bussmann, saelens, nabeshima, paper];

interface Options {
  readonly all?: true;
  readonly sources?: true;
  readonly markdown?: true;
  readonly json?: true;
}

export function addDialectsCommand(program: Command): void {
  const command = program
    .command('dialects')
    .summary('what each published trainer decides')
    .description(
      'The matrix of decisions in which published trainers differ: a row for each decision, a column for each dialect.',
    )
    .argument('[name...]', 'dialects to show, published or your own as FILE.json')
    .option('--all', 'all published dialects, not only the Matryoshka trainers')
    .option('--sources', 'show the file and function that each was read from')
    .option('--markdown', 'as a table in Markdown')
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      `\nPublished: ${Object.keys(dialects).join(', ')}.\nYour own: matryoshka dialects show saelens > mine.json, edit it, and give mine.json as --dialect.\nExample: matryoshka dialects diff dictionary_learning saelens`,
    )
    .action(async (names: readonly string[], options: Options) => {
      const print = printerOf(command);
      const chosen = await chosenDialects(names, options.all === true);
      if (options.json === true) return print(JSON.stringify(matrixJson(chosen), null, 2));
      if (options.markdown === true) print(matrixMarkdown(chosen));
      else print(`${matrixText(chosen, columnsOf())}\n\n${LEGEND}`);
      if (options.sources === true) print(`\n${sourcesText(chosen)}`);
    });
  addShow(command);
  addDiff(command);
}

function addShow(parent: Command): void {
  const command = parent
    .command('show')
    .summary('one dialect as JSON, to edit and use')
    .description(
      'Prints a dialect as JSON: every decision, under a name of its own. Edit it, and give the file wherever a dialect is named.',
    )
    .argument('<name>', 'a published dialect, or your own as FILE.json')
    .action(async (name: string) => {
      const dialect = await readDialect(name, 'dialects show');
      printerOf(command)(JSON.stringify(dialectJson(dialect), null, 2));
    });
}

function addDiff(parent: Command): void {
  const command = parent
    .command('diff')
    .summary('the decisions in which two dialects differ')
    .description(
      'Lists the decisions in which two dialects differ. With a batch, takes a training step in A, in B, and in A with each single decision of B, and shows what that changes.',
    )
    .argument('<a>', 'a published dialect, or your own as FILE.json')
    .argument('<b>')
    .option(
      '--in <file>',
      'a case of train-step (matryoshka run train-step --help); or x alone, d_sae and steps as metadata, and perhaps seed',
    )
    .option('--json', 'as JSON')
    .action(async (first: string, second: string, options: { in?: string; json?: true }) => {
      // An option before the subcommand's name is the parent's.
      const json = command.optsWithGlobals<{ json?: true }>().json === true;
      const a = await readDialect(first, 'dialects diff');
      const b = await readDialect(second, 'dialects diff');
      const found = differences(a, b);
      const steps =
        options.in === undefined ? null : compareSteps(a, b, await readCase(options.in));
      const print = printerOf(command);
      if (json) {
        print(JSON.stringify({ a: a.name, b: b.name, differences: found, steps }, null, 2));
        return;
      }
      print(differencesText(found, a.name, b.name));
      if (steps !== null) print(`\n${comparisonText(steps, a.name, columnsOf())}`);
    });
}

async function chosenDialects(names: readonly string[], all: boolean): Promise<readonly Dialect[]> {
  if (names.length > 0 && all) throw new UsageError('--all: give it, or names, not both');
  if (all) return Object.values(dialects);
  if (names.length === 0) return MATRYOSHKA;
  const chosen = await Promise.all(names.map((name) => readDialect(name, 'dialects')));
  const seen = new Set<string>();
  for (const { name } of chosen.filter((dialect) => !isPublished(dialect))) {
    if (seen.has(name)) {
      throw new UsageError(`dialects: two files are named ${name}: give each its own "name"`);
    }
    seen.add(name);
  }
  return chosen.filter((dialect, i) => chosen.indexOf(dialect) === i);
}

/** Of the terminal; a pipe gets every row on one line. */
function columnsOf(): number {
  return process.stdout.isTTY ? (process.stdout.columns ?? 80) : Infinity;
}
