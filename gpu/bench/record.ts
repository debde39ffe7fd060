/**
 * A whole run as data: what was measured, on which machine, with which settings.
 * @module
 */
import { availableParallelism, cpus, totalmem } from 'node:os';
import { version } from '../../reference/version.ts';
import type { ShapeResult } from './bench.ts';
import { rowsOf, type Row } from './compare.ts';

export interface Machine {
  readonly cpu: string;
  readonly processors: number;
  readonly memoryGiB: number;
  readonly platform: string;
  readonly node: string;
}

/** A machine is taken for idle up to this share of its processors. */
const LOAD_LIMIT = 0.1;

export interface BenchRecord {
  readonly version: string;
  /** ISO 8601, at the start. */
  readonly date: string;
  readonly command: string;
  readonly machine: Machine;
  readonly threads: number;
  readonly seed: number;
  readonly auxk: boolean;
  readonly interrupted: boolean;
  readonly shapes: readonly ShapeResult[];
  /** Shapes that differ in one size. */
  readonly growth: readonly { readonly axis: 'd_sae' | 'batch'; readonly result: ShapeResult }[];
  /** Of all the shapes, those of `growth` after the others. */
  readonly rows: readonly Row[];
}

export function thisMachine(): Machine {
  const { platform, arch, version: node } = process;
  return {
    cpu: cpus()[0]?.model.trim() || arch,
    processors: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${platform} ${arch}`,
    node,
  };
}

export function benchRecord(
  run: Omit<BenchRecord, 'version' | 'rows' | 'interrupted'>,
): BenchRecord {
  const results = [...new Set([...run.shapes, ...run.growth.map(({ result }) => result)])];
  return {
    version,
    ...run,
    interrupted: results.some(({ interrupted }) => interrupted),
    rows: results.flatMap(rowsOf),
  };
}

/** Where and with what the run was made, a line each: for below a table that is pasted somewhere. */
export function circumstances({
  date,
  machine,
  threads,
  seed,
  auxk,
  shapes,
  growth,
  ...record
}: BenchRecord): string[] {
  const { cpu, processors, memoryGiB, platform, node } = machine;
  const results = [...shapes, ...growth.map(({ result }) => result)];
  const sides = results.flatMap((one) => one.sides);
  const shares = results.map(({ othersLoad }) => othersLoad).filter(Number.isFinite);
  const busy = shares.length === 0 ? 0 : Math.max(...shares);
  const engines = new Set(
    sides
      .filter(({ base }) => base > 0)
      .map(({ engine, kind }) => (kind === 'ours' ? `ours: ${engine}` : engine)),
  );
  return [
    `${date.slice(0, 10)}, ${cpu}, ${processors} processors, ${memoryGiB} GiB, ${platform}, Node ${node}; other programs kept up to ${Math.round(100 * busy)} % of the processors busy${busy > LOAD_LIMIT ? ': do not rely on these times' : ''}.`,
    `matryoshka-sae ${record.version}, ${threads} threads, seed ${seed}, AuxK ${auxk ? 'at work' : 'idle'}. ${[...engines].join('; ')}.`,
    `\`${record.command}\`${record.interrupted ? ' (interrupted: the last shape has fewer rounds)' : ''}`,
  ];
}
