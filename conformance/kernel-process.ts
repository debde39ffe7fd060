/**
 * A kernel in another process, of any language: started by a command, asked what it offers, and called over its standard
 * input and output. A process that dies, hangs or talks nonsense is a crash of the call at hand, never of the suite; the
 * next call starts it anew.
 * @module
 */
import { z } from 'zod';
import { version } from '../reference/version.ts';
import { UsageError } from '../training/usage-error.ts';
import { connect, type Connection, type OnStray, type Received } from './kernel-connection.ts';
import { parseHello, type Hello } from './kernel-hello.ts';
import { KernelCrash, type Call, type Tensors } from './kernel.ts';
import {
  longestMessage,
  printable,
  protocolVersion,
  quoted,
  type Message,
  type SentDtypes,
} from './messages.ts';
import type { FloatFormat } from './number-formats.ts';

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
  /** Milliseconds until hello is answered. */
  readonly startLimit: number;
  readonly onStray?: OnStray;
}

export interface KernelProcess {
  readonly command: string;
  readonly hello: Hello;
  /**
   * One call after the other, in the order asked.
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
  /** Resolves when the process has ended. */
  readonly close: () => Promise<void>;
}

/** Characters shown of a kernel's reason to refuse. */
const longestReason = 2000;

/**
 * @param command - a shell command line.
 * @throws {@link UsageError} if it cannot be started or does not say hello as it should.
 */
export async function openKernelProcess(
  command: string,
  options: KernelProcessOptions,
): Promise<KernelProcess> {
  const where = `--kernel ${JSON.stringify(command)}`;
  if (command.trim() === '' || command.includes('\0')) {
    throw new UsageError(`${where}: expected a command line`);
  }
  let connection = connect(command, options.onStray);
  let hello: Hello;
  try {
    hello = await greet(connection, options);
  } catch (error) {
    if (!(error instanceof KernelCrash)) throw error;
    throw new UsageError(`${where}: ${error.message}`);
  }
  let calls = 0;
  let before: Promise<unknown> = Promise.resolve();

  /** The process, anew if it is not running. */
  const live = async (): Promise<Connection> => {
    if (!connection.isClosed()) return connection;
    const left = connection.leftBehind();
    if (left !== null) throw new KernelCrash(`after its last answer it ${left}`);
    connection = connect(command, options.onStray);
    const again = await greet(connection, options);
    if (JSON.stringify(again) !== JSON.stringify(hello)) {
      void connection.close();
      throw new KernelCrash('started anew, it said another hello than the first time');
    }
    return connection;
  };

  const ask: KernelProcess['call'] = async (operator, call, outputs, format, fill) => {
    const connection = await live();
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
    return answerTo(
      id,
      await connection.ask(request, format, options.timeLimit, limit),
      connection,
    );
  };

  return {
    command,
    hello,
    call: (...call) => {
      const answer = before.then(() => ask(...call));
      before = answer.catch(() => {});
      return answer;
    },
    close: () => connection.close(),
  };
}

/** Checks what came back and what it is an answer to. */
function answerTo(id: string, answer: Received, connection: Connection): Answer {
  const { metadata, tensors, dtypes } = answer;
  const crash = (reason: string): KernelCrash => {
    void connection.close();
    return new KernelCrash(reason);
  };
  if (metadata['id'] !== id) throw crash(anotherId(metadata['id'], id));
  switch (metadata['status']) {
    case 'ok': {
      const notes = notesSchema.safeParse(parsed(metadata['notes'] ?? '[]'));
      if (!notes.success) {
        throw crash(`notes: expected a JSON list of texts, got ${shown(metadata['notes'])}`);
      }
      return { tensors, dtypes, notes: notes.data.map(printable) };
    }
    case 'refused':
    case 'error': {
      const reason = metadata['message'] ?? 'refused without a reason';
      throw new Error(printable(reason.slice(0, longestReason)));
    }
    default:
      throw crash(`status: expected "ok", "refused" or "error", got ${shown(metadata['status'])}`);
  }
}

const notesSchema: z.ZodType<string[]> = z.array(z.string());

function anotherId(got: string | undefined, expected: string): string {
  return `id: expected "${expected}", got ${shown(got)}: did it answer twice?`;
}

function shown(text: string | undefined): string {
  return text === undefined ? 'none' : quoted(text);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** @throws {@link KernelCrash} if what comes is no hello; the connection is closed then. */
async function greet(connection: Connection, options: KernelProcessOptions): Promise<Hello> {
  const request: Message = {
    metadata: { operator: 'hello', id: '0', protocol: String(protocolVersion), suite: version },
    tensors: {},
  };
  const { metadata } = await connection.ask(request, 'float64', options.startLimit, longestMessage);
  try {
    const hello = parseHello(metadata);
    if (metadata['id'] !== '0') throw new Error(`hello: ${anotherId(metadata['id'], '0')}`);
    return hello;
  } catch (error) {
    await connection.close();
    throw new KernelCrash(error instanceof Error ? error.message : String(error));
  }
}
