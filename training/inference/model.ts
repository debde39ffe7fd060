/**
 * A trained SAE to be used: what `matryoshka train` writes, or what SAELens saves.
 * @module
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { fileError } from '../file-error.ts';
import { fingerprint } from '../formats/fingerprint.ts';
import { openSafetensors, readRows } from '../formats/safetensors-file.ts';
import { tensorNamed } from '../formats/safetensors-header.ts';
import { isFloat, toFloat32 } from '../formats/safetensors.ts';
import { readSae, SAE_CONFIG, SAE_WEIGHTS } from '../formats/sae.ts';
import { UsageError } from '../usage-error.ts';

/**
 * latents = acts where acts > threshold, with acts = relu((x - b_dec) W_enc + b_enc), or of x itself; x̂ = latents W_dec +
 * b_dec. Decoder norms and input scales are folded in.
 */
export interface InferenceModel {
  readonly d_in: number;
  readonly d_sae: number;
  /** (d_in, d_sae). */
  readonly W_enc: Float32Array;
  /** (d_sae). */
  readonly b_enc: Float32Array;
  /** (d_sae, d_in). */
  readonly W_dec: Float32Array;
  /** (d_in). */
  readonly b_dec: Float32Array;
  /** One cut for all latents, or each latent's own (d_sae). Below 0: none. */
  readonly threshold: number | Float32Array;
  /** Whether b_dec is taken from x before it is encoded. */
  readonly subtractsDecoderBias: boolean;
  /** Widths of the nested SAEs; the last is d_sae. */
  readonly prefixes: readonly number[];
  /** Mean latents of a row in training; null where it is not known. */
  readonly k: number | null;
  /** Of the weights' file. */
  readonly hash: string;
}

const SAELENS_WEIGHTS = 'sae_weights.safetensors';

/**
 * @param folder - with `sae.safetensors` and `cfg.json` of ours, or `sae_weights.safetensors` and `cfg.json` of SAELens,
 * architectures standard and jumprelu (as which it saves BatchTopK and Matryoshka).
 * @throws {@link UsageError} naming the file and the field if it holds neither.
 */
export async function readModel(folder: string): Promise<InferenceModel> {
  if (!existsSync(join(folder, SAE_WEIGHTS)) && existsSync(join(folder, SAELENS_WEIGHTS))) {
    return readSaelens(folder);
  }
  const { config, ...weights } = await readSae(folder);
  const { d_in, d_sae, prefixes, k } = config;
  const hash = await fingerprint(join(folder, SAE_WEIGHTS));
  return { d_in, d_sae, prefixes, k, hash, subtractsDecoderBias: true, ...weights };
}

const size = z.int().positive();
const saelensConfig = z.object({
  architecture: z.enum(['standard', 'jumprelu'], {
    error: 'expected standard or jumprelu (SAELens saves BatchTopK as jumprelu)',
  }),
  d_in: size,
  d_sae: size,
  apply_b_dec_to_input: z.boolean().default(true),
  normalize_activations: z
    .literal('none', { error: 'expected none: fold the scale into the weights and save it again' })
    .default('none'),
  reshape_activations: z.literal('none').default('none'),
});

async function readSaelens(folder: string): Promise<InferenceModel> {
  const configPath = join(folder, SAE_CONFIG);
  let json: unknown;
  try {
    json = JSON.parse(await readFile(configPath, 'utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) throw new UsageError(`${configPath}: not JSON`);
    throw fileError(error, configPath);
  }
  const parsed = saelensConfig.safeParse(json);
  if (!parsed.success) {
    const [{ path, message }] = parsed.error.issues;
    throw new UsageError(`${configPath}: ${path.join('.') || 'content'}: ${message}`);
  }
  const { architecture, d_in, d_sae, apply_b_dec_to_input } = parsed.data;
  const path = join(folder, SAELENS_WEIGHTS);
  const file = await openSafetensors(path);
  const values = async (name: string, ...shape: number[]): Promise<Float32Array> => {
    const tensor = tensorNamed(file, name, path);
    if (!isFloat(tensor.dtype) || tensor.shape.join() !== shape.join()) {
      throw new UsageError(
        `${path}: tensor "${name}" is ${tensor.dtype} of shape [${tensor.shape.join(', ')}], expected floats of shape [${shape.join(', ')}] by ${SAE_CONFIG}`,
      );
    }
    const out = new Float32Array(shape.reduce((product, length) => product * length, 1));
    toFloat32(tensor.dtype, await readRows(file, tensor, 0, shape[0]), out);
    return out;
  };
  try {
    return {
      d_in,
      d_sae,
      W_enc: await values('W_enc', d_in, d_sae),
      b_enc: await values('b_enc', d_sae),
      W_dec: await values('W_dec', d_sae, d_in),
      b_dec: await values('b_dec', d_in),
      threshold: architecture === 'standard' ? 0 : await values('threshold', d_sae),
      subtractsDecoderBias: apply_b_dec_to_input,
      prefixes: [d_sae],
      k: null,
      hash: await fingerprint(path),
    };
  } finally {
    await file.close();
  }
}
