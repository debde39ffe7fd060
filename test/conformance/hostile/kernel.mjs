/**
 * A kernel in plain JavaScript that misbehaves in the way its first argument names: the same as kernel.py's where the names
 * are, so that no law of the suite rests on Python's habits.
 */
import { writeSync } from 'node:fs';

const start = Buffer.from([0x93, 0x53, 0x41, 0x45, 0x6b, 0x31, 0x0d, 0x0a]);
const [, , way] = process.argv;

function frame(metadata, tensors = {}, data = Buffer.alloc(0)) {
  const header = Buffer.from(JSON.stringify({ __metadata__: metadata, ...tensors }));
  const message = Buffer.concat([length(header.length), header, data]);
  return Buffer.concat([start, length(message.length), message]);
}

function length(bytes) {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt(bytes));
  return buffer;
}

const hello = frame({
  id: '0',
  protocol: '1',
  name: 'hostile',
  operators: '["normalise-rows"]',
  dtypes: '["float32"]',
});

const put = (bytes) => {
  for (let at = 0; at < bytes.length; at += writeSync(1, bytes.subarray(at)));
};

const ways = {
  right: (answer) => put(answer),
  throws: () => {
    throw new Error('out of paper');
  },
  exits: () => process.exit(9),
  spins: () => {
    for (;;);
  },
  'console.log': (answer) => {
    console.log('a stray print');
    put(answer);
  },
  'hangs up': () => process.stdin.destroy(),
};

let pending = Buffer.alloc(0);
process.stdin.on('data', (chunk) => {
  pending = Buffer.concat([pending, chunk]);
  while (pending.length >= 16) {
    const end = 16 + Number(pending.readBigUInt64LE(8));
    if (pending.length < end) return;
    answer(pending.subarray(16, end));
    pending = pending.subarray(end);
  }
});

function answer(message) {
  const data = 8 + Number(message.readBigUInt64LE(0));
  const { __metadata__: asked, ...tensors } = JSON.parse(message.subarray(8, data).toString());
  if (asked.operator === 'hello') return put(hello);
  ways[way](frame({ id: asked.id, status: 'ok' }, tensors, message.subarray(data)));
}
