/**
 * The shards of one run put together: the same certificate as the whole run's, times aside.
 * @module
 */
import { UsageError } from '../../training/usage-error.ts';
import { certificate, digestOf, type Certificate } from './certificate.ts';
import type { KernelSpec } from '../kernel.ts';
import type { FloatFormat } from '../number-formats.ts';
import { lawResults, type UnitResult } from '../shards.ts';

/** What shards of one run have in common. */
const common = ['version', 'backend', 'device', 'dtype', 'seed', 'runs'] as const;

/**
 * @param shards - certificates by file name, in any order.
 * @throws {@link UsageError} naming the file that is changed, no shard, of another run, or there twice; or the shards
 * that are missing.
 */
export function mergeShards(
  shards: ReadonlyMap<string, Certificate>,
  specs: readonly KernelSpec[],
): Certificate {
  const [[firstName, first]] = shards;
  const count = first.shard?.count ?? 0;
  const byIndex = new Map<number, string>();
  for (const [name, record] of shards) {
    if (digestOf(record) !== record.digest) {
      throw new UsageError(`${name}: its digest does not fit: it was changed after the run`);
    }
    if (record.shard === undefined || record.units === undefined) {
      throw new UsageError(`${name}: a whole run, expected one made with --shard`);
    }
    for (const field of common) {
      if (record[field] !== first[field]) {
        throw new UsageError(
          `${name}: ${field} is ${record[field]}, in ${firstName} it is ${first[field]}: not the same run`,
        );
      }
    }
    const changed = changedFile(first.files ?? {}, record.files ?? {});
    if (changed !== undefined) {
      throw new UsageError(
        `${name}: ${changed} is not the file it was in ${firstName}: not the same kernels`,
      );
    }
    if (record.shard.count !== count) {
      throw new UsageError(
        `${name}: one of ${record.shard.count} shards, ${firstName} of ${count}`,
      );
    }
    const twin = byIndex.get(record.shard.index);
    if (twin !== undefined) {
      throw new UsageError(`${name}: shard ${record.shard.index} again, as in ${twin}`);
    }
    byIndex.set(record.shard.index, name);
  }
  const missing = Array.from({ length: count }, (_, i) => i + 1).filter((i) => !byIndex.has(i));
  if (missing.length > 0) {
    throw new UsageError(`merge: shard ${missing.join(', ')} of ${count} missing`);
  }

  const units = [...shards.values()].flatMap(({ units: own }) => own ?? []);
  const stale = [...new Set([...shards.values()].flatMap((record) => record.stale ?? []))];
  return certificate(
    lawResults(inOrder(units, specs)),
    { name: first.backend, dtype: first.dtype as FloatFormat },
    specs,
    {
      device: first.device,
      seed: first.seed,
      runs: first.runs,
      ...(first.files && { files: first.files }),
      stale,
    },
  );
}

/** A file whose hash differs, or that only one of them knows. */
function changedFile(
  one: Readonly<Record<string, string>>,
  other: Readonly<Record<string, string>>,
): string | undefined {
  return Object.keys({ ...one, ...other }).find((file) => one[file] !== other[file]);
}

/** Units as a whole run has them: by operator, law and place. */
function inOrder(units: readonly UnitResult[], specs: readonly KernelSpec[]): UnitResult[] {
  const keys = specs.flatMap(({ name, laws }) => laws.map((law) => `${name}: ${law.name}`));
  const places = new Map(keys.map((key, place) => [key, place]));
  const placeOf = ({ kernel, law }: UnitResult): number => places.get(`${kernel}: ${law}`) ?? -1;
  return units.toSorted((a, b) => placeOf(a) - placeOf(b) || a.chunk - b.chunk);
}
