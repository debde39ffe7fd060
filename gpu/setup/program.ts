/**
 * Other programs: run to their end, with all that they print.
 * @module
 */
import { spawn } from 'node:child_process';

export interface Ended {
  /** Exit status; null if the program is absent or a signal ended it. */
  readonly status: number | null;
  readonly absent: boolean;
  /** Standard output and standard error, in the order they came. */
  readonly output: string;
}

/**
 * Never throws for what the program does.
 * @param env - variables beside this process's own.
 */
export function runProgram(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const child = spawn(program, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  return new Promise((resolve) => {
    child.once('error', () => resolve({ status: null, absent: true, output }));
    child.once('close', (status) => resolve({ status, absent: false, output }));
  });
}

/** Causes that pip and npm mention on the way, and leave out of their last line. */
const cause =
  /no space left on device|disk quota exceeded|connection refused|name or service not known|temporary failure in name resolution|network is unreachable|timed out|certificate_verify_failed|proxyerror|\bECONN\w+|\bENOTFOUND|\bETIMEDOUT|\bEAI_AGAIN/i;

/** What a program complained of: its cause if it is a known one, else the last line that names an error, else the last. */
export function complaint({ absent, output }: Ended): string {
  if (absent) return 'it is not installed';
  const known = cause.exec(output)?.[0];
  if (known !== undefined) return known.toLowerCase().replaceAll('_', ' ');
  const lines = output.split('\n').map((line) => line.trim());
  const npm = lines.filter((line) => /^npm (error|ERR!) \S/.test(line));
  if (npm.length > 0) {
    return npm
      .map((line) => line.replace(/^npm (error|ERR!) /, ''))
      .slice(0, 2)
      .join(': ');
  }
  const told = lines.filter((line) => line !== '' && !/^(npm )?(notice|warn)/i.test(line));
  const named = told.filter((line) => /\berror\b/i.test(line));
  return (named.at(-1) ?? told.at(-1) ?? 'it said nothing').slice(0, 300);
}
