/**
 * Kernels whose answers depend on more than the call: on calls before, on chance, on an index that has too few bits.
 * @module
 */
import type { Call, Operator, Tensors } from '../kernel.ts';
import { adamUpdate } from '../kernels/adam.ts';
import { sinceFired } from '../kernels/dead-latents.ts';
import { decode } from '../kernels/decode.ts';
import { encode } from '../kernels/encode.ts';
import { gradients } from '../kernels/gradients.ts';
import { loss } from '../kernels/loss.ts';
import { batchTopk } from '../kernels/select.ts';
import { updateThreshold } from '../kernels/threshold.ts';
import { scalar, tensor } from '../tensors.ts';
import { sameBits, type Mutant } from './mutant.ts';

/** What the reference answers to the last call with outputs of the same shape. */
function stale(reference: (call: Call) => Tensors): Operator {
  const buffers = new Map<string, Tensors>();
  return (call) => {
    const own = reference(call);
    const shapes = Object.values(own)
      .map(({ shape }) => shape.join())
      .join(';');
    const held = buffers.get(shapes);
    buffers.set(shapes, own);
    return held ?? own;
  };
}

/** Adds to what an earlier call left wherever it is as large: outputs that were never cleared. */
function accumulating(reference: (call: Call) => Tensors, name: string): Operator {
  const held = new Map<string, Float64Array>();
  return (call) => {
    const outputs = reference(call);
    const { shape, data } = outputs[name];
    const left = held.get(shape.join());
    const sum = left === undefined ? data : data.map((value, i) => value + left[i]);
    held.set(shape.join(), sum);
    return { ...outputs, [name]: tensor(shape, sum) };
  };
}

/** Latents and decoder rows summed in float32 in an order that changes from call to call. */
function inAnyOrder(): Operator {
  let turn = 0;
  return (call) => {
    turn++;
    const f = Math.fround;
    const { x, W_enc, b_enc, b_dec } = call.inputs;
    const [d_in, d_sae] = W_enc.shape;
    const acts = encode.reference(call).acts;
    const data = acts.data.map((_, at) => {
      let sum = 0;
      for (let i = 0; i < d_in; i++) {
        const t = turn % 2 === 0 ? i : d_in - 1 - i;
        const input = f(x.data[Math.floor(at / d_sae) * d_in + t] - b_dec.data[t]);
        sum = f(sum + f(input * W_enc.data[t * d_sae + (at % d_sae)]));
      }
      return Math.max(f(sum + b_enc.data[at % d_sae]), 0);
    });
    return { acts: tensor(acts.shape, data) };
  };
}

/** Flat indices wrap here: 32 bits wrap at 2^32, which no generated case reaches. */
const indices = 2;
const wrapped = (data: Float64Array): Float64Array => data.map((_, at) => data[at % indices]);

/** The reference on one input whose flat index wraps. */
function wrapping(reference: (call: Call) => Tensors, name: string): Operator {
  return (call) => {
    const { shape, data } = call.inputs[name];
    const inputs = { ...call.inputs, [name]: tensor(shape, wrapped(data)) };
    return reference({ ...call, inputs });
  };
}

/** The reference's selection, with each decision looked up by a flat index that wraps. */
function wrappedMask(call: Call): Tensors {
  const { acts } = call.inputs;
  const { latents } = batchTopk.reference(call);
  const kept = acts.data.map((act, at) => (latents.data[at % indices] !== 0 ? act : 0));
  return { latents: tensor(acts.shape, kept) };
}

/** Counts its own calls instead of reading how many updates were done. */
function ownClock(): Operator {
  let step = 0;
  return (call) =>
    adamUpdate.reference({ ...call, config: { ...call.config, step: step++ % 2000 } });
}

/** Averages into a threshold of its own. */
function ownThreshold(): Operator {
  let threshold: number | null = null;
  return (call) => {
    const inputs = {
      ...call.inputs,
      threshold: scalar(threshold ?? call.inputs.threshold.data[0]),
    };
    const { threshold: next } = updateThreshold.reference({ ...call, inputs });
    threshold = next.data[0];
    return { threshold: next };
  };
}

/** Counts on from its own counts while there are as many latents. */
function ownCounts(): Operator {
  let counts: Float64Array | null = null;
  return (call) => {
    const { shape, data } = call.inputs.since_fired;
    const from: Float64Array = counts?.length === data.length ? counts : data;
    const inputs = { ...call.inputs, since_fired: tensor(shape, from) };
    const outputs = sinceFired.reference({ ...call, inputs });
    counts = outputs.since_fired.data.map((count) => count % 2 ** 20);
    return outputs;
  };
}

const law = {
  largest: 'keeps the K largest positive acts of the whole batch, unchanged',
  columns: 'permuting latents permutes acts',
  group: 'neighbouring reconstructions differ by what their group decodes',
  alone: 'a row decodes alone as it does in a batch',
} as const;

export const mutants: readonly Mutant[] = [
  {
    operator: 'encode',
    name: 'the answer to the last call of the same shape',
    imitates: 'a pooled output buffer read back before the queue has written it',
    diagnosis: [sameBits],
    run: stale(encode.reference),
  },
  {
    operator: 'loss',
    name: 'the answer to the last call of the same shape',
    imitates: 'a loss logged from the step before, as an asynchronous copy leaves it',
    diagnosis: [sameBits],
    run: stale(loss.reference),
  },
  {
    operator: 'encode',
    name: 'sums in an order that changes',
    imitates: 'reductions by atomic additions, whose order is that of arrival',
    diagnosis: [sameBits],
    run: inAnyOrder(),
  },
  {
    operator: 'gradients',
    name: 'gradients added to those of the call before',
    imitates: 'a step without zero_grad: torch accumulates',
    diagnosis: [sameBits],
    run: accumulating(gradients.reference, 'grad.W_dec'),
  },
  {
    operator: 'decode',
    name: 'added to what the output held',
    imitates: 'a scatter-add into a buffer that was never cleared',
    diagnosis: [sameBits],
    run: accumulating(decode.reference, 'reconstructions'),
  },
  {
    operator: 'update-threshold',
    name: 'a threshold kept in the kernel',
    imitates: "bartbussmann/matryoshka_sae's BatchTopKSAE: evaluation moves the threshold too",
    diagnosis: [sameBits],
    run: ownThreshold(),
  },
  {
    operator: 'since-fired',
    name: 'counts kept in the kernel',
    imitates: 'dictionary_learning: the pass run for the log advances the counters once more',
    diagnosis: [sameBits],
    run: ownCounts(),
  },
  {
    operator: 'adam-update',
    name: 'updates counted by the kernel',
    imitates: 'torch.optim keeps the step in the optimizer: a replayed update is not the update',
    diagnosis: [sameBits],
    run: ownClock(),
  },
  {
    operator: 'encode',
    name: 'indices of W_enc that wrap',
    imitates: '32-bit indices past 2^32 elements, here past 2',
    diagnosis: [law.columns],
    run: wrapping(encode.reference, 'W_enc'),
  },
  {
    operator: 'decode',
    name: 'indices of latents that wrap',
    imitates: '32-bit indices past 2^32 elements, here past 2',
    diagnosis: [law.alone],
    run: wrapping(decode.reference, 'latents'),
  },
  {
    operator: 'decode',
    name: 'indices of W_dec that wrap',
    imitates: '32-bit indices past 2^32 elements, here past 2',
    diagnosis: [law.group],
    run: wrapping(decode.reference, 'W_dec'),
  },
  {
    operator: 'batch-topk',
    name: 'indices of the mask that wrap',
    imitates: '32-bit indices past 2^32 elements, here past 2',
    diagnosis: [law.largest],
    run: wrappedMask,
  },
];
