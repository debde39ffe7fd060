/**
 * The largest memory this process has had resident.
 * @module
 */
import { readFileSync } from 'node:fs';

/**
 * Bytes. On Linux the kernel's VmHWM: `getrusage`, which Node reports elsewhere, also counts the process this one was
 * forked from.
 */
export function peakResidentBytes(): number {
  try {
    const [, kilobytes] = /^VmHWM:\s*(\d+) kB$/m.exec(
      readFileSync('/proc/self/status', 'utf8'),
    ) as unknown as [string, string];
    return Number(kilobytes) * 1024;
  } catch {
    return process.resourceUsage().maxRSS * 1024;
  }
}
