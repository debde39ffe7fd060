/**
 * Packages that need not be installed: found and loaded only when a backend is asked for.
 * @module
 */

/** Whether this is Node, not a browser. */
export const isNode: boolean =
  typeof process !== 'undefined' && typeof process.versions?.node === 'string';

/**
 * The file a package starts at, or null if the package is not installed. Also found through NODE_PATH, which plain
 * `import()` ignores.
 */
export async function resolvePackage(name: string): Promise<string | null> {
  const { createRequire } = await import('node:module');
  try {
    return createRequire(import.meta.url).resolve(name);
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND') return null;
    throw error;
  }
}

/**
 * Loads the file that {@link resolvePackage} found.
 * @returns the exports; those of a CommonJS package are the object it exports itself.
 */
export async function loadPackage(file: string): Promise<Readonly<Record<string, unknown>>> {
  const { pathToFileURL } = await import('node:url');
  const loaded = (await import(pathToFileURL(file).href)) as Record<string, unknown>;
  const whole = loaded['default'];
  return typeof whole === 'object' && whole !== null ? (whole as Record<string, unknown>) : loaded;
}
