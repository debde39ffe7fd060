/**
 * One side of a benchmark: a process that trains, asked one thing after the other. Whatever goes wrong with it becomes
 * one line that says which side it was.
 * @module
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { replies, type ReplyTo, type Request } from './messages.ts';

/** A side that died, hung, refused, or answered what is no answer. */
export class SideFailure extends Error {
  override readonly name: string = 'SideFailure';
}

export interface Side {
  readonly name: string;
  /** @throws {@link SideFailure}; the signal's reason if that aborted. */
  ask<R extends Request>(request: R): Promise<ReplyTo<R>>;
  /** Ends the process, whatever it is doing; resolves when it is gone. */
  close(): Promise<void>;
}

export interface SideOptions {
  /** For people. */
  readonly name: string;
  /** Program and arguments. */
  readonly command: readonly string[];
  /** Threads that its libraries may use. */
  readonly threads: number;
  /** Milliseconds until an answer must have come. */
  readonly limit: number;
  readonly signal?: AbortSignal;
}

/** Longest answer and longest last words that are kept, in characters. */
const LONGEST_ANSWER = 2 ** 24;
const LAST_WORDS = 2000;
/** Shown of what was no answer. */
const SHOWN = 120;

/** Starts the process; it is asked nothing yet, so that one that does not start fails at the first question. */
export function openSide({ name, command, threads, limit, signal }: SideOptions): Side {
  const child = spawn(command[0], command.slice(1), {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...threadLimits(threads) },
  });
  let lastWords = '';
  child.stderr.on('data', (chunk) => (lastWords = (lastWords + String(chunk)).slice(-LAST_WORDS)));
  child.stdin.on('error', () => undefined); // a process that is gone is told by its 'close'
  let waiting: { resolve(line: string): void; reject(error: Error): void } | undefined;
  let gone: Error | undefined;

  const fail = (reason: string): void => {
    gone ??= new SideFailure(`${name}: ${reason}`);
    waiting?.reject(gone);
    child.kill('SIGKILL');
  };
  const closed = new Promise<void>((resolve) => {
    child.on('error', (error) => {
      fail(`could not be started: ${error.message}`);
      resolve();
    });
    child.on('close', (status, killer) => {
      const how = killer === null ? `with status ${status}` : `by ${killer}`;
      fail(`ended ${how}${lastLine(lastWords)}`);
      resolve();
    });
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line.length > LONGEST_ANSWER) fail(`answered ${line.length} characters in a line`);
    else if (waiting === undefined) fail(`said ${shown(line)} without being asked`);
    else waiting.resolve(line);
  });

  return {
    name,
    async ask<R extends Request>(request: R): Promise<ReplyTo<R>> {
      signal?.throwIfAborted();
      if (gone !== undefined) throw gone;
      const line = await new Promise<string>((resolve, reject) => {
        const timer = setTimeout(
          () => fail(`${request.op}: no answer within ${limit / 1000} s`),
          limit,
        );
        const abort = (): void => waiting?.reject(signal?.reason as Error);
        const settled = (): void => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', abort);
          waiting = undefined;
        };
        waiting = {
          resolve: (line) => (settled(), resolve(line)),
          reject: (error) => (settled(), reject(error)),
        };
        signal?.addEventListener('abort', abort);
        child.stdin.write(`${JSON.stringify(request)}\n`);
      });
      return answerTo(name, request, line);
    },
    async close() {
      child.stdin.end();
      child.kill('SIGKILL');
      await closed;
    },
  };
}

/** @throws {@link SideFailure} unless the line is the answer. */
function answerTo<R extends Request>(name: string, request: R, line: string): ReplyTo<R> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new SideFailure(`${name}: ${request.op}: expected a line of JSON, got ${shown(line)}`);
  }
  if (typeof value === 'object' && value !== null && 'error' in value) {
    throw new SideFailure(`${name}: ${request.op}: ${firstLineOf(String(value.error))}`);
  }
  const parsed = replies[request.op as R['op']].safeParse(value);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0];
    throw new SideFailure(
      `${name}: ${request.op}: ${path.join('.') || 'answer'}: ${message}, got ${shown(line)}`,
    );
  }
  return parsed.data as ReplyTo<R>;
}

/** OpenMP's and MKL's, which torch uses, and TensorFlow's. */
function threadLimits(threads: number): Record<string, string> {
  const names = ['OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'TF_NUM_INTRAOP_THREADS'];
  return Object.fromEntries(names.map((name) => [name, String(threads)]));
}

function lastLine(text: string): string {
  const line = text.trimEnd().split('\n').at(-1)?.trim() ?? '';
  return line === '' ? '' : `: ${line}`;
}

function firstLineOf(text: string): string {
  return text.trim().split('\n')[0];
}

function shown(line: string): string {
  return JSON.stringify(line.length > SHOWN ? `${line.slice(0, SHOWN)}…` : line);
}

/** How to start one of this folder's own processes: with the loader for TypeScript where this file is not compiled. */
export function ownProcess(file: string, ...args: readonly string[]): string[] {
  const sources = import.meta.url.endsWith('.ts');
  const path = fileURLToPath(new URL(`${file}.${sources ? 'ts' : 'js'}`, import.meta.url));
  const loader = sources ? ['--import', import.meta.resolve('tsx')] : [];
  return [process.execPath, ...loader, path, ...args];
}
