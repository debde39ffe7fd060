/**
 * Why a backend cannot be used, and what would change that.
 * @module
 */
import { UsageError } from '../training/usage-error.ts';

export type BackendName = 'tensorflow' | 'webgpu' | 'wasm' | 'cpu';

/** Every backend, the fastest kind first. */
export const backendNames: readonly BackendName[] = ['tensorflow', 'webgpu', 'wasm', 'cpu'];

/** What is missing and the remedy, each one line. */
export interface Problem {
  readonly reason: string;
  readonly remedy: string;
}

/** Thrown where a backend that was asked for does not open. */
export class BackendUnavailable extends UsageError {
  override readonly name: string = 'BackendUnavailable';
  readonly backend: BackendName;
  /** `not installed` if its package is absent, `broken` if the package is there and does not work. */
  readonly status: 'not installed' | 'broken';
  readonly problem: Problem;

  constructor(backend: BackendName, status: 'not installed' | 'broken', problem: Problem) {
    super(`backend ${backend}: ${problem.reason}; remedy: ${problem.remedy}`);
    this.backend = backend;
    this.status = status;
    this.problem = problem;
  }
}

/** The first line of what was thrown. */
export function firstLine(thrown: unknown): string {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return message.split('\n', 1)[0].trim();
}
