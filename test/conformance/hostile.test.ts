/**
 * Kernels that misbehave in every way we could think of: each has a clear outcome, none holds the suite up, and none leaves
 * a process behind.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { openKernelProcess, type KernelProcess } from '../../conformance/kernel-process.ts';
import { KernelCrash, type Call } from '../../conformance/kernel.ts';
import { specs } from '../../conformance/kernels/all.ts';
import { processKernels } from '../../conformance/process-kernels.ts';
import { runLaw, type LawResult } from '../../conformance/run.ts';
import { pythonWith } from './python.ts';

const python = pythonWith();
/** Marks processes of this run. */
const mark = `hostile-${process.pid}-${Date.now()}`;
const folder = fileURLToPath(new URL('hostile', import.meta.url));
const scripted = {
  python: (way: string, marked = mark) =>
    `"${python.path}" -I -S "${folder}/kernel.py" ${way} ${marked}`,
  node: (way: string) => `"${process.execPath}" "${folder}/kernel.mjs" "${way}" ${mark}`,
};

const spec = specs.find(({ name }) => name === 'normalise-rows')!;
const call: Call = {
  config: { epsilon: 1e-6 },
  inputs: { W_dec: { shape: [2, 2], data: Float64Array.of(1, 2, 3, 4) } },
};

const opened: KernelProcess[] = [];
const strays: string[] = [];

async function open(
  command: string,
  timeLimit: number,
  startLimit = 20_000,
): Promise<KernelProcess> {
  const onStray = (text: string): void => void strays.push(text);
  const kernel = await openKernelProcess(command, { timeLimit, startLimit, onStray });
  opened.push(kernel);
  return kernel;
}

function ask(kernel: KernelProcess): ReturnType<KernelProcess['call']> {
  return kernel.call('normalise-rows', call, { W_dec: [2, 2] }, 'float32', NaN);
}

/** What a call came to, as a text that says which kind of failure it was. */
async function outcome(kernel: KernelProcess): Promise<string> {
  try {
    const { tensors, notes } = await ask(kernel);
    return `answered ${tensors['W_dec']?.data.join(' ')}${notes.length > 0 ? `; ${notes.join()}` : ''}`;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return `${error instanceof KernelCrash ? 'crash' : 'refusal'}: ${error.message}`;
  }
}

/** The first law of normalise-rows on a kernel. */
async function lawOn(kernel: KernelProcess): Promise<LawResult> {
  const kernels = processKernels(kernel, 'float32', specs);
  return runLaw(spec, spec.laws[0], kernels, { runs: 3, seed: 1 });
}

function processes(mark: string): string[] {
  // A zombie has lost its arguments, and shows as a child of ours.
  const lines = execFileSync('ps', ['-A', '-o', 'ppid=,stat=,args=']).toString().split('\n');
  const zombie = new RegExp(`^\\s*${process.pid}\\s+Z`);
  return lines.filter((line) => line.includes(mark) || zombie.test(line));
}

/** Processes with this mark that are still there after a while, and zombies of ours. */
async function leftRunning(mark: string): Promise<string[]> {
  let left = processes(mark);
  for (let tries = 0; left.length > 0 && tries < 50; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    left = processes(mark);
  }
  return left;
}

describe.skipIf(process.platform === 'win32')('hostile kernels', () => {
  afterAll(async () => {
    await Promise.all(opened.map((kernel) => kernel.close()));
    expect(await leftRunning(mark)).toEqual([]);
  });

  describe.skipIf(python.path === null)(`in Python ${python.reason}`, () => {
    test.concurrent.each([
      ['hello-exit', 'exited with status 3; its standard error ends: no GPU here'],
      ['hello-signal', /was ended by SIGSEGV|exited with status 139, as after SIGSEGV/],
      ['hello-flood', 'answer: more than 16 MiB that belong to no message, beginning "spam spam'],
      ['hello-no-name', 'hello: name is missing'],
      ['hello-cursor-name', /hello: name: expected one line .* got "\\u\{1b\}\[2Jpass"/],
      ['hello-long-name', /hello: name: .{1,100}, got "n{80}" and 99920 characters more$/],
      ['hello-no-protocol', 'hello: protocol: expected "1", got none'],
      ['hello-other-protocol', 'hello: protocol: expected "1", got "2"'],
      ['hello-no-operators', 'hello: operators is missing'],
      ['hello-empty-operators', /hello: operators: .*got "\[\]"/],
      ['hello-operators-not-json', 'hello: operators: expected JSON, got "normalise-rows"'],
      ['hello-operators-not-texts', /hello: operators: .*got "\[\{"name": 1\}\]"/],
      ['hello-unknown-dtype', /hello: dtypes: .*got "\["float31"\]"/],
      ['hello-truncates-text', 'hello: truncates: expected JSON, got "yes"'],
      ['hello-another-id', 'hello: id: expected "0", got "1"'],
      ['hello-not-texts', 'answer: __metadata__ "id" is not a string'],
      ['hello-ten-gigabytes', 'a message of 10,000,000,000 bytes, expected at most 67,108,864'],
    ])('%s is a usage error that says why', async (way, message) => {
      await expect(open(scripted.python(way), 1000)).rejects.toThrow(message);
      await expect(open(scripted.python(way), 1000)).rejects.toThrow(/^--kernel "/);
    });

    test.concurrent.each([
      ['hello-never', 'gave no answer within 1.5 s'],
      [
        'hello-text',
        'gave no answer within 1.5 s; it printed 22 bytes that belong to no message: "Hello! I am a kernel.\\u{a}"',
      ],
    ])('%s is given up after the time for a start', async (way, message) => {
      await expect(open(scripted.python(way), 1000, 1500)).rejects.toThrow(message);
    });

    test.concurrent.each([
      ['no-such-command', 'exited with status 127'],
      ['true', 'exited with status 0'],
      ['', 'expected a command line'],
      ['echo hello', 'it printed 6 bytes that belong to no message: "hello\\u{a}"'],
      ['x\0y', 'expected a command line'],
    ])('a command that is no kernel, %j, is a usage error', async (command, message) => {
      await expect(open(command, 1000)).rejects.toThrow(message);
    });

    test.concurrent.each([
      ['right', 'answered 1 2 3 4'],
      ['byte-by-byte', 'answered 1 2 3 4'],
      ['floods-stderr', 'answered 1 2 3 4'],
      ['floods-stderr-always', 'answered 1 2 3 4'],
      ['notes', 'answered 1 2 3 4; x: the input was changed'],
      ['refuses', 'refusal: k is odd\\u{1b}[31m\\u{a}really'],
      ['another-id', 'crash: id: expected "1", got "77"'],
      ['no-status', 'crash: status: expected "ok", "refused" or "error", got none'],
      ['another-status', 'crash: status: expected "ok", "refused" or "error", got "fine"'],
      ['notes-not-json', 'crash: notes: expected a JSON list of texts, got "all well"'],
      [
        'nul-name',
        'crash: answer: a tensor named "W_dec\\u{0}.npy", expected at most 200 printable',
      ],
      ['long-name', /^crash: answer: a tensor named "W{80}" and 9920 characters more, .{1,60}$/],
      ['bool-dtype', /^crash: answer: tensor "W_dec": .*F8_E4M3/],
      ['huge-shape', /^crash: answer: tensor "W_dec": data_offsets \[0, 16\] hold 16 bytes/],
      ['negative-shape', 'crash: answer: tensor "W_dec": shape [-1,-1], expected a list of whole'],
      ['empty-message', 'crash: answer: empty file, expected safetensors'],
      ['text-message', 'crash: answer: not safetensors'],
      ['nested-header', 'crash: answer: not safetensors'],
      ['garbage-inside', /^crash: answer: /],
      ['ten-gigabytes', 'crash: answer: a message of 10,000,000,000 bytes, expected at most'],
      ['longest-length', 'crash: answer: a message of 18,446,744,073,709,551,615 bytes, expected'],
      ['signal', /^crash: (was ended by SIGSEGV|exited with status 139, as after SIGSEGV)/],
      ['child-keeps-stdout', 'crash: exited with status 4'],
      ['child-leaves-group', 'crash: exited with status 4'],
      ['half', /^crash: exited with status 0; it had sent 40 of \d+ bytes of a message$/],
    ])('a call of one that is %s: %s', async (way, expected) => {
      const kernel = await open(scripted.python(way), 20_000);
      expect(await outcome(kernel)).toMatch(expected);
    });

    test.concurrent.each([
      ['never', /^crash: gave no answer within 0\.5 s$/],
      [
        'too-slow',
        /^crash: gave no answer within 0\.5 s; it had sent \d+( of \d+)? bytes of a message$/,
      ],
      ['ignores-sigterm', /^crash: gave no answer within 0\.5 s$/],
    ])(
      '%s is ended when its time is up, and started anew for the next call',
      async (way, crash) => {
        const kernel = await open(scripted.python(way), 500);
        expect(await outcome(kernel)).toMatch(crash);
        expect(await outcome(kernel)).toMatch(crash);
      },
    );

    test.concurrent('one that closes its output and lives on crashes at once', async () => {
      // A shell in between would hold the output open, and the time for the call would have to pass.
      const kernel = await open(`exec ${scripted.python('closes-stdout')}`, 20_000);
      expect(await outcome(kernel)).toBe('crash: closed its standard output, and lived on');
    });

    test.concurrent('one that dies at its third call loses that call alone', async () => {
      const kernel = await open(scripted.python('third-call'), 20_000);
      const outcomes: string[] = [];
      for (let i = 0; i < 5; i++) outcomes.push(await outcome(kernel));
      const crash = 'crash: exited with status 7; its standard error ends: three is too many';
      const answer = 'answered 1 2 3 4';
      expect(outcomes).toEqual([answer, answer, crash, answer, answer]);
    });

    test.concurrent('calls at once are asked one after the other', async () => {
      const kernel = await open(scripted.python('right'), 20_000);
      const answers = await Promise.all([1, 2, 3].map(() => outcome(kernel)));
      expect(answers).toEqual(Array(3).fill('answered 1 2 3 4'));
    });

    test.concurrent('one that answers twice crashes at the next call', async () => {
      const kernel = await open(scripted.python('twice'), 20_000);
      expect(await outcome(kernel)).toBe('answered 1 2 3 4');
      expect(await outcome(kernel)).toMatch(
        /^crash: (after its last answer it sent a message without having been asked|id: expected "2", got "1": did it answer twice\?)/,
      );
    });

    test.concurrent('one that dies after its answer crashes at the next call', async () => {
      const kernel = await open(scripted.python('late-death'), 20_000);
      expect(await outcome(kernel)).toBe('answered 1 2 3 4');
      expect(await outcome(kernel)).toMatch(
        /^crash: (after its last answer it )?exited with status 5/,
      );
    });

    test.concurrent('started anew, it may not say another hello', async () => {
      const kernel = await open(scripted.python('hello-each-time-another'), 20_000);
      expect(await outcome(kernel)).toMatch('crash: exited with status 0');
      expect(await outcome(kernel)).toBe(
        'crash: started anew, it said another hello than the first time',
      );
    });

    test('prints before and after answers are passed over and told of', async () => {
      const kernel = await open(scripted.python('garbage'), 20_000);
      expect(await outcome(kernel)).toBe('answered 1 2 3 4');
      expect(await outcome(kernel)).toBe('answered 1 2 3 4');
      expect(strays).toContainEqual(expect.stringMatching(/^epoch 1 ✓\n/));
      expect(strays).toContainEqual(expect.stringMatching(/^after/));
    });

    test('output without end is stopped before it fills the memory', async () => {
      const kernel = await open(scripted.python('floods-stdout'), 20_000);
      const before = process.memoryUsage().rss;
      expect(await outcome(kernel)).toMatch(
        'crash: answer: more than 16 MiB that belong to no message, beginning "spam spam',
      );
      expect(process.memoryUsage().rss - before).toBeLessThan(256 * 2 ** 20);
    });

    test.concurrent.each([
      ['wrong-shape', 'fail', /^W_dec has shape \[\d+\], expected \[\d+, \d+\]$/],
      ['other-dtype', 'fail', 'W_dec has dtype F64, expected F32 (float32)'],
      ['integer-dtype', 'fail', 'W_dec has dtype I32, expected F32 (float32)'],
      ['missing', 'fail', 'returned nothing, expected a tensor W_dec'],
      ['extra', 'fail', 'returned a tensor scratch, expected W_dec and no other'],
      ['path-name', 'fail', 'returned a tensor ../../etc/passwd, expected W_dec and no other'],
      ['proto-name', 'fail', 'returned a tensor __proto__, expected W_dec and no other'],
      ['nan', 'fail', 'returned NaN, expected'],
      ['notes', 'fail', 'x: the input was changed'],
      ['right', 'fail', 'W_dec[0, 0] returned'],
      ['signal', 'crashed', /SIGSEGV/],
      ['refuses', 'crashed', 'k is odd'],
      ['hello-unknown-operator', 'crashed', 'exited with status 0'],
      ['hello-skip', 'skip', undefined],
    ])('a law on one that is %s has the outcome %s', async (way, result, message) => {
      const kernel = await open(scripted.python(way), 20_000);
      const { outcome, failure } = await lawOn(kernel);
      expect(outcome).toBe(result);
      if (message === undefined) expect(failure).toBeUndefined();
      else expect(failure?.message).toMatch(message);
    });

    test('a reason to skip is told, and no operator is then offered', async () => {
      const { hello } = await open(scripted.python('hello-skip'), 1000);
      expect(hello).toMatchObject({ skip: 'no CUDA device', operators: [] });
    });

    test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
      '%s to the suite ends the kernel it is waiting for, too',
      async (signal) => {
        const module = new URL('../../conformance/kernel-process.ts', import.meta.url).href;
        const program = `
          import { openKernelProcess } from ${JSON.stringify(module)};
          const options = { timeLimit: 60_000, startLimit: 60_000 };
          const kernel = await openKernelProcess(process.argv[1], options);
          const call = ${JSON.stringify({ config: {}, inputs: {} })};
          kernel.call('normalise-rows', call, {}, 'float32', 0).catch(() => {});
          setTimeout(() => console.log('asked'), 100);`;
        const script = ['--import', 'tsx', '--input-type=module', '-e', program];
        const command = scripted.python('ignores-sigterm', `${signal}-${mark}`);
        const suite = spawn(process.execPath, [...script, command], {
          stdio: ['ignore', 'pipe', 2],
        });
        await once(suite.stdout!, 'data');
        suite.kill(signal);
        expect(await once(suite, 'exit')).toEqual([null, signal]);
        expect(await leftRunning(`${signal}-${mark}`)).toEqual([]);
      },
    );
  });

  describe('in JavaScript', () => {
    test.concurrent.each([
      ['right', /^answered 1 2 3 4$/],
      ['throws', /^crash: exited with status 1; its standard error ends: .*\| Node\.js v/],
      ['exits', /^crash: exited with status 9$/],
      ['console.log', /^answered 1 2 3 4$/],
      ['hangs up', /^crash: exited with status 0$/],
    ])('a call of one that %s', async (way, expected) => {
      const kernel = await open(scripted.node(way), 20_000);
      expect(await outcome(kernel)).toMatch(expected);
    });

    test.concurrent('one that never returns is ended when its time is up', async () => {
      const kernel = await open(scripted.node('spins'), 500);
      expect(await outcome(kernel)).toBe('crash: gave no answer within 0.5 s');
    });
  });
});
