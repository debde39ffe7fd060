/**
 * Files that are never seen half-written: the new content goes to a temporary file beside the old one, reaches the
 * disk, and takes the old one's name in one step. A process killed at any instant leaves the old file or the new one.
 * @module
 */

import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, statfs, stat, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errorCode, fileError } from './file-error.ts';
import { UsageError } from './usage-error.ts';

const MIB = 1024 * 1024;

/** Process ids repeat between containers that share a disk. */
const unique = (): string => `${process.pid}-${randomBytes(4).toString('hex')}`;

/**
 * @param path - the file to make or replace.
 * @param bytes - its size, for the message if there is no room.
 * @param write - writes the whole content to the open handle.
 * @throws {@link UsageError} if the disk is full or the folder cannot be written; what `write` throws, otherwise.
 * In every case `path` is as it was and the temporary file is gone.
 */
export async function writeAtomically(
  path: string,
  bytes: number,
  write: (handle: FileHandle) => Promise<void>,
): Promise<void> {
  const temporary = `${path}.tmp-${unique()}`;
  let handle: FileHandle | undefined;
  try {
    handle = await open(temporary, 'w');
    await write(handle);
    await handle.sync();
    await handle.close();
    handle = undefined;
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await handle?.close().catch(() => undefined);
    await rm(temporary, { force: true }).catch(() => undefined);
    if (errorCode(error) === 'ENOSPC') throw await noSpace(path, bytes, 'folder', error);
    throw fileError(error, path);
  }
}

/** As {@link writeAtomically}, for a text. */
export async function writeTextAtomically(path: string, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  await writeAtomically(path, bytes.length, (handle) => handle.writeFile(bytes));
}

/**
 * Makes the folder if need be and proves, before hours are spent, that files can be written there.
 * @param field - the option the folder was given for, put in front of messages.
 * @param bytes - how much will be written there.
 * @throws {@link UsageError} if it is a file, cannot be made or written, or has too little room.
 */
export async function requireWritableFolder(
  folder: string,
  field: string,
  bytes = 0,
): Promise<void> {
  const probe = join(folder, `.write-test.tmp-${unique()}`);
  try {
    await makeFolder(folder);
    const handle = await open(probe, 'w');
    try {
      await handle.write(new Uint8Array(1));
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (errorCode(error) === 'ENOSPC')
      throw await noSpace(folder, Math.max(1, bytes), field, error);
    throw fileError(error, folder, field);
  } finally {
    await rm(probe, { force: true }).catch(() => undefined);
  }
  if ((await freeBytes(folder)) < bytes) throw await noSpace(folder, bytes, field);
}

/** Removes what processes killed while writing `path` left beside it. */
export async function removeLeftovers(path: string): Promise<void> {
  const folder = dirname(path);
  const start = `${basename(path)}.tmp-`;
  for (const name of await readdir(folder)) {
    if (name.startsWith(start)) await rm(join(folder, name), { force: true });
  }
}

/** Not `mkdir` with `recursive`: below /proc and other folders that refuse new ones it never returns (Node 20 to 24). */
async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder);
  } catch (error) {
    if (errorCode(error) === 'ENOENT' && dirname(folder) !== folder) {
      await makeFolder(dirname(folder));
      await mkdir(folder);
    } else if (!(await isFolder(folder))) throw error;
  }
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (facts) => facts.isDirectory(),
    () => false,
  );
}

async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

async function noSpace(
  path: string,
  bytes: number,
  place: string,
  cause?: unknown,
): Promise<UsageError> {
  const folder = (await isFolder(path)) ? path : dirname(path);
  const missing = Math.max(1, Math.ceil((bytes - (await freeBytes(folder).catch(() => 0))) / MIB));
  return new UsageError(
    `no space left on ${folder} (${Math.ceil(bytes / MIB)} MiB to write): free ${missing} MiB or choose another ${place}`,
    { cause },
  );
}

/** Makes the rename itself durable. Windows cannot open a folder, and some network file systems cannot sync one. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } catch (error) {
    if (!['EINVAL', 'ENOTSUP'].includes(errorCode(error) ?? '')) throw error;
  } finally {
    await handle.close();
  }
}
