/**
 * Runs the command line in a process of its own, as a user does.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';

const entry = ['--import', 'tsx', resolve('cli.ts')];

export interface Finished {
  /** Exit status; null if a signal ended it. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts `matryoshka` with these arguments. @param limit - of any file it writes, in KiB (`ulimit -f`). */
export function start(
  args: readonly string[],
  limit?: number,
): { child: ChildProcess; finished: Promise<Finished> } {
  const command = [process.execPath, ...entry, ...args];
  const env = { ...process.env, NO_COLOR: '1', ...(limit && { TSX_DISABLE_CACHE: '1' }) };
  const child =
    limit === undefined
      ? spawn(command[0], command.slice(1), { env })
      : spawn('bash', ['-c', `ulimit -f ${limit}; exec "$@"`, 'bash', ...command], { env });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => (stdout += String(chunk)));
  child.stderr.on('data', (chunk) => (stderr += String(chunk)));
  const finished = once(child, 'close').then(([status]) => ({
    status: status as number | null,
    stdout,
    stderr,
  }));
  return { child, finished };
}

export const run = (args: readonly string[], limit?: number): Promise<Finished> =>
  start(args, limit).finished;
