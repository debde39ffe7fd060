/**
 * Checkpoints: everything the rest of a run depends on, in one safetensors file that is replaced in one step. A run
 * resumed from it ends in the same bits as one that was never interrupted, on the same kernel.
 * @module
 */
import { z } from 'zod';
import { removeLeftovers } from './atomic-file.ts';
import {
  openSafetensors,
  readTensor,
  writeSafetensors,
  type LazyTensor,
  type SafetensorsFile,
} from './formats/safetensors-file.ts';
import { tensorNamed } from './formats/safetensors-header.ts';
import type { TensorShape } from './formats/safetensors.ts';
import type { StateReader } from './trainer.ts';
import { UsageError } from './usage-error.ts';

/** The file's name in the output folder. */
export const CHECKPOINT = 'checkpoint.safetensors';

/** What makes a run this run and no other, by the option that sets it: values that JSON holds exactly. */
export type RunIdentity = Readonly<Record<string, unknown>>;

export interface CheckpointFacts {
  readonly run: RunIdentity;
  /** Steps done. */
  readonly step: number;
  /** Rows served: the whole position in the shuffled activations. */
  readonly served: number;
  /** What inputs are divided by; 1 if not normalised. */
  readonly normFactor: number;
  /** Of the last step; null before the first. */
  readonly loss: number | null;
}

const facts = z.object({
  run: z.record(z.string(), z.unknown()),
  step: z.int().nonnegative(),
  served: z.int().nonnegative(),
  normFactor: z.number().positive(),
  loss: z.number().nullable(),
});

const FORMAT = 'matryoshka-sae checkpoint 1';

/**
 * @throws {@link UsageError} for a full disk and the like, and if the state holds a value that is not finite: from it
 * there would be no way back. The checkpoint before it is still there then.
 */
export async function saveCheckpoint(
  path: string,
  saved: CheckpointFacts,
  state: readonly LazyTensor[],
): Promise<void> {
  const checked = state.map((tensor) => ({
    ...tensor,
    read: async () => {
      const values = (await tensor.read()) as Float32Array | Float64Array;
      for (let i = 0; i < values.length; i++) {
        // 0 for every finite value, NaN for the rest.
        if (values[i] - values[i] !== 0) {
          throw new UsageError(
            `step ${saved.step}: ${tensor.name} holds ${values[i]}: training diverged, so lower --lr; the checkpoint before it is kept`,
          );
        }
      }
      return values;
    },
  }));
  await writeSafetensors(path, checked, { format: FORMAT, facts: JSON.stringify(saved) });
}

export interface OpenCheckpoint extends CheckpointFacts {
  readonly file: SafetensorsFile;
  readonly read: StateReader;
  close(): Promise<void>;
}

/** @throws {@link UsageError} if the file is not a whole checkpoint of this version. */
export async function openCheckpoint(path: string): Promise<OpenCheckpoint> {
  await removeLeftovers(path);
  const file = await openSafetensors(path);
  const { format, facts: json = '' } = file.metadata;
  const parsed = format === FORMAT ? facts.safeParse(tryJson(json)) : undefined;
  if (parsed?.success !== true) {
    await file.close();
    throw new UsageError(
      `${path}: not a checkpoint of this version (format "${format ?? 'none'}", expected "${FORMAT}"): start over with --no-resume or choose another --out`,
    );
  }
  return {
    ...parsed.data,
    file,
    read: (name) => readTensor(file, tensorNamed(file, name, path)),
    close: () => file.close(),
  };
}

/** @throws {@link UsageError} unless the checkpoint holds exactly these tensors. */
export function requireState(file: SafetensorsFile, shapes: readonly TensorShape[]): void {
  for (const { name, dtype, shape } of shapes) {
    const tensor = tensorNamed(file, name, file.path);
    if (tensor.dtype !== dtype || tensor.shape.join() !== shape.join()) {
      throw new UsageError(
        `${file.path}: tensor "${name}" is ${tensor.dtype} of shape [${tensor.shape.join(', ')}], expected ${dtype} of shape [${shape.join(', ')}]`,
      );
    }
  }
}

/**
 * @throws {@link UsageError} naming the first field that differs and both values.
 */
export function requireSameRun(saved: RunIdentity, now: RunIdentity, path: string): void {
  for (const field of new Set([...Object.keys(now), ...Object.keys(saved)])) {
    const [was, is] = [JSON.stringify(saved[field]), JSON.stringify(now[field])];
    if (was !== is) {
      throw new UsageError(
        `${field} ${is ?? 'not given'}: differs from ${was ?? 'not given'} of the run in ${path}: give the same value, choose another --out, or start over with --no-resume`,
      );
    }
  }
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
