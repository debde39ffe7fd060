/**
 * Wrong input by the person who runs the program, as opposed to a mistake in the program.
 * @module
 */

/**
 * Its message is one line: the field, the value it had, and the remedy. The command line prints it after
 * `error: ` without a stack and exits with status 2; every other error keeps its stack.
 */
export class UsageError extends Error {
  override readonly name: string = 'UsageError';
}

/**
 * What `check` returns; a RangeError of the checks in reference/ (a setting out of range) becomes a usage error.
 * @throws {@link UsageError} with the same message.
 */
export function usage<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(error.message);
    throw error;
  }
}
