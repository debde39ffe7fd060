/**
 * A small SAE on disk, as `matryoshka train` writes it and as SAELens does. Weights and rows are small whole numbers, so that
 * every format and every order of sums is exact, and acts tie with the threshold.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeSae, type SaeConfig } from '../../../training/formats/sae.ts';
import { encodeSafetensors, type Tensor } from '../../../training/formats/safetensors.ts';
import { createRng } from '../../../synthetic/rng.ts';

export const d_in = 6;
export const d_sae = 40;
export const threshold = 3;

const { below } = createRng(5).split('weights');
const whole = (count: number, most: number): Float32Array =>
  Float32Array.from({ length: count }, () => below(2 * most + 1) - most);

const weights = {
  W_enc: whole(d_in * d_sae, 2),
  b_enc: whole(d_sae, 2),
  W_dec: whole(d_sae * d_in, 2),
  b_dec: whole(d_in, 1),
};
const shapes = { W_enc: [d_in, d_sae], b_enc: [d_sae], W_dec: [d_sae, d_in], b_dec: [d_in] };
const tensors: Tensor[] = (Object.keys(shapes) as (keyof typeof shapes)[]).map((name) => ({
  name,
  dtype: 'F32',
  shape: shapes[name],
  data: weights[name],
}));

export const config: SaeConfig = {
  format: 'matryoshka-sae 1',
  architecture: 'matryoshka_batchtopk',
  dialect: 'dictionary_learning',
  d_in,
  d_sae,
  k: 4,
  prefixes: [7, 20, d_sae],
  dtype: 'float32',
  threshold,
  training: {
    kernel: 'reference',
    steps: 1,
    tokens: 2,
    batch: 2,
    seed: 0,
    learningRate: 0.1,
    warmupSteps: 0,
    decayStart: null,
    auxkAlpha: 0,
    deadAfter: 1,
    thresholdStartStep: 0,
    normFactor: 1,
    loss: null,
    sources: [],
  },
  metrics: null,
  version: '0.1.0',
};

export async function writeOwn(folder: string): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const cut: Tensor = {
    name: 'threshold',
    dtype: 'F32',
    shape: [],
    data: Float32Array.of(threshold),
  };
  const all = [...tensors, cut].map((one) => ({ ...one, read: () => one.data }));
  await writeSae(folder, config, all);
  return folder;
}

/** Each latent's own threshold: 0 to 6. */
export const thresholds: Float32Array = Float32Array.from({ length: d_sae }, (_, j) => j % 7);

export function writeSaelens(folder: string, more: Readonly<Record<string, unknown>> = {}): string {
  mkdirSync(folder, { recursive: true });
  const own: Tensor = { name: 'threshold', dtype: 'F32', shape: [d_sae], data: thresholds };
  writeFileSync(join(folder, 'sae_weights.safetensors'), encodeSafetensors([...tensors, own]));
  const cfg = { architecture: 'jumprelu', d_in, d_sae, apply_b_dec_to_input: true, ...more };
  writeFileSync(join(folder, 'cfg.json'), JSON.stringify(cfg));
  return folder;
}

/** (rows, d_in), whole numbers from -2 to 2; the first row is b_dec, whose acts are b_enc alone. */
export function wholeRows(rows: number, seed: number): Float32Array {
  const rng = createRng(seed).split('rows');
  const x = Float32Array.from({ length: rows * d_in }, () => rng.below(5) - 2);
  x.set(weights.b_dec);
  return x;
}

export function writeRows(path: string, x: Float32Array): string {
  const shape = [x.length / d_in, d_in];
  writeFileSync(path, encodeSafetensors([{ name: 'activations', dtype: 'F32', shape, data: x }]));
  return path;
}

/** Pre-activations as one reads the definition: (rows, d_sae). */
export function plainActs(x: Float32Array, subtracts = true): Float64Array {
  const { W_enc, b_enc, b_dec } = weights;
  return Float64Array.from({ length: (x.length / d_in) * d_sae }, (_, at) => {
    const [row, j] = [Math.floor(at / d_sae), at % d_sae];
    let sum = b_enc[j];
    for (let i = 0; i < d_in; i++) {
      sum += (x[row * d_in + i] - (subtracts ? b_dec[i] : 0)) * W_enc[i * d_sae + j];
    }
    return Math.max(0, sum);
  });
}

/** Latents · W_dec + b_dec: (rows, d_in). */
export function plainDecode(latents: Float64Array, prefix: number = d_sae): Float32Array {
  const rows = latents.length / d_sae;
  return Float32Array.from({ length: rows * d_in }, (_, at) => {
    const [row, i] = [Math.floor(at / d_in), at % d_in];
    let sum = weights.b_dec[i];
    for (let j = 0; j < prefix; j++) sum += latents[row * d_sae + j] * weights.W_dec[j * d_in + i];
    return sum;
  });
}
