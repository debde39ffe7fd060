/**
 * matryoshka run: any operator of the reference, on a user's tensors.
 * @module
 */
import type { Command } from 'commander';
import type { Dialect } from '../../reference/dialects.ts';
import { version } from '../../reference/version.ts';
import { dialectHelp, dialectRecord, readDialect } from '../../training/dialect-file.ts';
import { UsageError } from '../../training/usage-error.ts';
import { readCase, requireResultPath, writeResult } from './case-file.ts';
import { printerOf } from '../printer.ts';
import type { Tensors } from '../kernel.ts';
import { didYouMean } from './near-names.ts';
import { callOperator, requireNames } from './call.ts';
import { operators } from './table.ts';
import { describe, listOperators, operatorJson } from './words.ts';
import type { RunOperator, SettingValue } from './operator.ts';

/** What a run came to, beside its tensors. */
export interface RunSummary {
  readonly operator: string;
  /** A published dialect's name, or the whole of one's own. */
  readonly dialect: ReturnType<typeof dialectRecord>;
  readonly version: string;
  readonly configuration: Readonly<Record<string, SettingValue>>;
  /** SHA-256 of the input file. */
  readonly input_sha256: string;
  /** Output tensors and their shapes. */
  readonly outputs: Readonly<Record<string, readonly number[]>>;
}

interface Options {
  readonly in: string;
  readonly out: string;
  readonly dialect: string;
  readonly json?: true;
}

export function addRunCommand(program: Command): void {
  const command = program
    .command('run')
    .usage('<operator> --in case.safetensors --out result.safetensors [options]')
    .summary('run one operator of the reference on your tensors')
    .description(
      'Runs an operator of the float64 reference on tensors of a safetensors file, in any dialect. The configuration is in the file’s metadata, each value as JSON. Inputs of any dtype are taken as float64, exactly; results are float64.',
    )
    .argument('[operator]')
    // Options behind a misspelt operator are its own: the operator is what to complain of.
    .allowUnknownOption()
    .allowExcessArguments()
    .option('--list', 'list operators with their tensors, configuration and shapes')
    .option('--json', 'with --list: as JSON')
    .addHelpText(
      'after',
      '\nExit status: 0 done, 2 wrong usage.\nExample: matryoshka run batch-topk --in case.safetensors --out result.safetensors\nmatryoshka run <operator> --help shows what it takes.',
    )
    .action((name: string | undefined, options: { list?: true; json?: true }) => {
      const print = printerOf(command);
      if (name?.startsWith('-') === true) {
        throw new UsageError(
          `run: unknown option ${name}: give an operator first, then its options`,
        );
      }
      if (name !== undefined) throw unknownOperator(name);
      if (options.list === undefined) {
        throw new UsageError(`run: expected an operator: ${namesOf().join(', ')}`);
      }
      print(
        options.json === true
          ? JSON.stringify(operators.map(operatorJson), null, 2)
          : listOperators(operators),
      );
    });
  for (const operator of operators) addOperator(command, operator);
}

function addOperator(parent: Command, operator: RunOperator): void {
  const command = parent
    .command(operator.name)
    .summary(operator.summary)
    .description(operator.summary)
    .requiredOption('--in <file>', 'safetensors with the inputs below, configuration as metadata')
    .requiredOption('--out <file>', 'safetensors to write')
    .option('--dialect <name>', dialectHelp, 'dictionary_learning')
    .option('--json', 'print a summary as JSON')
    .addHelpText('after', `\n${describe(operator).join('\n')}`)
    .action(async (options: Options) => {
      // `--json` before the operator's name is the parent's.
      const json = command.optsWithGlobals<Options>().json === true;
      const dialect = await readDialect(options.dialect);
      const summary = await runOperator(operator, dialect, options.in, options.out);
      printerOf(command)(json ? JSON.stringify(summary) : inWords(summary, options.out));
    });
}

/**
 * Reads a case, runs the operator, writes the result.
 * @throws {@link UsageError} for everything a user can set right; nothing is written then.
 */
export async function runOperator(
  operator: RunOperator,
  dialect: Dialect,
  input: string,
  out: string,
): Promise<RunSummary> {
  const file = await readCase(input, (names, where) => requireNames(operator, names, where));
  await requireResultPath(out, input);
  const { outputs, configuration } = callOperator(operator, { ...file, dialect });
  requireFiniteOutputs(outputs, file.where);
  const facts = {
    operator: operator.name,
    dialect: dialectRecord(dialect),
    version,
    configuration,
    input_sha256: file.sha256,
  };
  await writeResult(
    out,
    outputs,
    Object.fromEntries(
      Object.entries(facts).map(([key, value]) => [
        key,
        typeof value === 'string' ? value : JSON.stringify(value),
      ]),
    ),
  );
  const shapes = Object.entries(outputs).map(([name, { shape }]) => [name, shape] as const);
  return { ...facts, outputs: Object.fromEntries(shapes) };
}

/** The operator of that name. @throws {@link UsageError} with near names. */
export function operatorNamed(name: string): RunOperator {
  const found = operators.find((operator) => operator.name === name);
  if (found === undefined) throw unknownOperator(name);
  return found;
}

/** Finite inputs whose products leave float64. */
function requireFiniteOutputs(outputs: Tensors, where: string): void {
  for (const [name, { data }] of Object.entries(outputs)) {
    const wrong = data.find((value) => !Number.isFinite(value));
    if (wrong === undefined) continue;
    throw new UsageError(
      `${where}: output "${name}" would hold ${wrong}: the inputs are too large or too small for float64`,
    );
  }
}

function unknownOperator(name: string): UsageError {
  const near = didYouMean(name, namesOf());
  return new UsageError(
    `run: unknown operator ${JSON.stringify(name)}${near === '' ? `: expected one of ${namesOf().join(', ')}` : `${near} matryoshka run --list shows all`}`,
  );
}

function namesOf(): string[] {
  return operators.map(({ name }) => name);
}

/** More outputs than this are counted, not listed: train-step has some fifty. */
const LISTED = 8;

function inWords({ operator, dialect, outputs }: RunSummary, out: string): string {
  const shapes = Object.entries(outputs).map(([name, shape]) => `${name} (${shape.join(', ')})`);
  const name = typeof dialect === 'string' ? dialect : dialect.name;
  const listed = shapes.length > LISTED ? `${shapes.length} tensors` : shapes.join(', ');
  return `${operator}, dialect ${name}: wrote ${listed} to ${out}`;
}
