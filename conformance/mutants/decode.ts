/**
 * Wrong decoders.
 * @module
 */
import { matrix } from '../../reference/matrix.ts';
import type { Call, Tensors } from '../kernel.ts';
import { decode } from '../kernels/decode.ts';
import { numbersOf, tensor, toMatrix } from '../tensors.ts';
import { agreement, nonFinite, type Mutant } from './mutant.ts';

/** How a decoder sums: which latents level g takes, and how often it adds b_dec. */
interface Decoding {
  /** Latents start <= j < end of 0-based level g. */
  readonly range?: (g: number, prefixes: readonly number[]) => readonly [number, number];
  readonly biases?: (g: number, levels: number) => number;
  readonly value?: (latent: number, at: { b: number; j: number; g: number }) => number;
  /** What is done to each sum before it is returned. */
  readonly store?: (sum: number) => number;
}

/** Every level from scratch, with the given decisions. */
function decoding(how: Decoding): Mutant['run'] {
  return (call): Tensors => {
    const prefixes = numbersOf(call, 'prefixes');
    const latents = toMatrix(call.inputs.latents);
    const { W_dec, b_dec } = call.inputs;
    const d_in = b_dec.data.length;
    const out = prefixes.flatMap((m, g) => {
      const [start, end] = how.range?.(g, prefixes) ?? [0, m];
      const level = matrix(latents.rows, d_in);
      for (let i = 0; i < level.data.length; i++) {
        const b = Math.floor(i / d_in);
        let sum = (how.biases?.(g, prefixes.length) ?? 1) * b_dec.data[i % d_in];
        for (let j = start; j < Math.min(end, latents.cols); j++) {
          const latent = latents.data[b * latents.cols + j];
          const value = how.value?.(latent, { b, j, g }) ?? latent;
          if (value !== 0) sum += value * W_dec.data[j * d_in + (i % d_in)];
        }
        level.data[i] = how.store?.(sum) ?? sum;
      }
      return [...level.data];
    });
    const shape = [prefixes.length, ...call.inputs.latents.shape.slice(0, -1), d_in];
    return { reconstructions: tensor(shape, out) };
  };
}

/** W_dec read as if it lay in memory as (d_in, d_sae). */
function transposed(call: Call): Tensors {
  const { W_dec } = call.inputs;
  const [d_sae, d_in] = W_dec.shape;
  const data = W_dec.data.map((_, at) => W_dec.data[(at % d_in) * d_sae + Math.floor(at / d_in)]);
  return decode.reference({
    ...call,
    inputs: { ...call.inputs, W_dec: tensor(W_dec.shape, data) },
  });
}

/** Laws that tell what is wrong. */
const law = {
  later: 'a prefix decodes as if later latents were zero',
  group: 'neighbouring reconstructions differ by what their group decodes',
  bias: 'where a row has no latent in a prefix its reconstruction is b_dec exactly',
  alone: 'a row decodes alone as it does in a batch',
} as const;

export const mutants: readonly Mutant[] = [
  {
    operator: 'decode',
    name: 'each prefix one latent too long',
    imitates: 'a boundary taken as inclusive',
    diagnosis: [law.later],
    run: decoding({ range: (g, prefixes) => [0, prefixes[g] + 1] }),
  },
  {
    operator: 'decode',
    name: 'each prefix one latent too short',
    imitates: 'a boundary taken as the index of the last latent',
    diagnosis: [law.group],
    run: decoding({ range: (g, prefixes) => [0, prefixes[g] - 1] }),
  },
  {
    operator: 'decode',
    name: 'prefixes taken for group sizes',
    imitates: 'dictionary_learning configures group sizes, SAELens widths: one read as the other',
    diagnosis: [law.later],
    run: decoding({
      range: (g, prefixes) => [0, prefixes.slice(0, g + 1).reduce((sum, size) => sum + size, 0)],
    }),
  },
  {
    operator: 'decode',
    name: 'groups decoded alone',
    imitates: 'a running sum that is restarted at every group',
    diagnosis: [law.group],
    run: decoding({ range: (g, prefixes) => [g === 0 ? 0 : prefixes[g - 1], prefixes[g]] }),
  },
  {
    operator: 'decode',
    name: 'b_dec missing after the first level',
    imitates: 'a running sum restarted per level, which starts from b_dec only once',
    diagnosis: [law.bias],
    run: decoding({ biases: (g) => (g === 0 ? 1 : 0) }),
  },
  {
    operator: 'decode',
    name: 'b_dec missing in the first level',
    imitates: 'b_dec added with the second group',
    diagnosis: [law.bias],
    run: decoding({ biases: (g) => (g === 0 ? 0 : 1) }),
  },
  {
    operator: 'decode',
    name: 'b_dec added once for each group',
    imitates: 'a full decode of every group, biases included, summed up',
    diagnosis: [law.bias],
    run: decoding({ biases: (g) => g + 1 }),
  },
  {
    operator: 'decode',
    name: 'b_dec doubled in the last level',
    imitates: 'SAELens decodes the full width separately: its bias added to a sum that has it',
    diagnosis: [law.bias],
    run: decoding({ biases: (g, levels) => (g === levels - 1 ? 2 : 1) }),
  },
  {
    operator: 'decode',
    name: 'only the largest latent of each row and prefix',
    imitates: 'SAELens pull 571: a top-k of its own for each level instead of one selection',
    diagnosis: [law.group],
    run: (call) =>
      decoding({
        value: (latent, { b, j }) => {
          const { cols, data } = toMatrix(call.inputs.latents);
          const before = data.subarray(b * cols, b * cols + j);
          return before.some((other) => other > latent) ? 0 : latent;
        },
      })(call),
  },
  {
    operator: 'decode',
    name: 'in three dimensions, prefixes cut the sequence',
    imitates: 'published losses slice axis 1: the latents of (rows, d_sae), the rows of a sequence',
    diagnosis: [law.alone],
    run: (call) => {
      const { shape } = call.inputs.latents;
      if (shape.length < 3) return decode.reference(call);
      const prefixes = numbersOf(call, 'prefixes');
      return decoding({
        range: () => [0, shape[2]],
        value: (latent, { b, g }) => (b % shape[1] < prefixes[g] ? latent : 0),
      })(call);
    },
  },
  {
    operator: 'decode',
    name: 'W_dec read column by column',
    imitates: 'nn.Linear stores decoder.weight as (d_in, d_sae)',
    diagnosis: [law.group],
    run: transposed,
  },
  {
    operator: 'decode',
    name: 'latents that are NaN skipped',
    imitates: 'a gather of latents > 0, which NaN is not',
    diagnosis: [nonFinite],
    run: decoding({ value: (latent) => (latent > 0 ? latent : 0) }),
  },
  {
    operator: 'decode',
    name: 'sums stored with 16 bits',
    imitates: 'a decoder left under autocast',
    diagnosis: [agreement],
    run: decoding({ store: sixteenBits }),
  },
];

/** The nearest value with the 11 significant bits of a float16, of any exponent. */
function sixteenBits(value: number): number {
  if (value === 0 || !Number.isFinite(value)) return value;
  const unit = 2 ** (Math.floor(Math.log2(Math.abs(value))) - 10);
  return Math.round(value / unit) * unit;
}
