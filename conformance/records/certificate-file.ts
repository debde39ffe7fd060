/**
 * Certificates as files: read with every field checked.
 * @module
 */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { fileError } from '../../training/file-error.ts';
import { UsageError } from '../../training/usage-error.ts';
import type { Certificate } from './certificate.ts';

const outcome = z.enum(['pass', 'fail', 'skip', 'unexpectedPass', 'crashed']);

const law = z.object({
  kernel: z.string(),
  law: z.string(),
  outcome,
  cases: z.number().int().nonnegative(),
  seconds: z.number().nonnegative(),
  reason: z.string().optional(),
});

/** A call as JSON holds it: typed arrays become objects of numbered fields, NaN and infinities become null. */
const failure = z.looseObject({ message: z.string(), seed: z.number(), path: z.string() });

const schema = z.looseObject({
  format: z.literal(2),
  version: z.string(),
  backend: z.string(),
  device: z.string(),
  dtype: z.string(),
  seed: z.number().int(),
  runs: z.number().int().positive(),
  verdict: z.enum(['pass', 'fail']),
  kernels: z.array(law.extend({ drawn: z.string(), failure: failure.optional() })),
  counts: z.record(outcome, z.number().int().nonnegative()),
  files: z.record(z.string(), z.string()).optional(),
  stale: z.array(z.string()).optional(),
  shard: z.object({ index: z.number().int(), count: z.number().int() }).optional(),
  units: z
    .array(law.extend({ chunk: z.number().int().nonnegative(), failure: failure.optional() }))
    .optional(),
  digest: z.string(),
});

/** @throws {@link UsageError} naming the file and the field that is missing or not what it should be. */
export async function readCertificate(path: string): Promise<Certificate> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw fileError(error, path);
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
  const read = schema.safeParse(json);
  // What was read, not zod's copy: a digest depends on the order of fields.
  if (read.success) return json as Certificate;
  const [{ path: field, message }] = read.error.issues;
  throw new UsageError(`${path}: no certificate: ${field.join('.') || 'it'}: ${message}`);
}
