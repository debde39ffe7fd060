/**
 * A kernel in another process, of any language: started by a command, asked what it offers, and called over its standard
 * input and output. A process that dies, hangs or talks nonsense is a crash of the call at hand, never of the suite; the
 * next call starts it anew.
 * @module
 */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { z } from 'zod';
import { version } from '../reference/version.ts';
import { UsageError } from '../training/usage-error.ts';
import { KernelCrash, type Call, type Tensors } from './kernel.ts';
import {
  decodeMessage,
  encodeFrame,
  FrameReader,
  longestMessage,
  protocolVersion,
  ProtocolError,
  type Message,
  type SentDtypes,
} from './messages.ts';
import type { FloatFormat } from './number-formats.ts';

const formats = ['float64', 'float32', 'tf32', 'bfloat16', 'float16'] as const;

/** JSON inside a metadata text. */
function json<T extends z.ZodType>(schema: T): z.ZodType<z.infer<T>> {
  return z
    .string()
    .transform((text, context): unknown => {
      try {
        return JSON.parse(text);
      } catch {
        context.addIssue({ code: 'custom', message: `expected JSON, got ${JSON.stringify(text)}` });
        return z.NEVER;
      }
    })
    .pipe(schema);
}

const helloSchema: z.ZodType<Hello> = z.object({
  protocol: z.string(),
  name: z.string().min(1),
  device: z.string().default('not said'),
  operators: json(z.array(z.string()).min(1)),
  dtypes: json(z.array(z.enum(formats)).min(1)),
  dialects: json(z.array(z.string()).min(1)).default(['dictionary_learning']),
  flushes_subnormals: json(z.boolean()).default(false),
  split_encode: json(z.boolean()).default(false),
  truncates: json(z.boolean()).default(false),
  deterministic: json(z.boolean()).default(true),
});

/** What a kernel says of itself. */
export interface Hello {
  readonly protocol: string;
  readonly name: string;
  readonly device: string;
  readonly operators: readonly string[];
  readonly dtypes: readonly FloatFormat[];
  readonly dialects: readonly string[];
  readonly flushes_subnormals: boolean;
  readonly split_encode: boolean;
  /** Sums are cut off rather than rounded to nearest. */
  readonly truncates: boolean;
  /** The same call always has the same bits. */
  readonly deterministic: boolean;
}

/** An answer to one call. */
export interface Answer {
  readonly tensors: Tensors;
  readonly dtypes: SentDtypes;
  /** What the kernel's side noticed: outputs written past their end, inputs changed. */
  readonly notes: readonly string[];
}

export interface KernelProcessOptions {
  /** Milliseconds for one call. */
  readonly timeLimit: number;
  /** Milliseconds until the first hello is answered. */
  readonly startLimit: number;
  /** Told of everything that belongs to no message: stray prints on standard output. */
  readonly onStray?: (text: string, bytes: number) => void;
}

export interface KernelProcess {
  readonly command: string;
  readonly hello: Hello;
  /**
   * @param call - its tensors are sent in `format`.
   * @param fill - what buffers for outputs hold before the call.
   * @throws {@link KernelCrash} if the process dies, hangs, or answers what is no answer.
   * @throws Error if the kernel refuses the call, with its reason.
   */
  readonly call: (
    operator: string,
    call: Call,
    outputs: Readonly<Record<string, readonly number[]>>,
    format: FloatFormat,
    fill: number,
  ) => Promise<Answer>;
  readonly close: () => void;
}

/**
 * @param command - a shell command line.
 * @throws {@link UsageError} if it cannot be started or does not say hello as it should.
 */
export async function openKernelProcess(
  command: string,
  options: KernelProcessOptions,
): Promise<KernelProcess> {
  let connection = connect(command, options);
  let hello: Hello;
  try {
    hello = await greet(connection, options);
  } catch (error) {
    connection.close();
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(`--kernel ${JSON.stringify(command)}: ${reason}`);
  }
  let calls = 0;
  return {
    command,
    hello,
    call: async (operator, call, outputs, format, fill) => {
      if (connection.isClosed()) {
        const left = connection.leftBehind();
        if (left !== null) throw new KernelCrash(`after its last answer it ${left}`);
        connection = connect(command, options);
        await greet(connection, options);
      }
      const id = String(++calls);
      const request: Message = {
        metadata: {
          operator,
          id,
          dtype: format,
          config: JSON.stringify(call.config),
          outputs: JSON.stringify(outputs),
          fill: String(fill),
        },
        tensors: call.inputs,
      };
      const sizes = Object.values(outputs).map((shape) => shape.reduce((a, b) => a * b, 1));
      const limit = longestMessage + 8 * sizes.reduce((a, b) => a + b, 0);
      const answer = await connection.ask(request, format, options.timeLimit, limit);
      return taken(answer, id, connection);
    },
    close: () => connection.close(),
  };
}

/** Checks what came back and what it is an answer to. */
function taken(
  answer: Message & { readonly dtypes: SentDtypes },
  id: string,
  connection: Connection,
): Answer {
  const { metadata, tensors, dtypes } = answer;
  if (metadata['id'] !== id) {
    connection.close();
    throw new KernelCrash(
      `answered call ${metadata['id'] ?? 'without id'}, expected ${id}: did it answer twice?`,
    );
  }
  if (metadata['status'] === 'refused' || metadata['status'] === 'error') {
    throw new Error(metadata['message'] ?? 'refused without a reason');
  }
  if (metadata['status'] !== 'ok') {
    throw new KernelCrash(
      `answered status ${JSON.stringify(metadata['status'])}, expected "ok", "refused" or "error"`,
    );
  }
  const notes = z.array(z.string()).safeParse(parsed(metadata['notes'] ?? '[]'));
  return { tensors, dtypes, notes: notes.success ? notes.data : ['notes: expected a JSON list'] };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

async function greet(connection: Connection, options: KernelProcessOptions): Promise<Hello> {
  const request: Message = {
    metadata: { operator: 'hello', id: '0', protocol: String(protocolVersion), suite: version },
    tensors: {},
  };
  const { metadata } = await connection.ask(request, 'float64', options.startLimit, longestMessage);
  const said = helloSchema.safeParse(metadata);
  if (!said.success) {
    const [{ path, message }] = said.error.issues;
    throw new Error(`hello: ${path.join('.')}: ${message}`);
  }
  if (said.data.protocol !== String(protocolVersion)) {
    throw new Error(`hello: it speaks protocol ${said.data.protocol}, expected ${protocolVersion}`);
  }
  return said.data;
}

/** One running process. Asks one thing at a time. */
interface Connection {
  readonly ask: (
    request: Message,
    format: FloatFormat,
    timeLimit: number,
    answerLimit: number,
  ) => Promise<Message & { readonly dtypes: SentDtypes }>;
  readonly isClosed: () => boolean;
  /** What it did wrong while nothing was asked of it; told once. */
  readonly leftBehind: () => string | null;
  readonly close: () => void;
}

const keptErrors = 2000;

function connect(command: string, options: KernelProcessOptions): Connection {
  // A process group of its own, so that what a shell started ends with it.
  const child = spawn(command, { shell: true, detached: process.platform !== 'win32' });
  let errors = '';
  let closed = false;
  let left: string | null = null;
  let limit = longestMessage;
  let waiting: { resolve: (bytes: Uint8Array) => void; reject: (error: Error) => void } | null =
    null;
  const reader = new FrameReader(() => limit);

  const fail = (reason: string): void => {
    const asked = waiting;
    waiting = null;
    if (closed && asked === null) return;
    end();
    const told = errors.trim();
    const message = told === '' ? reason : `${reason}; its standard error ends: ${told}`;
    if (asked === null) left = message;
    else asked.reject(new KernelCrash(message));
  };
  const end = (): void => {
    if (closed) return;
    closed = true;
    kill(child);
  };

  child.stderr.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString('utf8')).slice(-keptErrors);
  });
  child.stdout.on('data', (chunk: Buffer) => {
    if (closed) return;
    try {
      for (const received of reader.push(chunk)) {
        if (received.kind === 'stray') options.onStray?.(received.text, received.bytes);
        else if (waiting === null) fail('sent a message without having been asked');
        else {
          const asked = waiting;
          waiting = null;
          asked.resolve(received.bytes);
        }
      }
    } catch (error) {
      fail(error instanceof Error ? error.message : String(error));
    }
  });
  child.on('error', (error) => fail(`could not be started: ${error.message}`));
  child.stdin.on('error', () => {}); // a process that died is told of by its exit
  child.on('close', (code, signal) => {
    for (const stray of reader.strays()) {
      if (stray.kind === 'stray') options.onStray?.(stray.text, stray.bytes);
    }
    fail(signal === null ? `exited with status ${code}` : `was ended by ${signal}`);
  });

  return {
    isClosed: () => closed,
    leftBehind: () => {
      const told = left;
      left = null;
      return told;
    },
    close: end,
    ask: async (request, format, timeLimit, answerLimit) => {
      limit = answerLimit;
      let timer: NodeJS.Timeout | undefined;
      const bytes = await new Promise<Uint8Array>((resolve, reject) => {
        if (closed) {
          reject(new KernelCrash('is not running'));
          return;
        }
        waiting = { resolve, reject };
        timer = setTimeout(() => fail(`gave no answer within ${timeLimit / 1000} s`), timeLimit);
        child.stdin.write(encodeFrame(request, format));
      }).finally(() => clearTimeout(timer));
      try {
        return decodeMessage(bytes);
      } catch (error) {
        end();
        if (error instanceof ProtocolError) throw new KernelCrash(error.message);
        throw error;
      }
    },
  };
}

/** The process and all it started. */
function kill(child: ChildProcessWithoutNullStreams): void {
  if (child.pid === undefined) return;
  try {
    if (process.platform === 'win32') child.kill('SIGKILL');
    else process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It had ended already.
  }
}
