/**
 * What the Python scripts of this folder write: safetensors with parameters, activations as their entries, and stacks of
 * batches that are read one at a time.
 * @module
 */
import { matrix, type Matrix } from '../../reference/matrix.ts';
import type { SaeParams } from '../../reference/params.ts';
import { openSafetensors, readRows, readTensor } from '../../training/formats/safetensors-file.ts';
import type { TensorInfo } from '../../training/formats/safetensors-header.ts';
import { valuesOf } from '../../training/formats/safetensors.ts';
import { UsageError } from '../../training/usage-error.ts';
import { sparseRowsBuilder, type SparseRows } from '../sparse-rows.ts';

/** An open file. Every method throws a {@link UsageError} naming the tensor that is missing. */
export interface TensorFile {
  readonly metadata: Readonly<Record<string, string>>;
  readonly shape: (name: string) => readonly number[];
  readonly values: (name: string) => Promise<Float64Array>;
  readonly matrix: (name: string) => Promise<Matrix>;
  /** W_enc (d_in, d_sae), b_enc, W_dec (d_sae, d_in), b_dec, each named with `prefix` before it. */
  readonly params: (prefix: string) => Promise<SaeParams>;
  /** Entries `prefix`row, `prefix`column, `prefix`value, in order of the row. */
  readonly sparse: (prefix: string, rows: number, cols: number) => Promise<SparseRows>;
  /** Entry t of a stack (t, rows, cols). */
  readonly batch: (name: string, t: number) => Promise<Matrix>;
  readonly close: () => Promise<void>;
}

/** @throws {@link UsageError} if the file is missing or not safetensors. */
export async function openTensorFile(path: string): Promise<TensorFile> {
  const file = await openSafetensors(path);
  const infoOf = (name: string): TensorInfo => {
    const info = file.tensors.get(name);
    if (info === undefined) throw new UsageError(`${path}: has no tensor ${name}: export it again`);
    return info;
  };
  const values = async (name: string): Promise<Float64Array> =>
    Float64Array.from((await readTensor(file, infoOf(name))) as ArrayLike<number>);
  const readMatrix = async (name: string): Promise<Matrix> => {
    const [rows, cols] = infoOf(name).shape;
    return matrix(rows, cols, await values(name));
  };
  return {
    metadata: file.metadata,
    shape: (name) => infoOf(name).shape,
    values,
    matrix: readMatrix,
    params: async (prefix) => ({
      W_enc: await readMatrix(`${prefix}W_enc`),
      b_enc: await values(`${prefix}b_enc`),
      W_dec: await readMatrix(`${prefix}W_dec`),
      b_dec: await values(`${prefix}b_dec`),
    }),
    sparse: async (prefix, rows, cols) => {
      const [row, column, value] = await Promise.all(
        ['row', 'column', 'value'].map((part) => values(`${prefix}${part}`)),
      );
      const builder = sparseRowsBuilder(cols);
      let at = 0;
      for (let n = 0; n < rows; n++) {
        for (; at < row.length && row[at] === n; at++) builder.add(column[at], value[at]);
        builder.endRow();
      }
      return builder.finish();
    },
    batch: async (name, t) => {
      const info = infoOf(name);
      const [, rows, cols] = info.shape;
      const one = { ...info, shape: [rows, cols] };
      const data = valuesOf(one, await readRows(file, info, t, 1), path);
      return matrix(rows, cols, Float64Array.from(data as ArrayLike<number>));
    },
    close: () => file.close(),
  };
}
