/**
 * One running kernel process: started by a shell, asked one thing at a time over its standard input and output, ended with
 * all that it started. Whatever it does, a question has an answer or a {@link KernelCrash} within its time.
 * @module
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import { delimiter } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KernelCrash } from './kernel.ts';
import {
  decodeMessage,
  encodeFrame,
  FrameReader,
  longestMessage,
  printable,
  ProtocolError,
  quoted,
  type Message,
  type SentDtypes,
} from './messages.ts';
import type { FloatFormat } from './number-formats.ts';

export type Received = Message & { readonly dtypes: SentDtypes };

/** Told of what belongs to no message: stray prints on standard output. */
export type OnStray = (text: string, bytes: number) => void;

/** One running process. */
export interface Connection {
  /**
   * @param timeLimit - milliseconds.
   * @param answerLimit - bytes.
   * @throws {@link KernelCrash} if the process dies, hangs, or answers what is no message.
   */
  readonly ask: (
    request: Message,
    format: FloatFormat,
    timeLimit: number,
    answerLimit: number,
  ) => Promise<Received>;
  readonly isClosed: () => boolean;
  /** What it did wrong while nothing was asked of it; told once. */
  readonly leftBehind: () => string | null;
  /** Hangs up, and ends what does not end by itself soon. Resolves when the process has ended. */
  readonly close: () => Promise<void>;
}

/** Characters of standard error that are kept, and lines of them that are shown. */
const keptErrors = 4000;
const shownErrors = 4;
/** Milliseconds for what is still in the pipes of a process that ended. */
const drain = 250;
/** Milliseconds for a process to end after the suite hung up, as profilers and sanitizers need to write their reports. */
const farewell = 2000;
/** Longest delay a timer has. */
const longestDelay = 2 ** 31 - 1;

/** Python finds matryoshka_kernels.py without being told where it is. */
const adapter = fileURLToPath(new URL('./python', import.meta.url));
const env = {
  ...process.env,
  PYTHONPATH: [adapter, process.env['PYTHONPATH'] ?? ''].filter(Boolean).join(delimiter),
};

export function connect(command: string, onStray: OnStray | undefined): Connection {
  // A process group of its own, so that what a shell started ends with it.
  const child = spawn(command, { shell: true, detached: process.platform !== 'win32', env });
  started(child);
  let errors = '';
  let closed = false;
  let left: string | null = null;
  let limit = longestMessage;
  let waiting: { resolve: (bytes: Uint8Array) => void; reject: (error: Error) => void } | null =
    null;
  const reader = new FrameReader(() => limit);
  let ended: () => void;
  const end = new Promise<void>((resolve) => (ended = resolve));

  /** Ends the process, the question asked of it, and all reading from it. */
  const fail = (reason: string): void => {
    if (!closed) {
      const told = [reason, ...lastWords()].join('; ');
      if (waiting === null) left = told;
      else waiting.reject(new KernelCrash(told));
    }
    closed = true;
    waiting = null;
    kill(child);
    // A process that left the group may hold the pipes open: what it writes is nobody's.
    for (const pipe of [child.stdin, child.stdout, child.stderr]) pipe.destroy();
  };
  const lastWords = (): string[] => {
    const words: string[] = [];
    const stray = reader.stray();
    if (stray !== null) {
      words.push(
        `it printed ${stray.bytes} bytes that belong to no message: ${quoted(stray.text, 200)}`,
      );
    }
    const unfinished = reader.unfinished();
    if (unfinished !== null) words.push(`it had sent ${unfinished}`);
    const lines = errors.split(/[\r\n]+/).filter((text) => text.trim() !== '');
    if (lines.length > 0) {
      const shown = lines.slice(-shownErrors).map((text) => printable(text.trim().slice(0, 500)));
      words.push(`its standard error ends: ${shown.join(' | ')}`);
    }
    return words;
  };
  const take = (bytes: Uint8Array): void => {
    if (waiting === null) return fail('sent a message without having been asked');
    const { resolve } = waiting;
    waiting = null;
    resolve(bytes);
  };

  child.stderr.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString('utf8')).slice(-keptErrors);
  });
  child.stdout.on('data', (chunk: Buffer) => {
    if (closed) return;
    try {
      for (const received of reader.push(chunk)) {
        if (received.kind === 'stray') onStray?.(received.text, received.bytes);
        else if (!closed) take(received.bytes);
      }
    } catch (error) {
      fail(error instanceof Error ? error.message : String(error));
    }
  });
  let settling: NodeJS.Timeout | undefined;
  child.stdout.on('end', () => {
    settling = setTimeout(() => fail('closed its standard output, and lived on'), drain);
  });
  for (const pipe of [child.stdin, child.stdout, child.stderr]) {
    pipe.on('error', () => {}); // a process that died is told of by its exit
  }
  child.on('error', (error) => {
    fail(`could not be started: ${error.message}`);
    if (child.pid === undefined) ended();
  });
  child.on('exit', (code, signal) => {
    clearTimeout(settling);
    const settle = (): void => {
      clearTimeout(settling);
      fail(howItEnded(code, signal));
      forget(child);
      ended();
    };
    // A child of its own may hold the pipes open for ever.
    settling = setTimeout(settle, drain);
    child.once('close', settle);
  });

  const bytesOf = (request: Uint8Array, timeLimit: number): Promise<Uint8Array> => {
    let timer: NodeJS.Timeout | undefined;
    return new Promise<Uint8Array>((resolve, reject) => {
      if (closed) return reject(new KernelCrash('is not running'));
      waiting = { resolve, reject };
      const own = waiting;
      // What has arrived meanwhile is read before the time is called up: the suite itself may have been held up.
      const late = (): void => {
        setImmediate(() => {
          if (waiting === own) fail(`gave no answer within ${timeLimit / 1000} s`);
        });
      };
      timer = setTimeout(late, Math.min(timeLimit, longestDelay));
      child.stdin.write(request);
    }).finally(() => clearTimeout(timer));
  };

  return {
    isClosed: () => closed,
    leftBehind: () => {
      const told = left;
      left = null;
      return told;
    },
    ask: async (request, format, timeLimit, answerLimit) => {
      limit = answerLimit;
      const bytes = await bytesOf(encodeFrame(request, format), timeLimit);
      try {
        return decodeMessage(bytes);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        fail(error.message);
        left = null;
        throw new KernelCrash(error.message);
      }
    },
    close: () => {
      if (closed) return end;
      closed = true;
      const stray = reader.stray();
      if (stray !== null) onStray?.(stray.text, stray.bytes);
      child.stdin.end();
      const timer = setTimeout(() => fail('did not end'), farewell);
      return end.finally(() => clearTimeout(timer));
    },
  };
}

function howItEnded(code: number | null, signal: NodeJS.Signals | null): string {
  if (signal !== null) return `was ended by ${signal}`;
  // What a shell makes of a signal that ended its command.
  const number = (code ?? 0) - 128;
  const name = Object.entries(constants.signals).find(([, value]) => value === number)?.[0];
  return `exited with status ${code}${name === undefined ? '' : `, as after ${name}`}`;
}

/** The process and all it started. */
function kill(child: ChildProcess): void {
  if (child.pid === undefined) return;
  if (process.platform === 'win32') {
    if (child.exitCode !== null || child.signalCode !== null) return;
    spawn('taskkill', ['/pid', String(child.pid), '/t', '/f']).on('error', () => child.kill());
    return;
  }
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // Nothing of it is left.
  }
}

/** Processes to end with this one: being groups of their own, they are not told of Ctrl-C by the terminal. */
const running = new Set<ChildProcess>();
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

function started(child: ChildProcess): void {
  if (running.size === 0) {
    process.on('exit', killAll);
    for (const signal of signals) process.on(signal, interrupted);
  }
  running.add(child);
}

function forget(child: ChildProcess): void {
  running.delete(child);
  if (running.size > 0) return;
  process.removeListener('exit', killAll);
  for (const signal of signals) process.removeListener(signal, interrupted);
}

function killAll(): void {
  for (const child of running) kill(child);
}

/** As if nobody listened to the signal; where others do, it is for them to decide what ends. */
function interrupted(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return;
  killAll();
  process.removeListener(signal, interrupted);
  process.kill(process.pid, signal);
}
