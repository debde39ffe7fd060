import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    seed: number;
  }
}

/** Draws or reads the run's seed once, and prints it in the log's first line. */
export function setup(project: TestProject): void {
  const given = process.env['SEED'];
  const seed = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);
  if (!Number.isInteger(seed)) throw new Error(`SEED: expected a whole number, got ${given}`);
  process.stdout.write(`SEED=${seed}\n`);
  project.provide('seed', seed);
}
