/**
 * Skips and expected failures: files of laws, each with a reason. What they say is checked: an entry that names no law is
 * stale, and an expected failure that passes is a surprise; both fail the run.
 * @module
 */
import type { KernelSpec } from '../kernel.ts';
import type { LawResult } from '../run.ts';

/** A line of such a file: which laws, and why. */
export interface Expectation {
  /** `kernel`, `kernel: law`, or either with `/dtype` at its end. */
  readonly id: string;
  /** From the comment lines above it. */
  readonly reason: string;
  readonly line: number;
}

/**
 * A comment (`# accumulates in float16, issue 12`) is the reason of the ids under it, until an empty line.
 * @throws {@link RangeError} naming the line that has no reason.
 */
export function expectationsOf(text: string, file: string): Expectation[] {
  const entries: Expectation[] = [];
  let reason = '';
  text.split(/\r?\n/).forEach((raw, i) => {
    const line = raw.trim();
    if (line === '') reason = '';
    else if (line.startsWith('#')) {
      const said = line.slice(1).trim();
      reason =
        reason === '' || entries[entries.length - 1]?.line === i ? said : `${reason} ${said}`;
    } else if (reason === '') {
      throw new RangeError(
        `${file}: line ${i + 1}: expected a comment with the reason above ${JSON.stringify(line)}`,
      );
    } else entries.push({ id: line, reason, line: i + 1 });
  });
  return entries;
}

/** The entry that names this law, if any. */
export function expectationFor(
  entries: readonly Expectation[],
  kernel: string,
  law: string,
  dtype: string,
): Expectation | undefined {
  const ids = [kernel, `${kernel}: ${law}`].flatMap((id) => [id, `${id}/${dtype}`]);
  return entries.find(({ id }) => ids.includes(id));
}

/** Entries that name no law of these specs, whatever the dtype. */
export function staleExpectations(
  entries: readonly Expectation[],
  specs: readonly KernelSpec[],
): Expectation[] {
  const known = new Set(
    specs.flatMap(({ name, laws }) => [name, ...laws.map((law) => `${name}: ${law.name}`)]),
  );
  return entries.filter(({ id }) => !known.has(id) && !known.has(id.replace(/\/[a-z0-9]+$/, '')));
}

/** A result as it counts where failing was expected: a failure is passed over for its reason, a pass is a surprise. */
export function judged<T extends LawResult>(result: T, expected: Expectation | undefined): T {
  if (expected === undefined || result.outcome === 'skip') return result;
  const { reason } = expected;
  if (result.outcome === 'pass') return { ...result, outcome: 'unexpectedPass', reason };
  return { ...result, outcome: 'skip', reason };
}
