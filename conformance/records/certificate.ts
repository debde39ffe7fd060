/**
 * The JSON record of a run: what ran, on what, and every verdict. Its digest covers all of it, so that a changed record
 * shows; its cases have digests of their own, so that anyone can draw the same cases again and compare.
 * @module
 */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { version } from '../../reference/version.ts';
import type { Kernels, KernelSpec } from '../kernel.ts';
import { countOutcomes, type Counts, type LawResult, type Outcome } from '../run.ts';
import type { Shard, UnitResult } from '../shards.ts';

export interface Certificate {
  /** Of this format. */
  readonly format: 2;
  readonly version: string;
  /** Name of the kernels under test. */
  readonly backend: string;
  /** What computed, in words. */
  readonly device: string;
  readonly dtype: string;
  readonly seed: number;
  /** Cases asked for per law. */
  readonly runs: number;
  readonly verdict: 'pass' | 'fail';
  readonly kernels: readonly CertifiedLaw[];
  readonly counts: Counts;
  /** Of the files the kernels' command names: path → SHA-256. */
  readonly files?: Readonly<Record<string, string>>;
  /** Entries of expectation files that name nothing. */
  readonly stale?: readonly string[];
  /** Which part of the run this is, and its units; absent from a whole run. */
  readonly shard?: Shard;
  readonly units?: readonly UnitResult[];
  /** SHA-256 of the record without it, times left out. */
  readonly digest: string;
}

export interface CertifiedLaw {
  readonly kernel: string;
  readonly law: string;
  readonly outcome: Outcome;
  readonly cases: number;
  readonly seconds: number;
  /** SHA-256 of the law's first cases, as anyone's copy of the suite draws them. */
  readonly drawn: string;
  /** Why it was skipped, or was expected to fail. */
  readonly reason?: string;
  /** What was wrong, and the seed and path that repeat it. */
  readonly failure?: { readonly message: string; readonly seed: number; readonly path: string };
}

/** What a certificate says beside the results. */
export interface CertificateFacts {
  readonly device: string;
  readonly seed: number;
  readonly runs: number;
  readonly files?: Readonly<Record<string, string>>;
  readonly stale?: readonly string[];
  readonly shard?: Shard;
  readonly units?: readonly UnitResult[];
}

/** `pass`: at least one case ran, no law failed, crashed or passed against expectation, and no expectation is stale. */
export function verdictOf(
  laws: readonly { readonly outcome: Outcome; readonly cases: number }[],
  stale: readonly string[] = [],
): Certificate['verdict'] {
  const { fail, crashed, unexpectedPass } = countOutcomes(laws);
  const ran = laws.some(({ cases }) => cases > 0);
  return ran && fail + crashed + unexpectedPass + stale.length === 0 ? 'pass' : 'fail';
}

/** The record of a run. */
export function certificate(
  results: readonly LawResult[],
  kernels: Pick<Kernels, 'name' | 'dtype'>,
  specs: readonly KernelSpec[],
  facts: CertificateFacts,
): Certificate {
  const { device, seed, runs, files, stale, shard, units } = facts;
  const counts = countOutcomes(results);
  const record: Omit<Certificate, 'digest'> = {
    format: 2,
    version,
    backend: kernels.name,
    device,
    dtype: kernels.dtype,
    seed,
    runs,
    verdict: verdictOf(results, stale),
    kernels: results.map((result) => certified(result, specs, seed)),
    counts,
    ...(files && { files }),
    ...(stale && stale.length > 0 && { stale }),
    ...(shard && { shard }),
    ...(units && { units: units.map(withoutCall) }),
  };
  return { ...record, digest: digestOf(record) };
}

function certified(
  { kernel, law, outcome, cases, seconds, failure, reason }: LawResult,
  specs: readonly KernelSpec[],
  seed: number,
): CertifiedLaw {
  return {
    kernel,
    law,
    outcome,
    cases,
    seconds,
    drawn: drawnDigest(specs, kernel, law, seed),
    ...(reason !== undefined && { reason }),
    ...(failure && {
      failure: { message: failure.message, seed: failure.seed, path: failure.path },
    }),
  };
}

/** Of a failure, the seed and path are enough: they draw its call again. */
function withoutCall(unit: UnitResult): UnitResult {
  if (unit.failure === undefined) return unit;
  return { ...unit, failure: { ...unit.failure, call: { config: {}, inputs: {} } } };
}

const drawnCases = 5;

/** SHA-256 of the first cases of a law under a seed: configuration, names, shapes and values. */
export function drawnDigest(
  specs: readonly KernelSpec[],
  kernel: string,
  law: string,
  seed: number,
): string {
  const known = specs.find(({ name }) => name === kernel)?.laws.find(({ name }) => name === law);
  if (known === undefined) return '';
  const hash = createHash('sha256');
  for (const { call } of fc.sample(known.cases, { seed, numRuns: drawnCases })) {
    hash.update(JSON.stringify(call.config));
    for (const [name, { shape, data }] of Object.entries(call.inputs)) {
      hash.update(`${name} ${shape.join()} `);
      hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
  }
  return hash.digest('hex');
}

/** Of everything but the digest itself and how long things took. */
export function digestOf(record: Omit<Certificate, 'digest'>): string {
  const text = JSON.stringify(record, (key, value: unknown) =>
    key === 'digest' || key === 'seconds' ? undefined : value,
  );
  return createHash('sha256').update(text).digest('hex');
}
