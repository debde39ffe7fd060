/**
 * The Python that tests run: the one MATRYOSHKA_PYTHON names and no other, else the first that has what is needed of
 * python3 and the environment that conformance/vectors/venv.sh makes.
 */
import { execFileSync } from 'node:child_process';
import { homedir } from 'node:os';
import { join } from 'node:path';

export interface Python {
  /** Path of the interpreter; null if there is none that can import what was asked for. */
  readonly path: string | null;
  /** Why there is none, for the name of a test that is skipped; empty if there is one. */
  readonly reason: string;
}

const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
const asked = process.env['MATRYOSHKA_PYTHON'] ?? '';
const candidates =
  asked === ''
    ? ['python3', join(cache, 'matryoshka-sae', 'vectors', 'venv', 'bin', 'python3')]
    : [asked];

/** An interpreter with these modules. Its own path: a shim in front of it would cost time at each start. */
export function pythonWith(...modules: readonly string[]): Python {
  const lines = ['import sys', ...modules.map((name) => `import ${name}`), 'print(sys.executable)'];
  const reasons: string[] = [];
  for (const candidate of candidates) {
    try {
      const path = execFileSync(candidate, ['-c', lines.join('; ')], { stdio: 'pipe' });
      return { path: path.toString().trim(), reason: '' };
    } catch (error) {
      const told = (error instanceof Error ? error.message : String(error)).trim().split('\n');
      reasons.push(`${candidate}: ${told.at(-1)}`);
    }
  }
  return {
    path: null,
    reason: `(skipped: ${reasons.join('; ')}; MATRYOSHKA_PYTHON names another)`,
  };
}
