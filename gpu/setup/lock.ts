/**
 * One setup at a time. A lock whose process has died holds nobody back.
 * @module
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { UsageError } from '../../training/usage-error.ts';
import { errorCode } from '../../training/file-error.ts';

/**
 * @param file - made now and removed by the returned function; its folder exists.
 * @throws {@link UsageError} if another process holds it.
 */
export function takeLock(file: string): () => void {
  const own = `${hostname()} ${process.pid}`;
  try {
    writeFileSync(file, own, { flag: 'wx' });
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
    const holder = readFileSync(file, 'utf8').trim();
    if (isAlive(holder)) {
      throw new UsageError(
        `setup tensorflow: another one is running (host and process ${holder}); wait for it, or remove ${file} if it is not`,
      );
    }
    rmSync(file, { force: true });
    writeFileSync(file, own, { flag: 'wx' });
  }
  return () => rmSync(file, { force: true });
}

/** Processes of other hosts, which share the folder over a network, cannot be seen: they count as alive. */
function isAlive(holder: string): boolean {
  const [host, pid] = holder.split(' ');
  if (host === undefined || pid === undefined) return false; // killed before it had written its name
  if (host !== hostname()) return true;
  if (Number(pid) === process.pid) return false; // of an earlier process with the same number
  try {
    process.kill(Number(pid), 0);
    return true;
  } catch (error) {
    return errorCode(error) === 'EPERM';
  }
}
