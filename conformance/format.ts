/**
 * Outcomes as text: one line per law, and for a failure everything needed to see and repeat it.
 * @module
 */
import type { Call, KernelSpec, Tensor, Tensors } from './kernel.ts';
import type { LawResult, Outcome } from './run.ts';

export const symbols: Readonly<Record<Outcome, string>> = {
  pass: '✓',
  fail: '✗',
  skip: '-',
  unexpectedPass: '!',
  crashed: '☠',
};

/** `✓ batch-topk: is idempotent … (200 cases, 0.04 s)`. */
export function formatResult(result: LawResult): string {
  const cases = `${result.cases} ${result.cases === 1 ? 'case' : 'cases'}`;
  return `${symbols[result.outcome]} ${result.kernel}: ${result.law} (${cases}, ${result.seconds.toFixed(2)} s)`;
}

/** Input, got, expected, bound, law and the line that repeats it. */
export function formatFailure(result: LawResult, spec: KernelSpec, command: string): string {
  const { failure } = result;
  if (failure === undefined) return '';
  const { call, seed, path, shrinks } = failure;
  return [
    `${result.outcome}  ${result.kernel}: ${result.law}`,
    `  ${failure.message}`,
    `  after ${result.cases} cases and ${shrinks} shrinks, smallest case:`,
    ...formatCall(call).map((line) => `    ${line}`),
    ...gotLines(failure.got).map((line) => `    ${line}`),
    ...expectedLines(call, spec).map((line) => `    ${line}`),
    `  replay: ${command} --only '${result.kernel}: ${result.law}' --seed ${seed} --path ${path}`,
  ].join('\n');
}

function formatCall(call: Call): string[] {
  const config = Object.entries(call.config).map(
    ([name, value]) => `${name} = ${JSON.stringify(value)}`,
  );
  const inputs = Object.entries(call.inputs).map(
    ([name, value]) => `${name} = ${formatTensor(value)}`,
  );
  return [...config, ...inputs];
}

function gotLines(got: Tensors | undefined): string[] {
  if (got === undefined) return [];
  return Object.entries(got).map(([name, value]) => `got ${name} = ${formatTensor(value)}`);
}

/** What the reference answers to the case; its refusal where it refuses. */
function expectedLines(call: Call, spec: KernelSpec): string[] {
  try {
    return Object.entries(spec.reference(call)).map(
      ([name, value]) => `expected ${name} = ${formatTensor(value)}`,
    );
  } catch (error) {
    return [`reference refuses: ${error instanceof Error ? error.message : String(error)}`];
  }
}

/** Nested brackets up to 64 values, else the shape and the first values. */
export function formatTensor({ shape, data }: Tensor): string {
  if (shape.length === 0) return String(data[0]);
  if (data.length > 64) {
    return `shape [${shape.join(', ')}] ${[...data.slice(0, 16)].join(', ')}, … ${data.length - 16} more`;
  }
  const nest = (depth: number, start: number, size: number): string => {
    if (depth === shape.length) return String(data[start]);
    const step = size / shape[depth];
    const parts = Array.from({ length: shape[depth] }, (_, i) =>
      nest(depth + 1, start + i * step, step),
    );
    return `[${parts.join(', ')}]`;
  };
  return nest(0, 0, data.length);
}
