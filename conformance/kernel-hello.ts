/**
 * What a kernel in another process says of itself before anything else is asked of it.
 * @module
 */
import { z } from 'zod';
import { printable, protocolVersion, ProtocolError, quoted } from './messages.ts';
import type { FloatFormat } from './number-formats.ts';

/** What a kernel says of itself. */
export interface Hello {
  readonly name: string;
  /** What computes, in words. */
  readonly device: string;
  /** Why none of its kernels can run here; there are then no operators. */
  readonly skip: string | null;
  readonly operators: readonly string[];
  /** The first is what is tested unless another is asked for. */
  readonly dtypes: readonly FloatFormat[];
  readonly dialects: readonly string[];
  /** Subnormal numbers may be read or written as 0. */
  readonly flushes_subnormals: boolean;
  /** The encoder computes x W - b_dec W. */
  readonly split_encode: boolean;
  /** Sums are cut off rather than rounded to nearest. */
  readonly truncates: boolean;
  /** The same call always has the same bits. */
  readonly deterministic: boolean;
  /** Processes of it that may run at once. */
  readonly processes: number;
}

const formats = ['float64', 'float32', 'tf32', 'bfloat16', 'float16'] as const;

/** A text that is shown and kept in certificates. */
const line = z
  .string()
  .min(1)
  .max(200)
  .refine((text) => text === printable(text), 'expected one line without control characters');

/** JSON inside a metadata text. */
function json<T extends z.ZodType>(schema: T): z.ZodType<z.infer<T>> {
  return z
    .string()
    .transform((text, context): unknown => {
      try {
        return JSON.parse(text);
      } catch {
        context.addIssue({ code: 'custom', message: 'expected JSON' });
        return z.NEVER;
      }
    })
    .pipe(schema);
}

const operators: z.ZodType<string[]> = json(z.array(line).min(1));
const dtypes: z.ZodType<FloatFormat[]> = json(z.array(z.enum(formats)).min(1));
const yes = (otherwise: boolean): z.ZodType<boolean> => json(z.boolean()).default(otherwise);

const helloSchema: z.ZodType<Hello> = z.object({
  name: line,
  device: line.default('not said'),
  skip: line.nullable().default(null),
  operators,
  dtypes,
  dialects: json(z.array(line).min(1)).default(['dictionary_learning']),
  flushes_subnormals: yes(false),
  split_encode: yes(false),
  truncates: yes(false),
  deterministic: yes(true),
  processes: json(z.int().min(1).max(64)).default(1),
});

/** With a reason to skip, nothing else need be known: there may have been no way to find it out. */
const skippedFields = { name: 'kernels', dtypes: '["float32"]' };
const noOperators = { operators: '["none"]' };

/** @throws {@link ProtocolError} naming the field, what is expected of it and what it was. */
export function parseHello(metadata: Readonly<Record<string, string>>): Hello {
  const protocol = metadata['protocol'];
  if (protocol !== String(protocolVersion)) {
    const got = protocol === undefined ? 'none' : quoted(protocol);
    throw new ProtocolError(`hello: protocol: expected "${protocolVersion}", got ${got}`);
  }
  const skipped = metadata['skip'] !== undefined;
  const said = helloSchema.safeParse(
    skipped ? { ...skippedFields, ...metadata, ...noOperators } : metadata,
  );
  if (said.success) return skipped ? { ...said.data, operators: [] } : said.data;
  const [{ path, message }] = said.error.issues;
  const field = String(path[0]);
  throw new ProtocolError(
    Object.hasOwn(metadata, field)
      ? `hello: ${field}: ${message}, got ${quoted(metadata[field])}`
      : `hello: ${field} is missing`,
  );
}
