/**
 * Shrinking by what a call means: fewer rows, latents, dimensions and levels in all its tensors at once, then fewer
 * different values. Drawing sizes first and values after, as generators do, leaves fast-check with fresh values for every
 * smaller size, which rarely fail in the same way.
 * @module
 */
import fc from 'fast-check';
import type { Call, KernelSpec, Tensor, Tensors } from './kernel.ts';
import { tensor } from './tensors.ts';

/** How large a call is; 0 where its operator has no such axis. */
export interface CallSize {
  readonly rows: number;
  readonly d_sae: number;
  readonly d_in: number;
}

/** Tensor name → its shape in words, as a spec gives it: `(…, d_sae), >= 0`. */
type ShapeWords = KernelSpec['inputs'];

interface Settings {
  /** Which smaller calls are the operator's still. */
  readonly isValid?: (call: Call) => boolean;
  /** What a smaller call's settings may become, besides staying as they are. */
  readonly adapt?: (smaller: Call, larger: Call) => readonly Call[];
}

/** The same calls, shrunk by structure and then by value. */
export function smallerCalls(
  calls: fc.Arbitrary<Call>,
  words: ShapeWords,
  settings: Settings = {},
): fc.Arbitrary<Call> {
  return new SmallerCalls(calls, words, settings);
}

/** Rows (of any leading shape), latents and dimensions of a call. */
export function sizeOf({ inputs: words }: Pick<KernelSpec, 'inputs'>, call: Call): CallSize {
  const lengths = new Map<string, number>();
  for (const [name, { shape }] of Object.entries(call.inputs)) {
    axesOf(words, name, shape).forEach((axis, at) => lengths.set(axis, shape[at]));
  }
  const rows = [...lengths].filter(([axis]) => axis === 'rows' || axis.startsWith('…'));
  return {
    rows: rows.reduce((product, [, length]) => product * length, rows.length === 0 ? 0 : 1),
    d_sae: lengths.get('d_sae') ?? 0,
    d_in: lengths.get('d_in') ?? 0,
  };
}

/** Each axis of a tensor by name; leading ones, which words write as …, are …0, …1 and so on. */
function axesOf(words: ShapeWords, name: string, shape: readonly number[]): string[] {
  const own = /\.([^.]+)$/.exec(name)?.[1] ?? name; // m.W_enc is shaped as W_enc
  const named = axesByName(words);
  const axes = named.get(name) ?? named.get(own);
  if (axes === undefined) throw new Error(`shapes: expected words for the tensor ${name}`);
  const leading = shape.length - axes.filter((axis) => axis !== '…').length;
  return axes.flatMap((axis) =>
    axis === '…' ? Array.from({ length: leading }, (_, at) => `…${at}`) : [axis],
  );
}

/** Words for several tensors at once, `W_enc, b_enc` → `(d_in, d_sae), (d_sae)`, are taken apart. */
function axesByName(words: ShapeWords): Map<string, string[]> {
  return new Map(
    Object.entries(words).flatMap(([names, text]) => {
      const shapes = [...text.matchAll(/\(([^)]*)\)/g)].map(([, axes]) =>
        axes === '' ? [] : axes.split(', '),
      );
      return names.split(', ').map((name, at) => [name, shapes[at] ?? []] as const);
    }),
  );
}

class SmallerCalls extends fc.Arbitrary<Call> {
  readonly #calls: fc.Arbitrary<Call>;
  readonly #words: ShapeWords;
  readonly #settings: Settings;

  constructor(calls: fc.Arbitrary<Call>, words: ShapeWords, settings: Settings) {
    super();
    this.#calls = calls;
    this.#words = words;
    this.#settings = settings;
  }

  generate(random: fc.Random, biasFactor: number | undefined): fc.Value<Call> {
    return new fc.Value(this.#calls.generate(random, biasFactor).value, undefined);
  }

  canShrinkWithoutContext(_value: unknown): _value is Call {
    return false;
  }

  shrink(call: Call): fc.Stream<fc.Value<Call>> {
    const { isValid = () => true } = this.#settings;
    return fc
      .stream(this.#smaller(call))
      .filter(isValid)
      .map((smaller) => new fc.Value(smaller, undefined));
  }

  *#smaller(call: Call): IterableIterator<Call> {
    const { adapt } = this.#settings;
    for (const candidate of fewer(call, this.#words)) {
      yield candidate;
      if (adapt !== undefined) yield* adapt(candidate, call);
    }
    yield* fewerLevels(call);
    yield* simplerSettings(call);
    yield* simplerValues(call);
  }
}

/** Calls with a part of one axis, the smallest part first; leading dimensions also as one. */
function* fewer(call: Call, words: ShapeWords): IterableIterator<Call> {
  const axes = new Map(
    Object.entries(call.inputs).map(([name, { shape }]) => [name, axesOf(words, name, shape)]),
  );
  if ([...axes.values()].some((own) => own.includes('…1'))) yield flattened(call, axes);
  const lengths = new Map<string, number>();
  for (const [name, own] of axes) {
    own.forEach((axis, at) => lengths.set(axis, call.inputs[name].shape[at]));
  }
  for (const [axis, length] of lengths) {
    for (const kept of partsOf(length)) {
      const inputs = Object.fromEntries(
        Object.entries(call.inputs).map(([name, each]) => [
          name,
          (axes.get(name) ?? []).reduce(
            (cut, own, at) => (own === axis ? taken(cut, at, kept) : cut),
            each,
          ),
        ]),
      );
      yield { inputs, config: settingsOf(call.config, axis, kept) };
    }
  }
}

/** One alone, halves, all but one. */
function partsOf(length: number): number[][] {
  if (length < 2) return [];
  const all = Array.from({ length }, (_, i) => i);
  const half = Math.ceil(length / 2);
  const parts = [
    ...all.map((i) => [i]),
    ...(length > 2 ? [all.slice(0, half), all.slice(-half)] : []),
    ...(length > 2 ? all.map((i) => all.filter((other) => other !== i)) : []),
  ];
  return parts;
}

function taken({ shape, data }: Tensor, axis: number, kept: readonly number[]): Tensor {
  const inner = shape.slice(axis + 1).reduce((product, length) => product * length, 1);
  const outer = shape.slice(0, axis).reduce((product, length) => product * length, 1);
  const out: number[] = [];
  for (let o = 0; o < outer; o++) {
    for (const i of kept) {
      const start = (o * shape[axis] + i) * inner;
      out.push(...data.subarray(start, start + inner));
    }
  }
  return tensor(shape.with(axis, kept.length), out);
}

/** Settings that speak of an axis, for the part of it that is kept. */
function settingsOf(config: Call['config'], axis: string, kept: readonly number[]): Call['config'] {
  const { prefixes, level_weights, k } = config;
  if (axis === 'levels' && Array.isArray(level_weights)) {
    return { ...config, level_weights: kept.map((g) => (level_weights as number[])[g]) };
  }
  if (axis !== 'd_sae') return config;
  const narrower = typeof k === 'number' ? { ...config, k: Math.min(k, kept.length) } : config;
  if (!Array.isArray(prefixes)) return narrower;
  const widths = (prefixes as number[]).map((m) => kept.filter((j) => j < m).length);
  const levels = [...widths.keys()].filter((g) => widths[g] > (widths[g - 1] ?? 0));
  return withLevels({ ...narrower, prefixes: widths }, levels);
}

function withLevels(config: Call['config'], levels: readonly number[]): Call['config'] {
  const of = (list: unknown): number[] => levels.map((g) => (list as number[])[g]);
  return {
    ...config,
    prefixes: of(config.prefixes),
    ...(config.level_weights !== undefined && { level_weights: of(config.level_weights) }),
  };
}

/** Calls without one of the inner prefixes. */
function* fewerLevels({ config, inputs }: Call): IterableIterator<Call> {
  if (!Array.isArray(config.prefixes)) return;
  const all = [...config.prefixes.keys()];
  for (const without of all.slice(0, -1)) {
    const levels = all.filter((g) => g !== without);
    yield { inputs, config: withLevels(config, levels) };
  }
}

function* simplerSettings({ config, inputs }: Call): IterableIterator<Call> {
  const { k, level_weights } = config;
  if (typeof k === 'number') {
    for (const simpler of new Set([0, 1, Math.trunc(k), Math.max(k - 1, 0)])) {
      if (simpler < k) yield { inputs, config: { ...config, k: simpler } };
    }
  }
  if (Array.isArray(level_weights)) {
    const weights = level_weights as number[];
    for (const [g, weight] of weights.entries()) {
      for (const simpler of simplerThan(weight)) {
        yield { inputs, config: { ...config, level_weights: weights.with(g, simpler) } };
      }
    }
  }
}

/** Whole tensors first, then value by value. */
function* simplerValues({ config, inputs }: Call): IterableIterator<Call> {
  const changed = (name: string, data: Float64Array): Call => {
    const replaced: Tensors = { ...inputs, [name]: tensor(inputs[name].shape, data) };
    return { config, inputs: replaced };
  };
  const names = Object.keys(inputs);
  for (const name of names) {
    const { data } = inputs[name];
    if (data.length < 2) continue;
    for (const simpler of [() => 0, Math.sign, Math.trunc]) {
      const next = data.map(simpler);
      if (next.some((value, i) => value !== data[i])) yield changed(name, next);
    }
  }
  for (const name of names) {
    const { data } = inputs[name];
    for (const [at, value] of data.entries()) {
      for (const simpler of simplerThan(value)) yield changed(name, data.with(at, simpler));
    }
  }
}

/** 0, then 1 of the same sign, then whole numbers: every step ends nearer to 0 or at a whole number. */
function simplerThan(value: number): number[] {
  if (value === 0 || !Number.isFinite(value)) return [];
  if (Math.abs(value) === 1) return [0];
  const whole = Math.trunc(value);
  return [...new Set([0, Math.sign(value), whole === value ? Math.trunc(value / 2) : whole])];
}

/** The same values in two dimensions. */
function flattened(call: Call, axes: ReadonlyMap<string, readonly string[]>): Call {
  const inputs = Object.fromEntries(
    Object.entries(call.inputs).map(([name, { shape, data }]) => {
      const own = axes.get(name) ?? [];
      const at = own.indexOf('…0');
      const leading = own.filter((axis) => axis.startsWith('…')).length;
      if (leading < 2) return [name, { shape, data }];
      const rows = shape.slice(at, at + leading).reduce((product, length) => product * length, 1);
      return [name, tensor([...shape.slice(0, at), rows, ...shape.slice(at + leading)], data)];
    }),
  );
  return { ...call, inputs };
}
