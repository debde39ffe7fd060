/**
 * Takes files out of wheels and npm packages. Python reads both: it has to be there for pip in any case.
 * @module
 */
import { UsageError } from '../../training/usage-error.ts';
import { complaint, runProgram } from './program.ts';

/** Zip's own checksums are compared while it is read. Modes are kept: ptxas has to stay a program. */
const script = `
import fnmatch, json, os, shutil, sys, tarfile, zipfile
archive, folder, patterns = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
taken = 0
def take(name, mode, source):
    global taken
    path = os.path.join(folder, *[part for part in name.split('/') if part not in ('', '.', '..')])
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with source, open(path, 'wb') as target:
        shutil.copyfileobj(source, target, 1 << 20)
    os.chmod(path, 0o755 if mode & 0o111 else 0o644)
    taken += 1
wanted = lambda name: any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
if zipfile.is_zipfile(archive):
    with zipfile.ZipFile(archive) as file:
        for entry in file.infolist():
            if wanted(entry.filename) and not entry.is_dir():
                take(entry.filename, entry.external_attr >> 16, file.open(entry))
else:
    with tarfile.open(archive) as file:
        for entry in file:
            if wanted(entry.name) and entry.isfile():
                take(entry.name, entry.mode, file.extractfile(entry))
if taken == 0:
    sys.exit('error: it holds none of the files ' + ', '.join(patterns))
`;

/**
 * @param archive - a zip or a tar, compressed or not.
 * @param take - patterns of the members to take; `*` matches any characters, `/` among them.
 * @param folder - where to, under the names they have in the archive.
 * @throws {@link UsageError} if it cannot be read, the disk is full, or nothing matches.
 */
export async function unpack(
  python: string,
  archive: string,
  take: readonly string[],
  folder: string,
): Promise<void> {
  const ended = await runProgram(python, [
    '-I',
    '-c',
    script,
    archive,
    folder,
    JSON.stringify(take),
  ]);
  if (ended.status === 0) return;
  throw new UsageError(
    `setup tensorflow: ${archive} does not unpack: ${complaint(ended)}; free disk space if it is full, then run setup again`,
  );
}
