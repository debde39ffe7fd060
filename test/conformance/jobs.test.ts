/** Shards as jobs: the scripts do what they say, with whatever they are given; and a real Slurm, where there is one. */
import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { readCertificate } from '../../conformance/records/certificate-file.ts';
import { jobs, matryoshkaIn, program, quoted, run, task } from './slurm/task.ts';

const folder = mkdtempSync(join(tmpdir(), 'matryoshka-jobs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const matryoshka = matryoshkaIn(folder);
const slurmTest = fileURLToPath(new URL('./slurm/run.sh', import.meta.url));
/** What a careless script would run, split, or take for an option. */
const awkward = '-it\'s "a"; $(touch pwned) `touch pwned` * folder';
const json = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'));
const digest = (path: string): string => (json(path) as { digest: string }).digest;

let folders = 0;
/** A new folder to work in. */
function place(name = 'work'): string {
  const path = join(folder, `${++folders}`, name);
  mkdirSync(path, { recursive: true });
  return path;
}

test.each([join(jobs, 'slurm-array.sh'), join(jobs, 'slurm-merge.sh'), slurmTest])(
  '%s is whole shell',
  async (path) => {
    expect(await run(['bash', '-n', path], folder)).toMatchObject({ code: 0, stderr: '' });
  },
);

describe('a task refuses what it cannot run as one part of one run, and writes nothing', () => {
  const seed = { MATRYOSHKA_SEED: '7' };
  const array = (first: string, last: string, id = first): Record<string, string> => ({
    ...seed,
    SLURM_ARRAY_TASK_ID: id,
    SLURM_ARRAY_TASK_MIN: first,
    SLURM_ARRAY_TASK_MAX: last,
  });
  test.each<[string, Record<string, string>, string[], RegExp]>([
    ['no seed', {}, [], /MATRYOSHKA_SEED: missing; set one for all tasks/],
    ['an empty seed', { MATRYOSHKA_SEED: '' }, [], /MATRYOSHKA_SEED: missing/],
    ['a seed that is code', { MATRYOSHKA_SEED: 'a[$(touch pwned)]' }, [], /got "a\[\$\(touch/],
    ['a negative seed', { MATRYOSHKA_SEED: '-1' }, [], /MATRYOSHKA_SEED: expected a whole number/],
    ['an octal seed', { MATRYOSHKA_SEED: '08' }, [], /MATRYOSHKA_SEED.*got "08"/],
    ['no runs', { ...seed, MATRYOSHKA_RUNS: '0' }, [], /MATRYOSHKA_RUNS.*>= 1, got "0"/],
    ['many restarts', { ...seed, MATRYOSHKA_RESTARTS: 'many' }, [], /MATRYOSHKA_RESTARTS.*"many"/],
    ['0 shards', { ...seed, MATRYOSHKA_SHARDS: '0' }, [], /MATRYOSHKA_SHARDS.*got "0"/],
    ['any backend', { ...seed, MATRYOSHKA_BACKEND: 'auto' }, [], /auto may take another/],
    [
      'a backend and a kernel',
      { ...seed, MATRYOSHKA_BACKEND: 'cpu', MATRYOSHKA_KERNEL: 'x' },
      [],
      /expected one of them/,
    ],
    ['its own shard', seed, ['--shard', '1/2'], /--shard: expected --only, --dtype/],
    ['another seed', seed, ['--seed=8'], /--seed=8: expected --only/],
    ['a file of all tasks', seed, ['--html', 'page.html'], /--html: expected --only/],
    ['an option without its value', seed, ['--only'], /--only: expected a value/],
    ['no array', { ...seed, SLURM_ARRAY_TASK_ID: '' }, [], /no task of an array/],
    ['an array from 0', array('0', '6'), [], /expected 1-n, got 7 tasks from 0 to 6/],
    ['an array with gaps', array('1', '13'), [], /expected 1-n, got 7 tasks from 1 to 13/],
    ['an array with a 0 and a gap', array('0', '7', '3'), [], /got 7 tasks from 0 to 7/],
    [
      'a shard there is not',
      { ...array('9', '9'), MATRYOSHKA_SHARDS: '7' },
      [],
      /expected tasks of 1 to 7, got 9/,
    ],
    [
      'no program',
      { ...seed, MATRYOSHKA_COMMAND: '/nowhere/matryoshka' },
      [],
      /MATRYOSHKA_COMMAND: \/nowhere\/matryoshka: no program/,
    ],
  ])('%s', async (_name, variables, args, message) => {
    const cwd = place();
    const stub = program(join(folder, 'never'), 'touch pwned');
    const ended = await task(3, 7, cwd, { MATRYOSHKA_COMMAND: stub, ...variables }, ...args);
    expect(ended.stderr).toMatch(message);
    expect(ended.stderr.trim().split('\n')).toHaveLength(1);
    expect(ended.code).toBe(2);
    expect(readdirSync(cwd)).toEqual([]);
  });
});

test('a backend there is not is refused by the program, and is no success', async () => {
  const set = { MATRYOSHKA_SEED: '7', MATRYOSHKA_COMMAND: matryoshka };
  const ended = await task(3, 7, place(), { ...set, MATRYOSHKA_BACKEND: 'cuda' });
  expect(ended.stderr).toMatch(/error: .*backend.*"cuda"/);
  expect(ended.code).toBe(2);
});

describe('what a task makes of how its program ended', () => {
  /** A program that leaves a certificate, or none, and ends; and an scontrol that ends who called it, as Slurm does. */
  async function after(
    end: string,
    variables: Record<string, string> = {},
  ): Promise<{ code: number | null; requeued: string | null; cwd: string }> {
    const cwd = place();
    const bin = place('bin');
    const certificate = 'conformance-100/shard-3-of-7/certificate.json';
    const stub = program(join(bin, 'matryoshka'), `certificate=${certificate}`, end);
    program(join(bin, 'scontrol'), `echo "$*" >> ${quoted(join(bin, 'asked'))}`, 'kill $PPID');
    const set = { MATRYOSHKA_SEED: '7', MATRYOSHKA_COMMAND: stub, PATH: bin, ...variables };
    const { code } = await task(3, 7, cwd, set);
    const asked = join(bin, 'asked');
    return { code, requeued: existsSync(asked) ? readFileSync(asked, 'utf8').trim() : null, cwd };
  }
  const killed = 'kill -KILL $$';

  test.each([0, 1, 137])('a certificate is success, whatever the status: %d', async (status) => {
    expect(await after(`echo > $certificate; exit ${status}`)).toMatchObject({
      code: 0,
      requeued: null,
    });
  });

  test.each([
    [0, 1],
    [1, 1],
    [2, 2],
    [143, 143],
  ])('without one, status %d is %d and stays so', async (status, code) => {
    expect(await after(`exit ${status}`)).toMatchObject({ code, requeued: null });
  });

  test('a program that is killed puts its task back into the queue, as often as it may', async () => {
    expect((await after(killed)).requeued).toBe('requeue 103');
    const once = { MATRYOSHKA_RESTARTS: '1' };
    expect((await after(killed, once)).requeued).toBe('requeue 103');
    const again = await after(killed, { ...once, SLURM_RESTART_COUNT: '1' });
    expect(again).toMatchObject({ code: 137, requeued: null });
  });

  test('a task that is done ends at once; another run’s certificate is never taken for its own', async () => {
    const { cwd } = await after('echo first > $certificate');
    const certificate = join(cwd, 'conformance-100', 'shard-3-of-7', 'certificate.json');
    const set = { MATRYOSHKA_SEED: '7', MATRYOSHKA_OUT: 'conformance-100' };
    const never = { ...set, MATRYOSHKA_COMMAND: program(join(folder, 'never'), 'exit 9') };

    const same = await task(3, 7, cwd, never);
    expect(same).toMatchObject({ code: 0, stderr: '' });
    expect(same.stdout).toMatch(/^shard 3 of 7: has its certificate already/);

    const other = await task(3, 7, cwd, { ...never, SLURM_ARRAY_JOB_ID: '200' });
    expect(other.code).toBe(2);
    expect(other.stderr).toMatch(
      /conformance-100 holds the shards of array job 100: choose another/,
    );
    expect(readFileSync(certificate, 'utf8')).toBe('first\n');

    // Asked for by name, a shard is run again, and its old certificate is gone even if that fails.
    const again = { ...never, SLURM_ARRAY_JOB_ID: '200', MATRYOSHKA_SHARDS: '7' };
    expect((await task(3, 7, cwd, again)).code).toBe(9);
    expect(existsSync(certificate)).toBe(false);
  });
});

test('names and options reach the program as they are: none is split, expanded or run', async () => {
  const cwd = place(awkward);
  const stub = program(join(place(awkward), 'matryoshka'), 'printf "%s\\0" "$@" > arguments');
  const set = {
    MATRYOSHKA_SEED: '7',
    MATRYOSHKA_COMMAND: stub,
    MATRYOSHKA_OUT: awkward,
    MATRYOSHKA_KERNEL: awkward,
  };
  const narrowed = ['--only', 'auxk: alpha scales', '--only', awkward, `--skips=${awkward}`];
  await task(3, 7, cwd, set, ...narrowed);
  expect(readFileSync(join(cwd, 'arguments'), 'utf8').split('\0')).toEqual([
    'conformance',
    `--kernel=${awkward}`,
    '--only=auxk: alpha scales',
    `--only=${awkward}`,
    `--skips=${awkward}`,
    '--runs=200',
    '--seed=7',
    '--shard=3/7',
    `--json=${awkward}/shard-3-of-7/certificate.json`,
    '',
  ]);
  expect(readdirSync(cwd).sort()).toEqual([awkward, 'arguments'].sort());
});

describe('from a folder with an awkward name, three tasks and the merge say what one run says', () => {
  const hostile = fileURLToPath(new URL('./hostile/kernel.mjs', import.meta.url));
  // It answers with what it was given: normalised rows it does not return.
  const wrong = `${quoted(process.execPath)} ${quoted(hostile)} right`;
  test.each<[string, Record<string, string>, string[], number]>([
    ['green', { MATRYOSHKA_BACKEND: 'reference' }, ['--only', 'encode', '--only', 'auxk'], 0],
    ['red', { MATRYOSHKA_KERNEL: wrong }, ['--only', 'normalise-rows'], 1],
  ])(
    '%s',
    async (_name, under, only, verdict) => {
      const cwd = place(awkward);
      const set = {
        ...under,
        MATRYOSHKA_SEED: '7',
        MATRYOSHKA_RUNS: '20',
        MATRYOSHKA_OUT: awkward,
        MATRYOSHKA_COMMAND: matryoshka,
      };
      const merge = ['bash', join(jobs, 'slurm-merge.sh'), awkward];
      expect((await run(merge, cwd, set)).stderr).toMatch(/no certificate of a shard in it/);
      for (const part of [1, 2, 3]) {
        // A shard that is missing is told of, and no certificate stands for the whole meanwhile.
        const early = await run(merge, cwd, set);
        expect(early.code).toBe(2);
        if (part > 1) expect(early.stderr).toMatch(new RegExp(`shard ${part}.* of 3 missing`));
        const ended = await task(part, 3, cwd, set, ...only);
        expect(ended.code, ended.stderr).toBe(0);
      }
      const merged = await run(merge, cwd, set);
      expect(merged.code, merged.stderr).toBe(verdict);
      expect(merged.stdout).toMatch(verdict === 0 ? /^PASS/ : /^FAIL/);

      const options = Object.entries(under).map(
        ([name, value]) => `--${name.slice('MATRYOSHKA_'.length).toLowerCase()}=${value}`,
      );
      const rest = ['--runs=20', '--seed=7', '--json=whole.json'];
      const whole = await run([matryoshka, 'conformance', ...only, ...options, ...rest], cwd);
      expect(whole.code).toBe(verdict);
      expect(digest(join(cwd, awkward, 'certificate.json'))).toBe(digest(join(cwd, 'whole.json')));
      expect(readdirSync(cwd).sort()).toEqual([awkward, 'whole.json'].sort());
    },
    300_000,
  );
});

test('a process killed while it writes its certificate leaves a whole one or none', async () => {
  for (let kill = 0; kill < 3; kill++) {
    const cwd = place();
    const path = join(cwd, 'certificate.json');
    const only = ['--only=learning-rate', '--only=auxk', '--runs=1', '--backend=reference'];
    const args = ['conformance', ...only, '--seed=7', '--shard=1/2', `--json=${path}`];
    // The wrapper is replaced by Node: what is killed is the process that writes.
    const child = spawn(matryoshka, args, { cwd, stdio: 'ignore' });
    let seen = 0;
    const watcher = watch(cwd, (_event, name) => {
      if (name?.startsWith('certificate.json.tmp-') !== true) return;
      // At the first sight of the file, or once it was written to.
      if (seen++ >= kill) child.kill('SIGKILL');
    });
    await new Promise((resolve) => child.on('close', resolve));
    watcher.close();
    expect(seen).toBeGreaterThan(0);
    if (existsSync(path)) await expect(readCertificate(path)).resolves.toMatchObject({ seed: 7 });
  }
});

describe('the Kubernetes manifests', () => {
  const job = readFileSync(join(jobs, 'kubernetes-job.yaml'), 'utf8');
  const merge = readFileSync(join(jobs, 'kubernetes-merge.yaml'), 'utf8');
  const valuesOf = (text: string): Record<string, string> =>
    Object.fromEntries(
      [...text.matchAll(/- name: (\w+)\n +value: (.*)/g)].map(([, name, value]) => [
        name,
        value.replace(/^'(.*)'$/, '$1'),
      ]),
    );
  /** The literal block that is the shell's script. */
  const scriptOf = (text: string): string => {
    const [, indent, block] = /^( +)- \|\n((?:\1 {2}.*\n|\n)+)/m.exec(text)!;
    return block.replaceAll(new RegExp(`^${indent}  `, 'gm'), '');
  };

  test('the Job is indexed, has as many pods as shards, and counts failures for each index', () => {
    const { MATRYOSHKA_SHARDS: shards } = valuesOf(job);
    for (const line of [
      'apiVersion: batch/v1',
      'kind: Job',
      '  completionMode: Indexed',
      `  completions: ${shards}`,
      `  parallelism: ${shards}`,
      '  backoffLimitPerIndex: 3',
      '      restartPolicy: Never', // what backoffLimitPerIndex and podFailurePolicy need
    ]) {
      expect(job.split('\n')).toContain(line);
    }
    // Kubernetes puts the value of a variable in the place of $(NAME), in commands too.
    for (const text of [job, merge]) expect(scriptOf(text)).not.toMatch(/\$\(\w+\)/);
  });

  test('the containers’ commands, for all indices, come to what one run says', async () => {
    const cwd = place();
    const out = join(cwd, awkward);
    const kernel = join(place(awkward), 'kernel.mjs');
    const hostile = new URL('./hostile/kernel.mjs', import.meta.url);
    writeFileSync(kernel, readFileSync(hostile));
    const command = `${quoted(process.execPath)} ${quoted(kernel)} right`;
    const set = {
      ...valuesOf(job),
      MATRYOSHKA_KERNEL: command,
      MATRYOSHKA_RUNS: '20',
      MATRYOSHKA_OUT: out,
      PATH: folder,
    };
    const pod = (index: number, variables = {}): ReturnType<typeof run> =>
      run(['/bin/sh', '-euc', scriptOf(job)], cwd, {
        ...set,
        JOB_COMPLETION_INDEX: String(index),
        ...variables,
      });
    for (let index = 0; index < 7; index++) {
      const ended = await pod(index);
      expect(ended.code, ended.stderr).toBe(0);
    }
    const again = await pod(3);
    expect(again.stdout).toBe('shard 4 of 7: has its certificate already\n');
    // Wrong usage leaves no certificate, and is no success.
    const refused = await pod(0, {
      MATRYOSHKA_OUT: join(cwd, 'other'),
      MATRYOSHKA_KERNEL: 'false',
    });
    expect(refused.code).toBe(2);

    const merged = await run(['/bin/sh', '-euc', scriptOf(merge)], cwd, set);
    expect(merged).toMatchObject({ code: 1, stderr: '' });
    expect(merged.stdout).toMatch(/^FAIL hostile/);
    const options = [`--kernel=${command}`, '--runs=20', '--seed=7', '--json=whole.json'];
    await run([matryoshka, 'conformance', ...options], cwd);
    expect(digest(join(out, 'certificate.json'))).toBe(digest(join(cwd, 'whole.json')));
  }, 300_000);

  test('YAML reads as it looks, where Python has a YAML parser', async (context) => {
    const program =
      'import json, sys, yaml; print(json.dumps([yaml.safe_load(open(f)) for f in sys.argv[1:]]))';
    const files = ['kubernetes-job.yaml', 'kubernetes-merge.yaml'].map((name) => join(jobs, name));
    const read = await run(['python3', '-c', program, ...files], folder);
    if (read.code !== 0) return context.skip('python3 cannot import yaml');
    const documents = JSON.parse(read.stdout) as { spec: { template: { spec: unknown } } }[];
    expect(documents).toMatchObject(
      [job, merge].map((text) => ({
        apiVersion: 'batch/v1',
        kind: 'Job',
        spec: {
          template: {
            spec: {
              restartPolicy: 'Never',
              containers: [{ command: ['/bin/sh', '-euc'], args: [scriptOf(text)] }],
            },
          },
        },
      })),
    );
  });
});

describe('on a real Slurm', () => {
  const path = `${process.env['PATH']}${delimiter}/usr/sbin${delimiter}/sbin`.split(delimiter);
  const missing = ['sbatch', 'scontrol', 'slurmctld', 'slurmd', 'munged'].filter(
    (name) => !path.some((at) => existsSync(join(at, name))),
  );
  const reason =
    process.getuid?.() !== 0 ? 'needs root' : missing.length > 0 ? `no ${missing.join(', ')}` : '';

  test.skipIf(reason !== '')(
    `tasks that die half-way are run again, and the certificate is the undisturbed run’s${reason && ` (skipped: ${reason})`}`,
    async () => {
      const { code, stdout, stderr } = await run([slurmTest], folder);
      expect(code, `${stdout}${stderr}`).toBe(0);
      expect(stdout).toContain('PASS: two tasks died half-way');
    },
    600_000,
  );
});
