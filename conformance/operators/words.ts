/**
 * Operators in words, for `run --list` and `run OP --help`, and as JSON.
 * @module
 */
import type { RunOperator } from './operator.ts';

/** One line for each operator's tensors and settings, below its name. */
export function listOperators(operators: readonly RunOperator[]): string {
  const blocks = operators.map((operator) =>
    [`${operator.name}: ${operator.summary}`, ...describe(operator)].join('\n'),
  );
  return `${blocks.join('\n\n')}\n\n${operators.length} operators`;
}

/** The lines of one operator. */
export function describe(operator: RunOperator): string[] {
  const lines = (
    [
      ['in', inputsOf(operator)],
      ['config', settingsOf(operator)],
      ['out', Object.entries(operator.outputs)],
    ] as const
  ).flatMap(([kind, entries]) => entries.map(([name, words]) => [kind, name, words] as const));
  return lines.map(([kind, name, words]) => `  ${kind.padEnd(6)} ${name}  ${words}`);
}

/** What `--list --json` prints. */
export function operatorJson(operator: RunOperator): Readonly<Record<string, unknown>> {
  const { name, summary, inputs, outputs, config } = operator;
  return {
    name,
    summary,
    inputs: Object.fromEntries(
      Object.entries(inputs).map(([tensor, { words, optional }]) => [
        tensor,
        { shape: words, ...(optional !== undefined && { default: optional }) },
      ]),
    ),
    outputs,
    config: Object.fromEntries(
      Object.entries(config).map(([key, { meaning, expected, otherwise }]) => [
        key,
        { meaning, expected, ...(otherwise !== undefined && { default: otherwise }) },
      ]),
    ),
  };
}

function inputsOf({ inputs }: RunOperator): [string, string][] {
  return Object.entries(inputs).map(([name, { words, optional }]) => [
    name,
    optional === undefined ? words : `${words} [optional: ${optional}]`,
  ]);
}

function settingsOf({ config }: RunOperator): [string, string][] {
  return Object.entries(config).map(([key, { meaning, expected, otherwise }]) => [
    key,
    `${expected}: ${meaning}${otherwise === undefined ? '' : ` [default: ${otherwise}]`}`,
  ]);
}
