import { copyFileSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openShards, readActivations } from '../../../training/activation-shards.ts';
import { decodeShards, type DecodeSettings } from '../../../training/inference/decode.ts';
import { encodeShards, type EncodeSettings } from '../../../training/inference/encode.ts';
import {
  partsOf,
  readLatents,
  readLatentsRecord,
} from '../../../training/inference/latents-file.ts';
import { joined, type Latents } from '../../../training/inference/latents.ts';
import { UsageError } from '../../../training/usage-error.ts';
import {
  d_in,
  d_sae,
  plainActs,
  plainDecode,
  threshold,
  thresholds,
  wholeRows,
  writeOwn,
  writeRows,
  writeSaelens,
} from './made-sae.ts';

const folder = mkdtempSync(join(tmpdir(), 'inference-'));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (...names: string[]): string => join(folder, ...names);

/** Two shards, neither a whole number of batches or files. */
const shards = [wholeRows(53, 1), wholeRows(19, 2)];
const all = Float32Array.from([...shards[0], ...shards[1]]);
const rows = all.length / d_in;
beforeAll(async () => {
  await writeOwn(at('sae'));
  shards.forEach((x, i) => writeRows(at(`shard-${i}.safetensors`), x));
});

const settings = (out: string, more: Partial<EncodeSettings> = {}): EncodeSettings => ({
  sae: at('sae'),
  activations: [at('shard-0.safetensors'), at('shard-1.safetensors')],
  out: at(out),
  gate: 'threshold',
  backend: 'threads',
  batch: 8,
  rowsPerFile: 16,
  ...more,
});
const decoding = (
  latents: string,
  out: string,
  more: Partial<DecodeSettings> = {},
): DecodeSettings => ({
  sae: at('sae'),
  latents: at(latents),
  out: at(out),
  backend: 'threads',
  batch: 8,
  ...more,
});

async function written(out: string): Promise<Latents> {
  const parts = partsOf(await readLatentsRecord(at(out)));
  return joined(await Promise.all(parts.map(({ name }) => readLatents(at(out, name), d_sae))));
}

function dense({ start, latent, value, rows: count }: Latents): Float64Array {
  const values = new Float64Array(count * d_sae);
  for (let row = 0; row < count; row++) {
    for (let e = start[row]; e < start[row + 1]; e++) values[row * d_sae + latent[e]] = value[e];
  }
  return values;
}

const above = (acts: Float64Array, cut: (latent: number) => number): Float64Array =>
  acts.map((act, i) => (act > cut(i % d_sae) ? act : 0));

const files = (out: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(at(out)).map((name) => [name, readFileSync(at(out, name)).toString('base64')]),
  );

describe.each(['threads', 'reference', 'wasm', 'cpu'] as const)('on %s', (backend) => {
  test('latents are the acts strictly above the threshold, ties left out, in the order of the rows', async () => {
    const out = `threshold-${backend}`;
    const result = await encodeShards(settings(out, { backend }));
    const expected = above(plainActs(all), () => threshold);
    expect(dense(await written(out))).toEqual(expected);
    expect(plainActs(all).some((act) => act === threshold)).toBe(true);
    const on = expected.filter((value) => value > 0).length;
    expect(result).toMatchObject({ status: 'done', rows, files: 6, kept: 0, l0: on / rows });
  });

  test('a threshold below 0 leaves ReLU alone', async () => {
    const out = `relu-${backend}`;
    await encodeShards(settings(out, { backend, threshold: -1 }));
    expect(dense(await written(out))).toEqual(plainActs(all));
  });

  test('each latent has its own threshold where SAELens saved them', async () => {
    const sae = writeSaelens(at('saelens'));
    const out = `own-${backend}`;
    await encodeShards(settings(out, { backend, sae }));
    expect(dense(await written(out))).toEqual(above(plainActs(all), (j) => thresholds[j]));
  });

  test('without b_dec in the encoder, where the SAE was trained so', async () => {
    const sae = writeSaelens(at('raw'), { architecture: 'standard', apply_b_dec_to_input: false });
    const out = `raw-${backend}`;
    await encodeShards(settings(out, { backend, sae }));
    expect(dense(await written(out))).toEqual(plainActs(all, false));
  });

  test('batches keep as many as k times their rows', async () => {
    const out = `batch-${backend}`;
    const result = await encodeShards(settings(out, { backend, gate: 'batch', k: 1.5, batch: 10 }));
    const { start } = await written(out);
    const acts = plainActs(all);
    // The last batch of each shard has fewer rows.
    for (const [first, end] of [
      [0, 10],
      [40, 50],
      [50, 53],
      [63, 72],
    ]) {
      const kept = start[end] - start[first];
      const positive = acts.subarray(first * d_sae, end * d_sae).filter((act) => act > 0).length;
      expect(kept).toBe(Math.min(Math.trunc(1.5 * (end - first)), positive));
    }
    expect(result.files).toBe(4);
  });

  test.each([d_sae, 20, 1])(
    'decoding gives the rows back from latents below %s',
    async (prefix) => {
      const latents = `threshold-${backend}`;
      const out = `decoded-${backend}-${prefix}`;
      const result = await decodeShards(decoding(latents, out, { backend, prefix }));
      expect(result).toMatchObject({ status: 'done', rows, files: 6, kept: 0, prefix });
      const paths = partsOf(await readLatentsRecord(at(latents))).map(({ name }) => at(out, name));
      const restored = await openShards(paths, 'ACTIVATIONS');
      const values: number[] = [];
      for (const shard of restored.shards) {
        const x = new Float32Array(shard.rows * d_in);
        await readActivations(shard, 0, shard.rows, x);
        values.push(...x);
      }
      await restored.close();
      const kept = above(plainActs(all), () => threshold);
      expect(Float32Array.from(values)).toEqual(plainDecode(kept, prefix));
    },
  );
});

describe('a run that was stopped', () => {
  test('goes on where its last whole file is, to the same bytes', async () => {
    await encodeShards(settings('whole'));
    const controller = new AbortController();
    const stopped = await encodeShards(settings('stopped'), {
      signal: controller.signal,
      onRows: (done) => void (done > 20 && controller.abort()),
    });
    expect(stopped).toMatchObject({ status: 'interrupted', files: 1, rows: 16 });
    expect(await encodeShards(settings('stopped'))).toMatchObject({ kept: 1, rows, files: 6 });
    expect(files('stopped')).toEqual(files('whole'));
    expect(await encodeShards(settings('stopped'))).toMatchObject({ kept: 6, rows });
  });

  test('is not mixed with another: the setting that differs is named', async () => {
    await encodeShards(settings('mine'));
    await expect(encodeShards(settings('mine', { threshold: 2 }))).rejects.toThrow(
      /^--out .*mine: holds latents of another run: threshold was 3, now 2; choose another folder$/,
    );
    await expect(
      encodeShards(settings('mine', { activations: [at('shard-1.safetensors')] })),
    ).rejects.toThrow(/sources was .*shard-0/);
    await decodeShards(decoding('mine', 'back'));
    await expect(decodeShards(decoding('mine', 'back', { prefix: 7 }))).rejects.toThrow(
      /is of another run: prefix was 40, now 7/,
    );
    expect(await decodeShards(decoding('mine', 'back'))).toMatchObject({ kept: 6 });
  });
});

describe('what is wrong is named', () => {
  const refused = async (work: Promise<unknown>, message: RegExp): Promise<void> => {
    const error = await work.then(
      () => null,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(UsageError);
    expect((error as Error).message).toMatch(message);
  };

  test('a value that is not finite, by file, row and column', async () => {
    const x = wholeRows(20, 3);
    x[11 * d_in + 4] = NaN;
    const bad = writeRows(at('bad.safetensors'), x);
    await refused(
      encodeShards(settings('bad', { activations: [bad] })),
      /bad\.safetensors: row 11 of tensor "activations" holds NaN at column 4/,
    );
    expect(readdirSync(at('bad'))).toEqual(['latents.json']);
  });

  test('another width than the SAE’s', async () => {
    const x = new Float32Array(12 * d_in);
    const wide = at('wide.safetensors');
    const { encodeSafetensors } = await import('../../../training/formats/safetensors.ts');
    const { writeFileSync } = await import('node:fs');
    const tensor = { name: 'activations', dtype: 'F32', shape: [6, 2 * d_in], data: x } as const;
    writeFileSync(wide, encodeSafetensors([tensor]));
    await refused(
      encodeShards(settings('wide', { activations: [wide] })),
      /wide\.safetensors: d_in is 12, but the SAE in .*sae has d_in 6$/,
    );
    expect(existsSync(at('wide'))).toBe(false);
  });

  test('a folder without an SAE, and a kind that is not read', async () => {
    await refused(encodeShards(settings('x', { sae: at('nothing') })), /nothing.*no such file/);
    const topk = writeSaelens(at('topk'), { architecture: 'topk' });
    await refused(
      encodeShards(settings('x', { sae: topk })),
      /topk.cfg\.json: architecture: expected standard or jumprelu/,
    );
    const scaled = writeSaelens(at('scaled'), { normalize_activations: 'layer_norm' });
    await refused(
      encodeShards(settings('x', { sae: scaled })),
      /cfg\.json: normalize_activations: expected none/,
    );
  });

  test('settings that do not go together', async () => {
    const k = { gate: 'batch', k: 41 } as const;
    await refused(encodeShards(settings('x', k)), /^--k: expected 0 <= k <= d_sae = 40, got 41$/);
    await refused(encodeShards(settings('x', { k: 3 })), /^--k: only --gate batch reads it/);
    const both = { gate: 'batch', threshold: 1 } as const;
    await refused(encodeShards(settings('x', both)), /^--threshold: --gate batch does not read it/);
    const unknown = { gate: 'batch', sae: writeSaelens(at('no-k')) } as const;
    await refused(encodeShards(settings('x', unknown)), /^--k: the SAE in .* does not say its k/);
  });

  test('latents of another SAE, a missing file, a broken one, a prefix that is none', async () => {
    await encodeShards(settings('good'));
    const sae = writeSaelens(at('other'));
    await refused(decodeShards(decoding('good', 'y', { sae })), /made by another SAE/);
    await refused(
      decodeShards(decoding('good', 'y', { prefix: 41 })),
      /^--prefix: expected 1 to d_sae = 40, got 41$/,
    );
    copyFileSync(at('shard-0.safetensors'), at('good', '00000-00001.safetensors'));
    await refused(decodeShards(decoding('good', 'y')), /00000-00001\.safetensors.*"indptr"/);
    rmSync(at('good', '00000-00001.safetensors'));
    await refused(
      decodeShards(decoding('good', 'z')),
      /00000-00001\.safetensors is missing: let matryoshka encode finish first/,
    );
  });
});
