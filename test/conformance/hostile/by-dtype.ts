/**
 * A kernel process in two dtypes: batch-topk and encode as the reference has them, but in bfloat16 batch-topk answers
 * with zeros.
 */
import { writeSync } from 'node:fs';
import type { Tensors } from '../../../conformance/kernel.ts';
import { encode } from '../../../conformance/kernels/encode.ts';
import { batchTopk } from '../../../conformance/kernels/select.ts';
import { decodeMessage, encodeFrame, FrameReader } from '../../../conformance/messages.ts';
import type { FloatFormat } from '../../../conformance/number-formats.ts';

const kernels = [encode, batchTopk];
const hello = {
  id: '0',
  protocol: '1',
  name: 'by dtype',
  operators: JSON.stringify(kernels.map(({ name }) => name)),
  dtypes: '["float32", "bfloat16"]',
};

const reader = new FrameReader(() => 2 ** 26);
process.stdin.on('data', (chunk: Buffer) => {
  for (const received of reader.push(chunk)) {
    if (received.kind === 'message') answer(received.bytes);
  }
});

function answer(request: Uint8Array): void {
  const { metadata, tensors } = decodeMessage(request);
  const { operator, id, config } = metadata;
  const dtype = metadata['dtype'] as FloatFormat;
  if (operator === 'hello') return put(hello, {}, 'float32');
  const kernel = kernels.find(({ name }) => name === operator)!;
  try {
    const call = { config: JSON.parse(config) as Record<string, number>, inputs: tensors };
    const outputs = kernel.reference(call);
    const wrong = operator === batchTopk.name && dtype === 'bfloat16';
    const sent = Object.entries(outputs).map(([name, { shape, data }]) => [
      name,
      { shape, data: data.map((value) => (wrong ? 0 : value)) },
    ]);
    put({ id, status: 'ok' }, Object.fromEntries(sent) as Tensors, dtype);
  } catch (error) {
    put({ id, status: 'refused', message: (error as Error).message }, {}, dtype);
  }
}

function put(
  metadata: Readonly<Record<string, string>>,
  tensors: Tensors,
  dtype: FloatFormat,
): void {
  writeSync(1, encodeFrame({ metadata, tensors }, dtype));
}
