/**
 * Folders for what is not finished yet. What is finished is moved out of them in one step.
 * @module
 */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

const START = 'half-';

/** Makes a folder below `folder` for the time of the work, on the same file system. */
export async function inScratch<T>(
  folder: string,
  work: (scratch: string) => Promise<T>,
): Promise<T> {
  const scratch = await mkdtemp(join(folder, START));
  try {
    return await work(scratch);
  } finally {
    await rm(scratch, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Removes what processes that were killed left there. */
export async function removeScratch(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.startsWith(START)) continue;
    // A download that outlived its process may still write there.
    await rm(join(folder, name), { recursive: true, force: true, maxRetries: 3 });
  }
}
