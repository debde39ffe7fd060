/**
 * Where the published trainers come from: a virtual environment that is made the first time.
 * @module
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { UsageError } from '../../training/usage-error.ts';
import type { DialectName } from './shape.ts';

/** The folder whose venv.sh makes the environment; not part of the published package. */
const vectors = fileURLToPath(new URL('../../conformance/vectors', import.meta.url));
const program = fileURLToPath(new URL('peers.py', import.meta.url));
const maker = fileURLToPath(new URL('peers-venv.sh', import.meta.url));

export const peerNames: readonly DialectName[] = ['dictionary_learning', 'saelens'];

/** What the environment holds, for people who are to wait for it. */
export const installation =
  'torch with its libraries, dictionary-learning, sae-lens: about 4 GB in the cache folder, made once; --peers none runs without';

/** @throws {@link UsageError} unless the text is `none` or names between commas. */
export function parsePeers(text: string): readonly DialectName[] {
  if (text === 'none') return [];
  const names = text.split(',').map((name) => name.trim());
  const wrong = names.find((name) => !(peerNames as readonly string[]).includes(name));
  if (wrong !== undefined) {
    throw new UsageError(
      `--peers: expected none, or some of ${peerNames.join(', ')} between commas, got ${JSON.stringify(wrong)}`,
    );
  }
  return peerNames.filter((name) => names.includes(name));
}

/**
 * The Python interpreter that has the peers; installs them if they are not there yet, which takes minutes.
 * @param note - told what that takes, before it begins.
 * @throws {@link UsageError} saying what is missing, and that `--peers none` needs none of it.
 */
export async function peersPython(note: (line: string) => void): Promise<string> {
  if (!existsSync(vectors)) {
    throw new UsageError(
      '--peers: the peers are run from a checkout, which has conformance/vectors: clone the repository, or give --peers none',
    );
  }
  note(`peers need ${installation}`);
  try {
    const { stdout } = await promisify(execFile)('bash', [maker, vectors], {
      maxBuffer: 2 ** 24,
    });
    return stdout.trim();
  } catch (error) {
    const { stderr = '' } = error as { stderr?: string };
    const reason = stderr.trim().split('\n').at(-1) || (error as Error).message;
    throw new UsageError(`--peers: ${reason}; --peers none runs without`);
  }
}

/** Starts a peer. @param python - from {@link peersPython}. */
export function peerCommand(python: string, peer: DialectName): string[] {
  // -B: no __pycache__ in the repository.
  return [python, '-B', program, peer, vectors];
}
