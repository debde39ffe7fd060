import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { Command, CommanderError } from 'commander';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { addTrainCommand } from '../../training/command.ts';
import { encodeSafetensors } from '../../training/formats/safetensors.ts';
import { readSae } from '../../training/formats/sae.ts';
import { UsageError } from '../../training/usage-error.ts';
import { run, start } from './command-line.ts';
import { d_in, madeRows, writeShard } from './made-activations.ts';

const folder = mkdtempSync(join(tmpdir(), 'command-'));
afterAll(() => rmSync(folder, { recursive: true }));
const shard = join(folder, 'train.safetensors');
const heldout = join(folder, 'heldout.safetensors');
beforeAll(() => {
  writeShard(shard, 1000, 1);
  writeShard(heldout, 200, 2);
});

const small = '--d-sae 48 --prefixes 8,24,48 --k 3 --batch 64 --lr 0.01 --seed 5'.split(' ');

function train(out: string, ...more: string[]): string[] {
  const files = ['--activations', shard, '--heldout', heldout];
  return ['train', ...files, '--out', join(folder, out), ...small, ...more];
}

const written = (out: string): string[] =>
  ['sae.safetensors', 'cfg.json'].map((name) =>
    readFileSync(join(folder, out, name)).toString('base64'),
  );

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('waited a minute in vain');
    await setTimeout(2);
  }
}

describe.each([
  ['reference', '700'],
  ['wasm', '250'],
  ['threads', '2000'],
])('on %s', (backend, steps) => {
  const options = ['--backend', backend, '--steps', steps, '--checkpoint-every', '10'];

  test('killed by SIGKILL half-way, twice, and given again: the same bits as a run that was not', async () => {
    const whole = await run(train(`${backend}-whole`, ...options));
    expect(whole).toMatchObject({ status: 0, stderr: '' });
    expect(whole.stdout).toMatch(/held-out \(200 rows, threshold\): explained variance 0\.\d{4}/);

    const out = `${backend}-killed`;
    const checkpoint = join(folder, out, 'checkpoint.safetensors');
    for (const resumed of [false, true]) {
      const { child, finished } = start(train(out, ...options));
      let said = '';
      child.stdout!.on('data', (chunk) => (said += String(chunk)));
      // A new checkpoint in this process, and then some steps, so that it is killed anywhere between two.
      const before = existsSync(checkpoint) ? readFileSync(checkpoint).toString('latin1') : '';
      await until(
        () =>
          said.includes('step ') &&
          existsSync(checkpoint) &&
          readFileSync(checkpoint).toString('latin1') !== before,
      );
      child.kill('SIGKILL');
      expect((await finished).status).toBeNull();
      expect(said.includes('resuming')).toBe(resumed);
      expect(existsSync(join(folder, out, 'cfg.json'))).toBe(false);
    }
    const last = await run(train(out, ...options));
    expect(last).toMatchObject({ status: 0, stderr: '' });
    expect(last.stdout).toMatch(/resuming .*checkpoint.safetensors at step \d+ of/);
    expect(written(out)).toEqual(written(`${backend}-whole`));
  });

  test('Ctrl-C finishes the step, saves, exits with 130 and says how to go on; the rest gives the same bits', async () => {
    const out = `${backend}-interrupted`;
    const { child, finished } = start(train(out, ...options));
    let said = '';
    child.stdout!.on('data', (chunk) => (said += String(chunk)));
    await until(() => said.includes('step '));
    child.kill('SIGINT');
    const { status, stdout } = await finished;
    expect(status).toBe(130);
    expect(stdout).toMatch(/finishing the step, then saving/);
    expect(stdout).toMatch(
      /stopped after step \d+ of \d+; all of it is saved in .*: give the same command again to go on\n$/,
    );
    expect(readdirSync(join(folder, out))).toEqual(['checkpoint.safetensors']);
    expect((await run(train(out, ...options))).status).toBe(0);
    expect(written(out)).toEqual(written(`${backend}-whole`));
  });
});

describe('exit status 2, one line that says what is wrong, and no stack', () => {
  const cases: [string, string[], RegExp][] = [
    [
      'a missing file',
      ['--activations', '/none.safetensors'],
      /^error: --activations \/none.safetensors: no such file/,
    ],
    ['an unknown flag', ['--learning-rate', '1'], /^error: unknown option '--learning-rate'/],
  ];
  test.each(cases)('%s', async (_, more, message) => {
    const { status, stdout, stderr } = await run(train('bad', ...more));
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n {4}at /);
    expect(stdout).toBe('');
  });
});

describe('a disk with too little room', () => {
  test('by the limit of a file: exit status 2, and nothing half-written is left', async () => {
    const { status, stderr } = await run(
      train('limited', '--backend', 'reference', '--steps', '20'),
      16,
    );
    expect(status).toBe(2);
    expect(stderr).toMatch(
      /^error: .*checkpoint.safetensors: the file would be larger than allowed \(ulimit -f\)[^\n]*\n$/,
    );
    expect(readdirSync(join(folder, 'limited'))).toEqual([]);
  });

  const disk = join(folder, 'disk');
  mkdirSync(disk);
  const mounted =
    process.getuid?.() === 0 &&
    spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk]).status === 0;
  afterAll(() => void (mounted && spawnSync('umount', [disk])));

  test.runIf(mounted)('by a full file system: known before the first step', async () => {
    const { status, stdout, stderr } = await run(
      train('', '--backend', 'reference', '--steps', '20', '--out', disk),
    );
    expect(status).toBe(2);
    expect(stderr).toMatch(
      /^error: no space left on .*disk \(1 MiB to write\): free 1 MiB or choose another --out\n$/,
    );
    expect(stdout).not.toMatch(/step/);
    expect(readdirSync(disk)).toEqual([]);
  });
});

/** The command in this process; its errors reach the caller. */
async function inProcess(...args: string[]): Promise<void> {
  const program = new Command().exitOverride();
  addTrainCommand(program);
  for (const command of program.commands) {
    command.exitOverride().configureOutput({ writeErr: () => undefined });
  }
  const silenced = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  try {
    await program.parseAsync(['node', 'matryoshka', ...args]);
  } finally {
    silenced.mockRestore();
  }
}

describe('wrong input is a UsageError that names field and value', () => {
  const write = (name: string, content: string | Uint8Array): string => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  };
  const nan = (): string => {
    const data = madeRows(100, 3);
    data[50 * d_in + 3] = NaN;
    return write(
      'nan.safetensors',
      encodeSafetensors([{ name: 'activations', dtype: 'F32', shape: [100, d_in], data }]),
    );
  };
  const truncated = (): string => {
    const path = writeShard(join(folder, 'cut.safetensors'), 100, 1);
    truncateSync(path, 3000);
    return path;
  };
  const cases: [string, () => string[], RegExp][] = [
    [
      'a truncated file',
      () => ['--activations', truncated()],
      /^--activations .*cut.safetensors: truncated/,
    ],
    [
      'a text file',
      () => ['--activations', write('text.txt', 'no tensors in here')],
      /^--activations .*text.txt: not safetensors/,
    ],
    [
      'an empty file',
      () => ['--activations', write('empty', '')],
      /empty: empty file, expected safetensors/,
    ],
    ['a folder', () => ['--activations', folder], /is a folder: name a file/],
    [
      'rows that are not finite',
      () => ['--activations', nan()],
      /nan.safetensors: row 50 of tensor "activations" holds NaN at column 3/,
    ],
    [
      'shards of two widths',
      () => ['--activations', shard, writeShard(join(folder, 'w8.safetensors'), 9, 1, 8)],
      /w8.safetensors: d_in is 8, but .*train.safetensors has d_in 16/,
    ],
    [
      'another tensor name',
      () => ['--tensor', 'resid'],
      /has no tensor "resid"; float matrices in it: activations/,
    ],
    ['k above d_sae', () => ['--k', '49'], /^k: expected 0 <= k <= d_sae = 48, got 49/],
    ['k of 0', () => ['--k', '0'], /^--k: expected a number above 0, got "0"$/],
    [
      'prefixes not increasing',
      () => ['--prefixes', '8,8,48'],
      /^prefixes: .*got 8 in \[8, 8, 48\]/,
    ],
    [
      'prefixes not ending at d_sae',
      () => ['--prefixes', '8,47'],
      /^prefixes: expected the last to be d_sae = 48, got 47/,
    ],
    [
      'prefixes that are no numbers',
      () => ['--prefixes', '8,,48'],
      /^--prefixes: expected numbers between commas, got "" in "8,,48"$/,
    ],
    ['a negative rate', () => ['--lr', '-1'], /^--lr: expected a number above 0, got "-1"$/],
    [
      'a rate that is no number',
      () => ['--k', 'many'],
      /^--k: expected a number above 0, got "many"$/,
    ],
    [
      'no backend of that name',
      () => ['--backend', 'cuda'],
      /^--backend: expected one of auto, threads, threads\+tensorflow, .*, got "cuda"$/,
    ],
    [
      'bits that must repeat, of a backend whose sums depend on threads',
      () => ['--deterministic', '--backend', 'threads+tensorflow'],
      /^--deterministic: expected --backend threads, wasm, .*, got threads\+tensorflow, whose sums depend on threads/,
    ],
    ['half a step', () => ['--steps', '1.5'], /^--steps: expected a whole number >= 1, got "1.5"$/],
    [
      'an unknown architecture',
      () => ['--arch', 'topk'],
      /^--arch: expected one of matryoshka, batchtopk, got "topk"$/,
    ],
    [
      'a batch of more rows than there are',
      () => ['--batch', '2000'],
      /^--batch 2000: the activations hold only 1000 rows/,
    ],
    [
      'a folder that is a file',
      () => ['--out', shard],
      /^--out .*train.safetensors: is a file: name a folder/,
    ],
    ['a folder that cannot be made', () => ['--out', '/proc/nowhere'], /^--out \/proc\/nowhere: /],
    [
      'a checkpoint that is not there',
      () => ['--resume'],
      /^--resume: .*checkpoint.safetensors does not exist/,
    ],
  ];
  test.each(cases)('%s', async (_, more, message) => {
    const attempt = inProcess(
      ...train('none', '--backend', 'reference', '--steps', '20'),
      ...more(),
    );
    await expect(attempt).rejects.toThrow(UsageError);
    await expect(attempt).rejects.toThrow(message);
    expect(existsSync(join(folder, 'none', 'cfg.json'))).toBe(false);
  });

  test('an unknown flag, and a required one left out, are errors of the command line', async () => {
    await expect(inProcess(...train('none', '--what'))).rejects.toThrow(CommanderError);
    await expect(inProcess('train', '--activations', shard)).rejects.toThrow(/--out/);
  });
});

test('--json prints one line of JSON on stdout and the rest on stderr', async () => {
  const { status, stdout, stderr } = await run(
    train('json', '--json', '--backend', 'reference', '--steps', '20'),
  );
  expect(status).toBe(0);
  const result = JSON.parse(stdout) as Record<string, unknown>;
  expect(result).toMatchObject({ status: 'finished', kernel: 'reference', step: 20, steps: 20 });
  expect(stderr).toMatch(/step 20\/20 .*tokens\/s {2}loss .* L0 .* dead .* ETA/);
});

test('defaults: one pass, the paper’s prefixes, and a plain SAE by --arch', async () => {
  const out = join(folder, 'defaults');
  const required = [
    '--activations',
    shard,
    '--out',
    out,
    '--backend',
    'reference',
    '--batch',
    '100',
  ];
  for (const [more, prefixes] of [
    [[], [4, 12, 28, 60, 128]],
    [['--arch', 'batchtopk', '--no-resume'], [128]],
  ] as const) {
    await inProcess('train', ...required, '--k', '4', ...more);
    const { config } = await readSae(out);
    expect(config).toMatchObject({ d_sae: 128, prefixes, metrics: null });
    expect(config.training).toMatchObject({ steps: 10, tokens: 1000, warmupSteps: 1 });
  }
});
