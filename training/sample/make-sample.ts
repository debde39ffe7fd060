/**
 * Makes the sample of real activations in this folder: the first whole windows of each source file, whose windows are
 * shuffled already. Run: `npx tsx training/sample/make-sample.ts SOURCE_FOLDER`.
 * @module
 */

import { join } from 'node:path';
import { fingerprint } from '../formats/fingerprint.ts';
import {
  openSafetensors,
  readRows,
  readTensor,
  writeSafetensors,
  type LazyTensor,
} from '../formats/safetensors-file.ts';
import { tensorNamed } from '../formats/safetensors-header.ts';
import type { WrittenDtype } from '../formats/safetensors.ts';

const SAMPLES = [
  { source: 'minilm-l6-block3-train.safetensors', target: 'train.safetensors', windows: 128 },
  { source: 'minilm-l6-block3-heldout.safetensors', target: 'heldout.safetensors', windows: 32 },
] as const;

const folder = process.argv[2];
if (folder === undefined) throw new Error('usage: make-sample.ts SOURCE_FOLDER');
for (const { source, target, windows } of SAMPLES) {
  const file = await openSafetensors(join(folder, source));
  const document = await readTensor(file, tensorNamed(file, 'document', source));
  const rows = firstRowOfWindow(document as Int32Array, windows);
  const tensors: LazyTensor[] = [...file.tensors.values()].map((tensor) => ({
    name: tensor.name,
    dtype: tensor.dtype as WrittenDtype,
    shape: [rows, ...tensor.shape.slice(1)],
    read: async () => {
      const bytes = await readRows(file, tensor, 0, rows);
      return tensor.dtype === 'F16'
        ? new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2)
        : new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    },
  }));
  await writeSafetensors(join(import.meta.dirname, target), tensors, {
    ...file.metadata,
    licence: 'Apache-2.0 (the model that computed them)',
    sample: `rows 0 to ${rows - 1} (${windows} whole windows) of ${source}`,
    source_hash: await fingerprint(file.path),
  });
  await file.close();
  process.stdout.write(`${target}: ${rows} rows\n`);
}

/** Rows of one window share a document number, and windows follow one another. */
function firstRowOfWindow(document: Int32Array, window: number): number {
  let windows = 1;
  for (let row = 1; row < document.length; row++) {
    if (document[row] !== document[row - 1] && ++windows > window) return row;
  }
  return document.length;
}
