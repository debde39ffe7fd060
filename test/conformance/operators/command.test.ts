import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readCase } from '../../../conformance/operators/case-file.ts';
import type { KernelSpec, Tensor, Tensors } from '../../../conformance/kernel.ts';
import { adamCalls } from '../../../conformance/kernels/adam.ts';
import { specs } from '../../../conformance/kernels/all.ts';
import { auxkCalls } from '../../../conformance/kernels/auxk.ts';
import { decodeCalls } from '../../../conformance/kernels/decode.ts';
import { gradientCalls } from '../../../conformance/kernels/gradients.ts';
import { callOperator } from '../../../conformance/operators/call.ts';
import { operators } from '../../../conformance/operators/table.ts';
import {
  addRunCommand,
  operatorNamed,
  runOperator,
} from '../../../conformance/operators/command.ts';
import { dialectNamed, dictionaryLearning } from '../../../reference/dialects.ts';
import { version } from '../../../reference/version.ts';
import { encodeSafetensors, type WrittenDtype } from '../../../training/formats/safetensors.ts';
import { UsageError } from '../../../training/usage-error.ts';
import { printed } from '../printed.ts';
import { pythonWith } from '../python.ts';
import { runCases, type RunCase } from './run-cases.ts';

const folder = mkdtempSync(join(tmpdir(), 'matryoshka-run-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const textsOf = (config: RunCase['config']): Record<string, string> =>
  Object.fromEntries(Object.entries(config).map(([key, value]) => [key, JSON.stringify(value)]));

/** A case as a file of our own writer. */
function written(
  name: string,
  tensors: Readonly<Record<string, Tensor>>,
  metadata: Readonly<Record<string, string>> = {},
): string {
  const path = join(folder, `${name}.safetensors`);
  const all = Object.entries(tensors).map(([tensor, { shape, data }]) => ({
    name: tensor,
    shape,
    data,
    dtype: 'F64' as const,
  }));
  writeFileSync(path, encodeSafetensors(all, metadata));
  return path;
}

const bits = ({ data }: Tensor): string =>
  Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex');

/** Every expected tensor is there, with its shape and its bits. */
function expectBits(got: Tensors, expected: Tensors): void {
  for (const [name, tensor] of Object.entries(expected)) {
    expect(got[name]?.shape, name).toEqual(tensor.shape);
    expect(bits(got[name]), name).toBe(bits(tensor));
  }
}

async function runCase(given: RunCase, input: string): Promise<Tensors> {
  const out = `${input}.out`;
  await runOperator(operatorNamed(given.operator), dialectNamed(given.dialect), input, out);
  return (await readCase(out)).tensors;
}

const titled = runCases.map((each, i) => [`${each.operator} in ${each.dialect}`, i, each] as const);

test('every operator has a case here', () => {
  expect(new Set(runCases.map(({ operator }) => operator))).toEqual(
    new Set(operators.map(({ name }) => name)),
  );
});

describe('gives the numbers of the library call, to the bit', () => {
  test.each(titled)('%s, from a file of our own writer', async (_name, i, given) => {
    const input = written(`own-${i}`, given.tensors, textsOf(given.config));
    expectBits(await runCase(given, input), given.expected);
  });

  const python = pythonWith('numpy', 'safetensors.numpy');
  describe.skipIf(python.path === null)(
    `from a file of Python's safetensors ${python.reason}`,
    () => {
      const paths = runCases.map((_, i) => join(folder, `python-${i}.safetensors`));
      beforeAll(() =>
        writeWithPython(
          python.path!,
          runCases.map(({ tensors, config }, i) => ({
            path: paths[i],
            metadata: textsOf(config),
            tensors: Object.entries(tensors),
          })),
        ),
      );
      test.each(titled)('%s', async (_name, i, given) => {
        expectBits(await runCase(given, paths[i]), given.expected);
      });
    },
  );
});

function writeWithPython(
  python: string,
  files: readonly {
    path: string;
    metadata: Record<string, string>;
    tensors: readonly [string, Tensor][];
  }[],
): void {
  const script = `
import base64, json, sys
import numpy as np
from safetensors.numpy import save_file
for file in json.load(sys.stdin):
    tensors = {name: np.frombuffer(base64.b64decode(data), dtype='<f8').reshape(shape).copy() for name, shape, data in file['tensors']}
    save_file(tensors, file['path'], metadata=file['metadata'] or None)
`;
  const input = files.map(({ path, metadata, tensors }) => ({
    path,
    metadata,
    tensors: tensors.map(([name, { shape, data }]) => [
      name,
      shape,
      Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64'),
    ]),
  }));
  execFileSync(python, ['-c', script], { input: JSON.stringify(input), maxBuffer: 2 ** 26 });
}

describe('speaks the words of the conformance suite', () => {
  /** `W_enc, b_enc` → both; `m.…` stands for what the other side names. */
  const names = (entries: Readonly<Record<string, string>>): string[] =>
    Object.keys(entries).flatMap((key) => key.split(', '));
  const covers = (mine: readonly string[], name: string): boolean =>
    mine.includes(name) ||
    mine.some((known) => known.endsWith('…') && name.startsWith(known.slice(0, -1))) ||
    (name.endsWith('…') && mine.some((known) => known.startsWith(name.slice(0, -1))));

  test.each(specs.map((spec) => [spec.name, spec] as const))(
    '%s has the same tensors and settings',
    (name, spec: KernelSpec) => {
      const operator = operatorNamed(name);
      for (const [kind, mine, theirs] of [
        ['input', Object.keys(operator.inputs), names(spec.inputs)],
        ['output', names(operator.outputs), names(spec.outputs)],
        ['config', Object.keys(operator.config), names(spec.config)],
      ] as const) {
        for (const each of theirs) expect(covers(mine, each), `${kind} ${each}`).toBe(true);
      }
    },
  );

  test.each([
    ['gradients', gradientCalls],
    ['auxk', auxkCalls],
    ['decode', decodeCalls],
    ['adam-update', adamCalls],
  ] as const)('%s answers the suite’s cases as its reference does', (name, calls) => {
    const { reference } = specs.find((spec) => spec.name === name)!;
    fc.assert(
      fc.property(calls, (call) => {
        const { outputs } = callOperator(operatorNamed(name), {
          dialect: dictionaryLearning,
          tensors: call.inputs,
          metadata: textsOf(call.config),
          where: 'case',
        });
        expectBits(outputs, reference(call));
      }),
      { numRuns: 50 },
    );
  });
});

const acts = { shape: [3, 4], data: Float64Array.from({ length: 12 }, (_, i) => (i * 7) % 12) };

test('leading dimensions are rows to the operator, and come back', async () => {
  const flat = { shape: [6, 2], data: acts.data };
  const deep = { shape: [3, 2, 2], data: acts.data };
  const [once, twice] = await Promise.all(
    [flat, deep].map(async (tensor, i) => {
      const input = written(`lead-${i}`, { acts: tensor }, { k: '0.7' });
      await runOperator(operatorNamed('batch-topk'), dictionaryLearning, input, `${input}.out`);
      return (await readCase(`${input}.out`)).tensors['latents'];
    }),
  );
  expect(twice.shape).toEqual([3, 2, 2]);
  expect(bits(twice)).toBe(bits(once));
});

test('the next state of train-step is a state that the next step takes', async () => {
  const given = runCases.find(
    ({ operator, dialect }) => operator === 'train-step' && dialect === 'nabeshima',
  )!;
  const input = written('chain-0', given.tensors, textsOf(given.config));
  const after = await runCase(given, input);
  const state = Object.fromEntries(
    Object.entries(after).filter(([name]) => Object.hasOwn(given.tensors, name)),
  );
  const next = written(
    'chain-1',
    { ...state, x: given.tensors['x'] },
    textsOf({ ...given.config, step: 13 }),
  );
  const result = await runCase(given, next);
  expect(result['step'].data[0]).toBe(14);
  expect(bits(result['W_enc'])).not.toBe(bits(after['W_enc']));
});

test.each<[WrittenDtype | 'BOOL' | 'U16' | 'I8' | 'U64', number[], number[]]>([
  ['F32', [1.5, 0.1, 0, 3], [1.5, Math.fround(0.1), 0, 3]],
  ['F16', [0x3e00, 0x0001, 0, 0x4200], [1.5, 2 ** -24, 0, 3]],
  ['BF16', [0x3fc0, 0x0001, 0, 0x4040], [1.5, 2 ** -133, 0, 3]],
  ['I64', [5, 0, 2 ** 53, 7], [5, 0, 2 ** 53, 7]],
  ['I32', [5, 0, 2 ** 30, 7], [5, 0, 2 ** 30, 7]],
  ['U16', [5, 0, 65_535, 7], [5, 0, 65_535, 7]],
  ['I8', [5, 0, 127, 7], [5, 0, 127, 7]],
  ['U64', [5, 0, 2 ** 60, 7], [5, 0, 2 ** 60, 7]],
  ['BOOL', [1, 0, 1, 1], [1, 0, 1, 1]],
])('%s values are taken as float64, exactly', async (dtype, stored, values) => {
  const path = join(folder, `dtype-${dtype}.safetensors`);
  const arrays = {
    F32: Float32Array,
    F16: Uint16Array,
    BF16: Uint16Array,
    I32: Int32Array,
    U16: Uint16Array,
    I8: Int8Array,
    BOOL: Uint8Array,
  } as const;
  const data =
    dtype === 'I64' || dtype === 'U64'
      ? BigInt64Array.from(stored, BigInt)
      : new arrays[dtype as 'F32'](stored);
  const header = JSON.stringify({
    __metadata__: { k: '4' },
    acts: { dtype, shape: [1, 4], data_offsets: [0, data.byteLength] },
  });
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(header.length));
  writeFileSync(path, Buffer.concat([size, Buffer.from(header), Buffer.from(data.buffer)]));
  await runOperator(operatorNamed('batch-topk'), dictionaryLearning, path, `${path}.out`);
  expect([...(await readCase(`${path}.out`)).tensors['latents'].data]).toEqual(values);
});

test('a whole number that float64 has not is refused, not rounded', async () => {
  const path = join(folder, 'wide.safetensors');
  writeFileSync(
    path,
    encodeSafetensors([
      { name: 'acts', dtype: 'I64', shape: [1, 1], data: BigInt64Array.of(2n ** 53n + 1n) },
    ]),
  );
  await expect(readCase(path)).rejects.toThrow(
    /tensor "acts": 9007199254740993 is no float64 value/,
  );
});

test('the result says what it came of', async () => {
  const input = written('facts', { acts }, { k: '1', format: 'np' });
  const out = join(folder, 'facts.out');
  const own = { ...dictionaryLearning, name: 'mine', clip: { maxNorm: 2 } };
  const summary = await runOperator(operatorNamed('batch-topk'), own, input, out);
  const { metadata } = await readCase(out);
  expect(metadata).toMatchObject({ operator: 'batch-topk', version });
  expect(JSON.parse(metadata['configuration'])).toEqual({ k: 1 });
  expect(JSON.parse(metadata['dialect'])).toMatchObject({ name: 'mine', clip: { maxNorm: 2 } });
  const hash = createHash('sha256').update(readFileSync(input)).digest('hex');
  expect(metadata['input_sha256']).toBe(hash);
  expect(summary.outputs).toEqual({ latents: [3, 4] });
});

test('train-step records the whole configuration, defaults of the dialect included', async () => {
  const given = runCases.find(({ operator }) => operator === 'train-step')!;
  const input = written('settings', given.tensors, textsOf(given.config));
  const { configuration } = await runOperator(
    operatorNamed('train-step'),
    dictionaryLearning,
    input,
    `${input}.out`,
  );
  expect(configuration).toMatchObject({ step: 12, k: 2.3, auxk_alpha: 1 / 32, selection: 'batch' });
});

const run = (...args: readonly string[]): Promise<string> =>
  printed(addRunCommand, ['run', ...args]);

describe('matryoshka run', () => {
  test('--list shows every operator with its tensors, and as JSON', async () => {
    const text = await run('--list');
    const json = JSON.parse(await run('--list', '--json')) as { name: string; inputs: object }[];
    expect(json.map(({ name }) => name)).toEqual(operators.map(({ name }) => name));
    for (const { name, inputs } of operators) {
      expect(text).toContain(`${name}: `);
      for (const tensor of Object.keys(inputs)) expect(text).toContain(`  in     ${tensor}  (`);
    }
  });

  test('OP --help shows its own tensors and settings', async () => {
    const help = await run('batch-topk', '--help');
    expect(help).toContain('in     acts  (…, d_sae)');
    expect(help).toContain('config k  a number');
  });

  test('--json prints the summary, before or after the operator', async () => {
    const input = written('json', { acts }, { k: '1' });
    const files = ['--in', input, '--out', join(folder, 'json.out')];
    for (const args of [
      ['batch-topk', ...files, '--json'],
      ['--json', 'batch-topk', ...files],
    ]) {
      expect(JSON.parse(await run(...args))).toMatchObject({ operator: 'batch-topk', version });
    }
  });

  const ok = written('ok', { acts }, { k: '1' });
  const out = join(folder, 'refused.out');
  const broken = join(folder, 'broken.safetensors');
  writeFileSync(broken, readFileSync(ok).subarray(0, 60));
  mkdirSync(join(folder, 'a-folder'));
  const own = (name: string, json: unknown): string => {
    const path = join(folder, `${name}.json`);
    writeFileSync(path, typeof json === 'string' ? json : JSON.stringify(json));
    return path;
  };
  const file = (
    name: string,
    tensors: Record<string, Tensor>,
    meta: Record<string, string> = {},
  ): string[] => ['--in', written(name, tensors, meta), '--out', out];
  const vector = (...values: number[]): Tensor => ({
    shape: [values.length],
    data: Float64Array.from(values),
  });
  const step = runCases.find(({ operator }) => operator === 'train-step')!;
  const without = (...names: string[]): Record<string, Tensor> =>
    Object.fromEntries(Object.entries(step.tensors).filter(([name]) => !names.includes(name)));
  test.each<[string, string[], RegExp]>([
    ['no operator', [], /expected an operator: .*encode/],
    [
      'a misspelt operator',
      ['batchtopk', '--in', ok],
      /unknown operator "batchtopk"; did you mean batch-topk/,
    ],
    ['an unknown operator', ['quux'], /unknown operator "quux": expected one of .*train-step/],
    ['an option in the operator’s place', ['--bogus'], /unknown option --bogus/],
    [
      'an absent input',
      ['batch-topk', '--in', join(folder, 'absent'), '--out', out],
      /--in .*absent: no such file/,
    ],
    ['a folder as input', ['batch-topk', '--in', folder, '--out', out], /--in .*: is a folder/],
    [
      'a broken file',
      ['batch-topk', '--in', broken, '--out', out],
      /--in .*broken.safetensors: truncated or not safetensors/,
    ],
    [
      'a missing tensor',
      ['batch-topk', ...file('e1', {}, { k: '1' })],
      /tensor "acts": missing; batch-topk needs \(…, d_sae\)/,
    ],
    [
      'an unknown tensor',
      ['batch-topk', ...file('e2', { acts, act: acts }, { k: '1' })],
      /tensor "act": unknown; did you mean acts\? batch-topk takes acts, scores/,
    ],
    [
      'a shape that does not fit',
      ['decode', ...file('e3', { latents: acts, W_dec: acts, b_dec: vector(1, 2) })],
      /tensor "W_dec": expected shape \(d_sae, d_in\) with d_sae = 4 by latents, got \(3, 4\)/,
    ],
    [
      'leading dimensions that differ',
      [
        'batch-topk',
        ...file('e4', { acts, scores: { shape: [1, 4], data: new Float64Array(4) } }, { k: '1' }),
      ],
      /tensor "scores": expected shape \(…, d_sae\) with … = 3 by acts, d_sae = 4 by acts, got \(1, 4\)/,
    ],
    [
      'a missing key',
      ['batch-topk', ...file('e5', { acts })],
      /configuration "k": missing; give a number/,
    ],
    [
      'an unknown key',
      ['batch-topk', ...file('e6', { acts }, { k: '1', kk: '2' })],
      /configuration "kk": unknown; did you mean k\? batch-topk takes k/,
    ],
    [
      'a key that is no JSON number',
      ['batch-topk', ...file('e7', { acts }, { k: 'two' })],
      /configuration "k": expected a number as JSON, got "two"/,
    ],
    [
      'a dialect as a key',
      ['batch-topk', ...file('e8', { acts }, { k: '1', dialect: 'paper' })],
      /give it as --dialect/,
    ],
    [
      'a value the reference refuses',
      ['batch-topk', ...file('e9', { acts }, { k: '9' })],
      /configuration "k": expected 0 <= k <= d_sae = 4, got 9/,
    ],
    [
      'a setting the reference refuses',
      ['train-step', ...file('e10', step.tensors, textsOf({ ...step.config, warmup_steps: 500 }))],
      /configuration "warmup_steps": expected fewer than the 100 steps, got 500/,
    ],
    [
      'a decision out of range',
      [
        'adam-update',
        ...file(
          'e11',
          { parameter: acts, gradient: acts, m: acts, v: acts },
          { step: '1', rate: '1', beta1: '1' },
        ),
      ],
      /configuration "beta1": expected a number from 0 to below 1, got 1/,
    ],
    [
      'NaN',
      [
        'batch-topk',
        ...file(
          'e12',
          { acts: { shape: [2, 2], data: Float64Array.of(1, 2, NaN, 3) } },
          { k: '1' },
        ),
      ],
      /tensor "acts": expected finite values, got NaN at \[1, 0\]/,
    ],
    [
      'no rows',
      [
        'batch-topk',
        ...file('e13', { acts: { shape: [0, 4], data: new Float64Array(0) } }, { k: '1' }),
      ],
      /tensor "acts": expected at least one value, got shape \(0, 4\)/,
    ],
    [
      'a result that overflows',
      [
        'normalise-input',
        ...file('e14', { x: { shape: [1, 2], data: Float64Array.of(1e308, 1e308) } }),
        '--dialect',
        'nabeshima',
      ],
      /output "mean_norm" would hold Infinity/,
    ],
    [
      'scores that a dialect ranks by, left out',
      ['batch-topk', ...file('e15', { acts }, { k: '1' }), '--dialect', 'saelens'],
      /tensor "scores": missing; dialect saelens ranks acts-times-decoder-norm/,
    ],
    [
      'half of a state',
      ['train-step', ...file('e16', without('since_fired'), textsOf(step.config))],
      /tensor "since_fired": missing; it may be left out at step 0 alone, got step 12/,
    ],
    [
      'one threshold where JumpReLU has many',
      [
        'infer',
        ...file('e17', {
          x: step.tensors['x'],
          ...without(
            'x',
            'since_fired',
            'mean_norm',
            'mean_squares',
            'sparsity_scale',
            ...Object.keys(step.tensors).filter((name) => /^[mv]\./.test(name)),
          ),
        }),
        '--dialect',
        'saelens_jumprelu',
      ],
      /tensor "threshold": expected shape \(10\), one for each latent, got \(\)/,
    ],
    [
      'flags that are no flags',
      [
        'auxk',
        ...file('e18', {
          residual: acts,
          acts,
          W_dec: { shape: [4, 4], data: new Float64Array(16).fill(1) },
          dead: vector(0, 2, 0, 1),
        }),
      ],
      /tensor "dead": expected 0 or 1, got 2/,
    ],
    [
      'an unknown dialect',
      ['batch-topk', '--in', ok, '--out', out, '--dialect', 'dl'],
      /--dialect: expected one of dictionary_learning, .*got "dl"/,
    ],
    [
      'an absent dialect file',
      ['batch-topk', '--in', ok, '--out', out, '--dialect', join(folder, 'no.json')],
      /--dialect .*no.json: no such file/,
    ],
    [
      'a dialect file that is not JSON',
      ['batch-topk', '--in', ok, '--out', out, '--dialect', own('text', '{"name": }')],
      /--dialect .*text.json: not JSON/,
    ],
    [
      'a dialect file with an unknown decision',
      [
        'batch-topk',
        '--in',
        ok,
        '--out',
        out,
        '--dialect',
        own('unknown', { name: 'a', extends: 'paper', loss: { mean: 1 } }),
      ],
      /--dialect .*unknown.json: dialect.loss.mean: no such decision/,
    ],
    [
      'the input as output',
      ['batch-topk', '--in', ok, '--out', ok],
      /--out .*: is the input itself/,
    ],
    [
      'a folder as output',
      ['batch-topk', '--in', ok, '--out', join(folder, 'a-folder')],
      /--out .*a-folder: is a folder/,
    ],
    ['an output below a file', ['batch-topk', '--in', ok, '--out', join(ok, 'x')], /--out/],
    [
      'a device as output',
      ['batch-topk', '--in', ok, '--out', '/dev/null'],
      /--out \/dev\/null: is no regular file/,
    ],
  ])('refuses %s in one line', async (_name, args, message) => {
    const error = await run(...args).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(UsageError);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).not.toContain('\n');
    expect(existsSync(out)).toBe(false);
  });

  test.each([
    ['a symbolic link to it', symlinkSync],
    ['another name of it', linkSync],
  ] as const)('never writes over its input by %s', async (name, link) => {
    const input = written(`guarded ${name}`, { acts }, { k: '1' });
    const path = join(folder, `alias ${name}`);
    link(input, path);
    const before = readFileSync(input);
    await expect(run('batch-topk', '--in', input, '--out', path)).rejects.toThrow(
      /is the input itself/,
    );
    expect(readFileSync(input)).toEqual(before);
  });

  test('leaves nothing beside a result', async () => {
    const place = join(folder, 'new', 'place');
    await run('batch-topk', '--in', ok, '--out', join(place, 'r.safetensors'));
    expect(readdirSync(place)).toEqual(['r.safetensors']);
  });
});
