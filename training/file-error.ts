/**
 * Errors of the file system, as a person needs them: the path, what is wrong with it, and what to do.
 * @module
 */

import { UsageError } from './usage-error.ts';

/** What each code of the operating system means for the path, and the remedy. */
const REMEDIES: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or folder: check the spelling',
  EACCES: 'permission denied: change its permissions or choose another path',
  EPERM: 'operation not permitted: change its permissions or choose another path',
  EROFS: 'the file system is read-only: choose another path',
  ENOTDIR: 'a part of the path is a file, not a folder: choose another path',
  EISDIR: 'is a folder: name a file',
  EEXIST: 'is a file: name a folder',
  ENAMETOOLONG: 'the name is too long: choose a shorter one',
  ELOOP: 'symbolic links form a loop: repair them',
  ENOSPC: 'no space left on the device: free some or choose another path',
  EDQUOT: 'the disk quota is used up: free some or choose another path',
  EFBIG:
    'the file would be larger than allowed (ulimit -f): raise the limit or choose another path',
  EMFILE: 'too many open files: raise the limit (ulimit -n)',
  EIO: 'input/output error of the device: check the disk',
};

/** The operating system's code of an error, such as `ENOSPC`; undefined for any other error. */
export function errorCode(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return typeof code === 'string' ? code : undefined;
}

/**
 * @param error - what a file operation threw.
 * @param path - the path it was asked for.
 * @param field - the option or tensor the path was given for, put in front of the message.
 * @returns a {@link UsageError} for the codes a user can cause, else the error itself.
 */
export function fileError(error: unknown, path: string, field?: string): unknown {
  const remedy = REMEDIES[errorCode(error) ?? ''];
  if (remedy === undefined) return error;
  return new UsageError(`${field === undefined ? '' : `${field} `}${path}: ${remedy}`, {
    cause: error,
  });
}
