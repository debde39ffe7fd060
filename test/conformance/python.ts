/**
 * The Python that tests run kernels with: the one MATRYOSHKA_PYTHON names, or python3.
 */
import { execFileSync } from 'node:child_process';

export interface Python {
  /** Path of the interpreter; null if there is none that can import what was asked for. */
  readonly path: string | null;
  /** Why there is none. */
  readonly reason: string;
}

/** An interpreter with these modules, found once: a shim in front of it would cost time at each start. */
export function pythonWith(...modules: readonly string[]): Python {
  const asked = process.env['MATRYOSHKA_PYTHON'] ?? 'python3';
  const program = [
    'import sys',
    ...modules.map((name) => `import ${name}`),
    'print(sys.executable)',
  ];
  try {
    const path = execFileSync(asked, ['-c', program.join('; ')], { stdio: 'pipe' });
    return { path: path.toString().trim(), reason: '' };
  } catch (error) {
    const [last] = (error instanceof Error ? error.message : String(error))
      .trim()
      .split('\n')
      .slice(-1);
    return { path: null, reason: `${asked}: ${last} (MATRYOSHKA_PYTHON names another)` };
  }
}
