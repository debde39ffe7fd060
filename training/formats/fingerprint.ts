/**
 * What identifies an input file in a checkpoint and in a finished SAE: enough to notice that it is another file.
 * @module
 */

import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';

const WHOLE_BYTES = 64 * 1024 * 1024;
const PIECES = 16;
const PIECE_BYTES = 64 * 1024;

/**
 * `sha256:…` of the whole file up to 64 MiB. Beyond that, shards can be terabytes, so `sha256-sampled:…`: of the size
 * as decimal text and of 16 pieces of 64 KiB, evenly spaced from the first byte to the last.
 */
export async function fingerprint(path: string): Promise<string> {
  const hash = createHash('sha256');
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    if (size <= WHOLE_BYTES) return `sha256:${hash.update(await handle.readFile()).digest('hex')}`;
    hash.update(String(size));
    const piece = new Uint8Array(PIECE_BYTES);
    for (let i = 0; i < PIECES; i++) {
      const at = Math.floor((i * (size - PIECE_BYTES)) / (PIECES - 1));
      const { bytesRead } = await handle.read(piece, 0, PIECE_BYTES, at);
      hash.update(piece.subarray(0, bytesRead));
    }
    return `sha256-sampled:${hash.digest('hex')}`;
  } finally {
    await handle.close();
  }
}
