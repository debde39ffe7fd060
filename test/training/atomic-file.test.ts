import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  removeLeftovers,
  requireWritableFolder,
  writeAtomically,
  writeTextAtomically,
} from '../../training/atomic-file.ts';
import { fileError } from '../../training/file-error.ts';
import { UsageError } from '../../training/usage-error.ts';

const folder = mkdtempSync(join(tmpdir(), 'atomic-'));
afterAll(() => rmSync(folder, { recursive: true }));

const source = resolve('training/atomic-file.ts');
const tsx = ['--import', 'tsx', '--input-type=module', '-e'];

test('the file holds the whole new content, and nothing else is left in the folder', async () => {
  const inside = mkdtempSync(join(folder, 'a-'));
  const path = join(inside, 'file');
  await writeTextAtomically(path, 'one');
  await writeTextAtomically(path, 'two');
  expect(readFileSync(path, 'utf8')).toBe('two');
  expect(readdirSync(inside)).toEqual(['file']);
});

test('an error of the writer passes through: the old content stays and no temporary file does', async () => {
  const inside = mkdtempSync(join(folder, 'b-'));
  const path = join(inside, 'file');
  writeFileSync(path, 'old');
  const write = async (): Promise<void> => {
    throw new Error('half-way');
  };
  await expect(writeAtomically(path, 3, write)).rejects.toThrow('half-way');
  expect(readFileSync(path, 'utf8')).toBe('old');
  expect(readdirSync(inside)).toEqual(['file']);
});

test('a process killed in the middle of a write leaves the old content; its leftover can be removed', async () => {
  const inside = mkdtempSync(join(folder, 'c-'));
  const path = join(inside, 'file');
  writeFileSync(path, 'old');
  writeFileSync(join(inside, 'other.tmp-1'), 'not ours');
  const script = `
    import { writeAtomically } from ${JSON.stringify(source)};
    await writeAtomically(${JSON.stringify(path)}, 8, async (handle) => {
      await handle.write('half');
      console.log('half');
      await new Promise((done) => setTimeout(done, 60_000));
    });`;
  const child = spawn(process.execPath, [...tsx, script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(readFileSync(path, 'utf8')).toBe('old');
  expect(readdirSync(inside)).toHaveLength(3);
  await removeLeftovers(path);
  expect(readdirSync(inside).sort()).toEqual(['file', 'other.tmp-1']);
});

test('a write beyond the allowed file size is one line with a remedy, and the old content stays', () => {
  const inside = mkdtempSync(join(folder, 'd-'));
  const path = join(inside, 'file');
  writeFileSync(path, 'old');
  const script = `
    import { writeTextAtomically } from ${JSON.stringify(source)};
    await writeTextAtomically(${JSON.stringify(path)}, 'x'.repeat(200_000)).catch((error) => {
      console.log(error.name + ' ' + error.message);
    });`;
  const command = `ulimit -f 40; exec "$0" "$@"`;
  const child = spawnSync('bash', ['-c', command, process.execPath, ...tsx, script], {
    encoding: 'utf8',
    // tsx keeps a cache of compiled files, which the limit would also cut.
    env: { ...process.env, TSX_DISABLE_CACHE: '1' },
  });
  expect(child.stdout).toMatch(/^UsageError .*file: the file would be larger than allowed.*\n$/);
  expect(readFileSync(path, 'utf8')).toBe('old');
  expect(readdirSync(inside)).toEqual(['file']);
});

const disk = join(folder, 'disk');
const mounted = process.platform === 'linux' && process.getuid?.() === 0 && mountTmpfs();

function mountTmpfs(): boolean {
  mkdirSync(disk);
  return spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', disk]).status === 0;
}

describe.runIf(mounted)('a full disk (a file system of 256 KiB)', () => {
  beforeAll(() => writeFileSync(join(disk, 'file'), 'old'));
  afterAll(() => void execFileSync('umount', [disk]));

  test('says how much is missing and what to do; the old content stays and no temporary file does', async () => {
    const error = await writeTextAtomically(join(disk, 'file'), 'x'.repeat(3 << 20)).catch(
      (caught: unknown) => caught,
    );
    expect(error).toBeInstanceOf(UsageError);
    expect((error as Error).message).toBe(
      `no space left on ${disk} (3 MiB to write): free 3 MiB or choose another folder`,
    );
    expect(readFileSync(join(disk, 'file'), 'utf8')).toBe('old');
    expect(readdirSync(disk)).toEqual(['file']);
  });

  test('too little room is noticed before anything is computed; room enough is accepted', async () => {
    await expect(requireWritableFolder(disk, '--out', 5 << 20)).rejects.toThrow(
      /no space left on .* \(5 MiB to write\): free 5 MiB or choose another --out/,
    );
    await expect(requireWritableFolder(disk, '--out', 1000)).resolves.toBeUndefined();
    expect(readdirSync(disk)).toEqual(['file']);
  });
});

describe('requireWritableFolder', () => {
  test('makes the folder and leaves it empty', async () => {
    const path = join(folder, 'new', 'deeper');
    await requireWritableFolder(path, '--out');
    expect(readdirSync(path)).toEqual([]);
  });

  test('refuses a file, and a folder below a file', async () => {
    const path = join(folder, 'plain');
    writeFileSync(path, '');
    await expect(requireWritableFolder(path, '--out')).rejects.toThrow(
      `--out ${path}: is a file: name a folder`,
    );
    await expect(requireWritableFolder(join(path, 'below'), '--out')).rejects.toThrow(
      /a part of the path is a file/,
    );
  });

  test('refuses a folder that cannot be written', async () => {
    // Root may write anywhere but in kernel file systems; others are stopped by the permission bits.
    const path = process.getuid?.() === 0 ? '/proc/self' : join(folder, 'locked');
    if (!existsSync(path)) mkdirSync(path);
    if (process.getuid?.() !== 0) chmodSync(path, 0o500);
    await expect(requireWritableFolder(path, '--out')).rejects.toThrow(UsageError);
    await expect(requireWritableFolder(path, '--out')).rejects.toThrow(
      new RegExp(`^--out ${path}: `),
    );
  });
});

test('errors of the file system become one line with a remedy; other errors stay as they are', () => {
  const error = (code: string): Error => Object.assign(new Error(`${code}: x`), { code });
  for (const code of ['ENOSPC', 'EACCES', 'EROFS', 'ENOTDIR', 'ENOENT', 'EDQUOT']) {
    const mapped = fileError(error(code), '/some/path', '--out') as Error;
    expect(mapped).toBeInstanceOf(UsageError);
    expect(mapped.message).toMatch(/^--out \/some\/path: [^\n]+$/);
  }
  const bug = new TypeError('bug');
  expect(fileError(bug, '/some/path')).toBe(bug);
});
