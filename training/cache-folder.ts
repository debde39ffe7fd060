/**
 * Where files are kept that take long to make or fetch and belong to no run.
 * @module
 */
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/** ~/.cache/matryoshka-sae. A relative XDG_CACHE_HOME is ignored, as its standard says. */
export function cacheFolder(
  env: Readonly<Record<string, string | undefined>> = process.env,
  home: string = homedir(),
): string {
  const chosen = env['XDG_CACHE_HOME'] ?? '';
  return join(isAbsolute(chosen) ? chosen : join(home, '.cache'), 'matryoshka-sae');
}
