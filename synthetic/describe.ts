/**
 * What a world is, from its parameters: nothing is sampled.
 * @module
 */
import { meanMaxCosine, welchBound } from './worlds/coherence.ts';
import { forestLines } from './worlds/forest-lines.ts';
import type { WorldDefaults, WorldParams } from './worlds/params.ts';
import { createWorld, defaultsOf } from './worlds/presets.ts';
import type { World } from './worlds/world.ts';

/** Plain JSON. */
export interface WorldDescription {
  readonly name: string;
  readonly seed: number;
  readonly parameters: WorldParams;
  readonly d_in: number;
  readonly features: number;
  /** Of the most and the least frequent feature. */
  readonly probabilities: { readonly largest: number; readonly smallest: number };
  readonly expectedL0: number;
  /** Of a code whose parents are silent whenever a child is on. */
  readonly absorbedL0: number | null;
  /** P(no feature on). */
  readonly silent: number | null;
  /** False where correlation or activations cut at 0 shift what is expected. */
  readonly exact: boolean;
  readonly byDepth: readonly DepthStatistics[];
  readonly directions: {
    /** No unit directions can have a smaller root mean square cosine. */
    readonly welch: number;
    /** Mean over features of the largest |cos| with another; null where it would take long, or with one feature. */
    readonly meanMaxCosine: number | null;
  };
  readonly warnings: readonly string[];
  /** What experiments on it take where nothing is given. */
  readonly defaults: WorldDefaults;
  /** One line for each feature, drawn as a forest. */
  readonly forest: readonly string[];
}

export interface DepthStatistics {
  /** Levels below the root; free features have neither parent nor child. */
  readonly depth: number | 'free';
  readonly features: number;
  readonly expectedL0: number;
}

/** Above this many features, directions are not made for a description. */
const DIRECTIONS_UP_TO = 512;

/** @throws {@link RangeError} where the parameters are impossible. */
export function describeWorld(params: WorldParams, seed: number): WorldDescription {
  const world = createWorld(params, seed);
  const { marginals, expectedL0, absorbedL0, silent, exact } = world.statistics;
  const count = world.features.length;
  return {
    name: world.name,
    seed,
    parameters: params,
    d_in: world.d_in,
    features: count,
    probabilities: {
      largest: marginals.reduce((a, b) => Math.max(a, b)),
      smallest: marginals.reduce((a, b) => Math.min(a, b)),
    },
    expectedL0,
    absorbedL0,
    silent,
    exact,
    byDepth: byDepth(world),
    directions: {
      welch: welchBound(count, world.d_in),
      meanMaxCosine:
        count > 1 && count <= DIRECTIONS_UP_TO ? meanMaxCosine(world.directions) : null,
    },
    warnings: world.warnings ?? [],
    defaults: defaultsOf(params, world),
    forest: forestLines(world),
  };
}

/** Expected L0 of every level, the roots' first and free features last. */
function byDepth({ features, edges, statistics }: World): DepthStatistics[] {
  const parentOf = new Map(edges.map(({ parent, child }) => [child, parent]));
  const parents = new Set(parentOf.values());
  const depthOf = (f: number): number => {
    const parent = parentOf.get(f);
    return parent === undefined ? 0 : depthOf(parent) + 1;
  };
  const levels: { features: number; expectedL0: number }[] = [];
  const free = { features: 0, expectedL0: 0 };
  features.forEach((_, f) => {
    const level =
      parentOf.has(f) || parents.has(f)
        ? (levels[depthOf(f)] ??= { features: 0, expectedL0: 0 })
        : free;
    level.features++;
    level.expectedL0 += statistics.marginals[f];
  });
  const byLevel = levels.map((level, depth): DepthStatistics => ({ depth, ...level }));
  return free.features === 0 ? byLevel : [...byLevel, { depth: 'free', ...free }];
}

/** Lines of a forest that are printed. */
const LINES = 40;

export function descriptionText(description: WorldDescription): string {
  const { name, features, d_in, seed, directions, probabilities, warnings } = description;
  const facts: [string, string][] = [
    ['features on in a row (L0)', four(description.expectedL0)],
    ['L0 if parents were absorbed', four(description.absorbedL0)],
    ['P(no feature on)', four(description.silent)],
    ['P(on), by feature', `${four(probabilities.largest)} to ${four(probabilities.smallest)}`],
    ['rms cosine of directions, at least', four(directions.welch)],
    ['mean of largest |cosine|', four(directions.meanMaxCosine)],
  ];
  const depths = description.byDepth.map((level): [string, string] => [
    level.depth === 'free' ? 'free' : `depth ${level.depth}`,
    `${level.features} features, L0 ${four(level.expectedL0)}`,
  ]);
  const drawn = description.forest.slice(0, LINES);
  const hidden = description.forest.length - drawn.length;
  return [
    `${name}: ${features} features in ${d_in} dimensions, seed ${seed}`,
    ...section('Parameters', pairs(parametersOf(description.parameters))),
    ...section(description.exact ? 'Expected' : 'Expected, correlations aside', pairs(facts)),
    ...section('By depth', pairs(depths)),
    ...section(
      'Experiments take',
      pairs(Object.entries(description.defaults).map(([key, value]) => [key, String(value)])),
    ),
    ...section(
      'Warnings',
      warnings.map((line) => `  ${line}`),
    ),
    ...section('Features', [
      ...drawn.map((line) => `  ${line}`),
      ...(hidden > 0 ? [`  … and ${hidden} more`] : []),
    ]),
  ].join('\n');
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ['', title, ...lines];
}

function pairs(entries: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...entries.map(([key]) => key.length));
  return entries.map(([key, value]) => `  ${key.padEnd(width)}  ${value}`);
}

/** Every parameter but the features that are drawn below. */
function parametersOf(params: WorldParams): [string, string][] {
  const plain = Object.entries(params)
    .filter(([key, value]) => !['name', 'root', 'features'].includes(key) && value !== null)
    .map(([key, value]: [string, unknown]): [string, string] => [
      key,
      typeof value === 'object' && value !== null ? oneLine(value) : String(value),
    ]);
  if (params.kind !== 'parent-child') return plain;
  const loose = params.features.flatMap(
    ({ probability, parent, withoutParent }, f): [string, string][] =>
      parent === null || withoutParent === 0
        ? []
        : [
            [
              `feature ${f}`,
              `P ${probability} with feature ${parent}, ${withoutParent} without it`,
            ],
          ],
  );
  return [...plain, ...loose];
}

function oneLine(value: object): string {
  return Object.entries(value)
    .map(([key, part]: [string, unknown]) =>
      Array.isArray(part)
        ? `${part.length} ${key}`
        : typeof part === 'object' && part !== null
          ? `${key} (${oneLine(part)})`
          : `${key} ${String(part)}`,
    )
    .join(', ');
}

const four = (value: number | null): string =>
  value === null ? 'not derived' : String(Number(value.toPrecision(4)));
