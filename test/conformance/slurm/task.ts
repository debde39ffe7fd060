/**
 * The job scripts without a cluster: run as Slurm and Kubernetes run them, with the variables these set.
 */
import { spawn } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const jobs: string = fileURLToPath(new URL('../../../conformance/jobs/', import.meta.url));
const cli = fileURLToPath(new URL('../../../cli.ts', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

type Variables = Readonly<Record<string, string>>;

/** A command in a folder, with nothing in its environment but PATH, HOME and what is given. */
export function run(
  command: readonly string[],
  cwd: string,
  { PATH, ...variables }: Variables = {},
): Promise<Ended> {
  const [program, ...args] = command;
  const path = [PATH, process.env['PATH']].filter(Boolean).join(delimiter);
  const env = { HOME: process.env['HOME'], ...variables, PATH: path };
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const texts = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].on('data', (chunk: Buffer) => (texts[name] += chunk.toString()));
    }
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, ...texts }));
  });
}

/** One task of an array of slurm-array.sh that counts from 1, as Slurm would start it. */
export function task(
  part: number,
  parts: number,
  cwd: string,
  variables: Variables = {},
  ...args: readonly string[]
): Promise<Ended> {
  return run(['bash', join(jobs, 'slurm-array.sh'), ...args], cwd, {
    SLURM_JOB_ID: String(100 + part),
    SLURM_ARRAY_JOB_ID: '100',
    SLURM_ARRAY_TASK_ID: String(part),
    SLURM_ARRAY_TASK_COUNT: String(parts),
    SLURM_ARRAY_TASK_MIN: '1',
    SLURM_ARRAY_TASK_MAX: String(parts),
    ...variables,
  });
}

/** A program of a few lines of shell. @returns its path. */
export function program(path: string, ...lines: readonly string[]): string {
  writeFileSync(path, `${['#!/bin/bash', ...lines].join('\n')}\n`);
  chmodSync(path, 0o755);
  return path;
}

/** The command of this checkout, as an installation has it on the PATH. */
export function matryoshkaIn(folder: string): string {
  const words = [process.execPath, '--import', import.meta.resolve('tsx'), cli];
  return program(join(folder, 'matryoshka'), `exec ${words.map(quoted).join(' ')} "$@"`);
}

/** A word of a shell's command line. */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
