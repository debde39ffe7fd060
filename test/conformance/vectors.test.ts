import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { decodeSafetensors } from '../../training/formats/safetensors.ts';
import { pythonWith } from './python.ts';

type Shaped = readonly [dtype: string, ...shape: number[]];

interface Vector {
  readonly id: string;
  readonly file: string;
  readonly dtype: 'float32' | 'float64';
  readonly flags: Readonly<Record<string, readonly number[]>>;
  readonly sha256: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: Readonly<Record<string, Shaped>>;
}

interface Manifest {
  readonly flags: Readonly<Record<string, string>>;
  /** Kind of vector, then tensor: what it is. */
  readonly tensors: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly vectors: readonly Vector[];
}

const root = fileURLToPath(new URL('../../conformance/vectors/', import.meta.url));
const sources = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !entry.name.startsWith('_'))
  .map(({ name }) => name)
  .sort();

const otherArchitectures: Readonly<Record<string, readonly string[]>> = {
  bussmann: [],
  'dictionary-learning': ['jumprelu', 'standard-april', 'top-k'],
  nabeshima: [],
  saelens: ['jumprelu', 'jumprelu-quadratic', 'jumprelu-ste', 'standard', 'top-k'],
};

test('every published implementation has recordings', () => {
  expect(sources).toEqual(['bussmann', 'dictionary-learning', 'nabeshima', 'saelens']);
});

test('all recordings together stay small enough for a repository', () => {
  const bytes = sources
    .flatMap((source) => readdirSync(root + source).map((name) => join(root, source, name)))
    .reduce((sum, path) => sum + readFileSync(path).length, 0);
  expect(bytes).toBeLessThan(33e6);
});

describe.each(sources)('recordings of %s', (source) => {
  const folder = `${root}${source}/`;
  const manifest = JSON.parse(readFileSync(`${folder}manifest.json`, 'utf8')) as Manifest;
  const ofKind = (kind: string): readonly Vector[] =>
    manifest.vectors.filter(({ config }) => config['kind'] === kind);

  test('the manifest lists every file, its hash and its tensors', () => {
    const files = readdirSync(folder).filter((name) => name.endsWith('.safetensors'));
    expect(manifest.vectors.map(({ file }) => file).sort()).toEqual(files.sort());
    for (const { file, sha256, config, tensors } of manifest.vectors) {
      const bytes = readFileSync(folder + file);
      expect(createHash('sha256').update(bytes).digest('hex'), file).toBe(sha256);
      const decoded = decodeSafetensors(bytes, file);
      const found = [...decoded.tensors.values()].map(
        ({ name, dtype, shape }) => [name, [dtype, ...shape]] as const,
      );
      expect(Object.fromEntries(found), file).toEqual(tensors);
      expect(JSON.parse(decoded.metadata['config']), file).toEqual(config);
    }
  });

  test('the manifest says what each tensor is', () => {
    for (const { id, config, tensors } of manifest.vectors) {
      const described = Object.keys(manifest.tensors[config['kind'] as string]).map(patternOf);
      const unknown = Object.keys(tensors).filter(
        (name) => !described.some((pattern) => pattern.test(name)),
      );
      expect(unknown, id).toEqual([]);
    }
  });

  test('three runs of 200 steps have three shapes, in both dtypes', () => {
    const runs = ofKind('run');
    const shapes = new Set(runs.map(({ config }) => shapeOf(config)));
    expect(runs).toHaveLength(6);
    expect(shapes.size).toBe(3);
    for (const { id, config, tensors } of runs) {
      expect(config['steps'], id).toBe(200);
      const [states, steps] = recordedCounts(tensors);
      expect([states, steps], id).toEqual([201, 200]);
      if ('recorded_steps' in config) {
        expect(config['recorded_steps'], id).toEqual(Array.from({ length: 200 }, (_, t) => t));
        expect(config['recorded_states'], id).toEqual(Array.from({ length: 201 }, (_, t) => t));
      }
    }
  });

  test('other architectures have short runs, in both dtypes', () => {
    const runs = ofKind('architecture-run');
    const expected = otherArchitectures[source].flatMap((id) => [`${id}.float32`, `${id}.float64`]);
    expect(runs.map(({ id }) => id).sort()).toEqual(expected.sort());
    for (const { id, config, tensors } of runs) {
      expect([config['steps'], ...recordedCounts(tensors)], id).toEqual([40, 41, 40]);
    }
  });

  test.each(['float32', 'float64'])('every branch occurs in some step in %s', (dtype) => {
    const vectors = manifest.vectors.filter((vector) => vector.dtype === dtype);
    for (const flag of Object.keys(manifest.flags)) {
      const steps = vectors.flatMap(({ flags }) => flags[flag] ?? []);
      expect(steps.length, flag).toBeGreaterThan(0);
    }
  });

  test('the operators include the initialisation and the published defaults', () => {
    for (const { id, config, tensors } of ofKind('operators')) {
      expect(Object.keys(config), id).toEqual(expect.arrayContaining(['initialise', 'defaults']));
      for (const name of ['draw.0', 'W_enc', 'b_enc', 'W_dec', 'b_dec']) {
        expect(Object.keys(tensors), id).toContain(`initialise.${name}`);
      }
    }
  });
});

test('one loss with its gradients is recorded with dead latents below, at and above k_aux', () => {
  for (const source of ['bussmann', 'dictionary-learning']) {
    const manifest = JSON.parse(readFileSync(`${root}${source}/manifest.json`, 'utf8')) as Manifest;
    const { config } = manifest.vectors.find(({ id }) => id === 'operators.float64')!;
    const { cases, k_aux: shared } = config['step'] as StepCases;
    const sides = cases.map(({ dead, k_aux = shared! }) => (dead === 0 ? NaN : dead - k_aux));
    expect(new Set(sides.map(Math.sign)), source).toEqual(new Set([NaN, -1, 0, 1]));
  }
});

interface StepCases {
  readonly k_aux?: number;
  readonly cases: readonly { readonly dead: number; readonly k_aux?: number }[];
}

/** A name in a manifest's table stands for others: `ID` for a case's id, `I` for a number, `*` for a parameter. */
function patternOf(name: string): RegExp {
  const parts = name.split('.').map((part) => {
    if (part === 'ID') return '[a-z0-9_-]+(\\.\\d+)?';
    if (part === 'I') return '\\d+';
    return part === '*' ? '(W_enc|b_enc|W_dec|b_dec|threshold)' : part;
  });
  return new RegExp(`^${parts.join('\\.')}$`);
}

function shapeOf(config: Vector['config']): string {
  return ['d_in', 'd_sae', 'batch'].map((name) => String(config[name])).join();
}

/** Numbers of recorded states and steps, the same for all parameters and for all step values. */
function recordedCounts(tensors: Vector['tensors']): [states: number, steps: number] {
  const lengths = (pattern: RegExp): Set<number> =>
    new Set(
      Object.entries(tensors)
        .filter(([name]) => pattern.test(name))
        .map(([, [, length]]) => length),
    );
  const states = lengths(/^(m\.|v\.)?(W_enc|W_dec|b_dec)$/);
  const steps = lengths(/^(x|loss|latents|x_hat|grad_norm|(grad|clipped)\..*)$/);
  expect([states.size, steps.size]).toEqual([1, 1]);
  return [...states, ...steps] as [number, number];
}

const python = pythonWith('numpy');

describe.skipIf(python.path === null)(`read.py, for Python users ${python.reason}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'vectors-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const run = (...args: string[]): SpawnSyncReturns<string> =>
    spawnSync(python.path!, ['-B', `${root}read.py`, ...args], { encoding: 'utf8' });

  test('lists every vector and agrees with them', () => {
    const { status, stdout, stderr } = run();
    expect(stderr).toBe('');
    for (const source of sources) expect(stdout).toContain(`${source}/operators.float64`);
    expect(stdout.match(/200 comparisons, largest difference \d\.\de-1\d/g)).toHaveLength(6);
    expect(status).toBe(0);
  });

  test('fails when one recorded value is changed', () => {
    const copy = join(folder, 'bussmann');
    cpSync(`${root}bussmann`, copy, { recursive: true });
    expect(run(folder).status).toBe(0);
    const path = join(copy, 'one-dimension.float64.safetensors');
    const bytes = readFileSync(path);
    const { data } = decodeSafetensors(bytes, path).tensors.get('W_enc')!;
    const changed = Buffer.from(Float64Array.of((data as Float64Array)[500]).buffer);
    const at = bytes.indexOf(changed);
    expect(at).toBeGreaterThan(0);
    bytes.writeDoubleLE(bytes.readDoubleLE(at) + 1e-9, at);
    writeFileSync(path, bytes);
    const { status, stdout } = run(folder);
    expect(stdout).toContain('largest difference 1.0e-09');
    expect(status).toBe(1);
  });
});
