/**
 * gradients: of the weighted levels and of auxk, for the four parameters, the selection being a constant.
 * @module
 */
import fc from 'fast-check';
import { dictionaryLearning, type Dialect } from '../../reference/dialects.ts';
import { gradients as gradientsReference } from '../../reference/gradients.ts';
import { flatSizes, latentsOf, prefixesOf, tensorOf, withNonFinite } from '../arbitraries.ts';
import { compareTensor, compareTensors } from '../compare.ts';
import { gamma } from '../error-model.ts';
import type { Call, KernelSpec, Law, Tensor, Tensors } from '../kernel.ts';
import { agreesWithReference, law, neverHidesNonFinite, only } from '../laws.ts';
import { smallerCalls } from '../smaller-calls.ts';
import { fromParams, numbersOf, tensor } from '../tensors.ts';
import { permutationWithinGroups, permuteColumns, usedLatents, withValue } from './decode.ts';
import {
  apart,
  gradientBounds,
  gradientNames,
  inputsOf,
  type GradientBounds,
  type GradientInputs,
} from './gradient-bounds.ts';
import { slopeLaws } from './gradient-slopes.ts';
import { structureLaws } from './gradient-structure.ts';
import { elementwise, levelWeightsOf, oneHot, permuteRows } from './loss.ts';

/**
 * Values of live latents, or of dead ones; 0 elsewhere. Subnormal ones are 0 as well: a kernel that flushes them takes
 * the latent for one that was not selected, and its gradient jumps.
 */
function masked({ shape, data }: Tensor, dead: readonly boolean[], keep: boolean): Tensor {
  return tensor(
    shape,
    data.map((value, i) => (dead[i % dead.length] === keep && value >= 2 ** -126 ? value : 0)),
  );
}

const inputWords = {
  x: '(rows, d_in)',
  latents: '(rows, d_sae), >= 0: a constant selection',
  W_enc: '(d_in, d_sae)',
  b_enc: '(d_sae)',
  W_dec: '(d_sae, d_in)',
  b_dec: '(d_in)',
  auxk_latents: '(rows, d_sae), >= 0: dead latents that auxk chose',
  auxk_gradient: '(rows, d_in): of alpha · auxk for its reconstruction',
};

/** Latents and dead latents that auxk chose, both of any size: dead ones are in no prefix's reconstruction. */
export const gradientCalls: fc.Arbitrary<Call> = smallerCalls(
  flatSizes.chain(({ rows, d_in, d_sae }) =>
    prefixesOf(d_sae).chain((prefixes) =>
      fc
        .record({
          x: tensorOf([rows, d_in]),
          latents: latentsOf([rows, d_sae]),
          W_enc: tensorOf([d_in, d_sae]),
          b_enc: tensorOf([d_sae]),
          W_dec: tensorOf([d_sae, d_in]),
          b_dec: tensorOf([d_in]),
          auxk_latents: latentsOf([rows, d_sae]),
          auxk_gradient: tensorOf([rows, d_in]),
          dead: fc.array(fc.boolean(), { minLength: d_sae, maxLength: d_sae }),
          level_weights: levelWeightsOf(prefixes.length),
        })
        .map(({ dead, level_weights, latents, auxk_latents, ...inputs }) => ({
          config: { prefixes, level_weights },
          inputs: {
            ...inputs,
            latents: masked(latents, dead, false),
            auxk_latents: masked(auxk_latents, dead, true),
          },
        })),
    ),
  ),
  inputWords,
);

/** Calls whose latents are what the encoder makes of x where selected: on a grid of halves, so that they are exact. */
const consistentCalls: fc.Arbitrary<Call> = gradientCalls.chain((call) => {
  const { x, W_enc, b_enc, b_dec } = call.inputs;
  const grid = ({ shape, data }: Tensor): fc.Arbitrary<Tensor> =>
    fc
      .array(fc.integer({ min: -4, max: 4 }), { minLength: data.length, maxLength: data.length })
      .map((halves) =>
        tensor(
          shape,
          halves.map((n) => n / 2),
        ),
      );
  return fc
    .record({ x: grid(x), W_enc: grid(W_enc), b_enc: grid(b_enc), b_dec: grid(b_dec) })
    .map((encoder) => {
      const acts = encoderActs(encoder);
      const where = ({ shape, data }: Tensor): Tensor =>
        tensor(
          shape,
          data.map((value, i) => (value > 0 ? Math.max(acts[i], 0) : 0)),
        );
      const { latents, auxk_latents } = call.inputs;
      const chosen = { latents: where(latents), auxk_latents: where(auxk_latents) };
      return { ...call, inputs: { ...call.inputs, ...encoder, ...chosen } };
    });
});

function encoderActs({ x, W_enc, b_enc, b_dec }: Record<string, Tensor>): Float64Array {
  const [d_in, d_sae] = W_enc.shape;
  return new Float64Array((x.data.length / d_in) * d_sae).map((_, at) => {
    const b = Math.floor(at / d_sae);
    let sum = b_enc.data[at % d_sae];
    for (let i = 0; i < d_in; i++) {
      sum += (x.data[b * d_in + i] - b_dec.data[i]) * W_enc.data[i * d_sae + (at % d_sae)];
    }
    return sum;
  });
}

export function gradientTensors(
  { forward, params, prefixes, coefficients }: GradientInputs,
  dialect: Dialect = dictionaryLearning,
): Tensors {
  return fromParams(gradientsReference(forward, params, prefixes, coefficients, dialect), 'grad.');
}

const reference = (call: Call): Tensors => gradientTensors(inputsOf(call));

/** The same call with other tensors or settings. */
const changed = (call: Call, inputs: Tensors, config: Call['config'] = {}): Call => ({
  config: { ...call.config, ...config },
  inputs: { ...call.inputs, ...inputs },
});

/** The latent that a value of a gradient belongs to. */
function ownersOf({ inputs }: Call): Record<string, (at: number) => number> {
  const [d_in, d_sae] = inputs.W_enc.shape;
  return {
    'grad.W_enc': (at) => at % d_sae,
    'grad.b_enc': (at) => at,
    'grad.W_dec': (at) => Math.floor(at / d_in),
  };
}

/** Columns that are not zero in every row. */
const selectedIn = ({ shape: [, cols], data }: Tensor): Set<number> =>
  new Set([...data.keys()].filter((i) => data[i] !== 0).map((i) => i % cols));

/** The first value that is not 0 among gradients of latents that must have none, in words; null if all are. */
function wrongZero(call: Call, outputs: Tensors, untouched: (j: number) => boolean): string | null {
  for (const [name, owner] of Object.entries(ownersOf(call))) {
    const { shape, data } = outputs[name];
    const expected = data.map((value, at) => (untouched(owner(at)) ? 0 : value));
    const wrong = compareTensor(name, outputs[name], tensor(shape, expected), () => 0);
    if (wrong !== null) return wrong;
  }
  return null;
}

const unselectedGetNothing: Law = law(
  'a latent selected in no row has no gradient, exactly',
  only(gradientCalls),
  async ({ call }, { run }) => {
    const selected = selectedIn(call.inputs.latents);
    const chosen = selectedIn(call.inputs.auxk_latents);
    return wrongZero(call, await run(call), (j) => !selected.has(j) && !chosen.has(j));
  },
);

/** Latents with the first one beyond a level's prefix selected in the first row, unless auxk has chosen it. */
function selectedBeyond(call: Call, hot: number): Tensors {
  const { latents, auxk_latents } = call.inputs;
  const width = numbersOf(call, 'prefixes')[hot];
  const isFree = width < latents.shape[1] && !selectedIn(auxk_latents).has(width);
  return isFree ? { latents: tensor(latents.shape, latents.data.with(width, 1)) } : {};
}

const levelReachesItsPrefix: Law = law(
  'a level alone gives latents beyond its prefix no gradient, exactly',
  gradientCalls.chain((call) =>
    oneHot(numbersOf(call, 'prefixes').length).map(({ weights, hot }) => ({
      call: changed(call, selectedBeyond(call, hot), { level_weights: weights }),
      hot,
    })),
  ),
  async ({ call, hot }, { run }) => {
    const chosen = selectedIn(call.inputs.auxk_latents);
    const width = numbersOf(call, 'prefixes')[hot];
    return wrongZero(call, await run(call), (j) => j >= width && !chosen.has(j));
  },
);

const linearInWeights: Law = law(
  'is linear in the level weights, but for what auxk adds',
  gradientCalls.chain((call) =>
    levelWeightsOf(numbersOf(call, 'prefixes').length).map((weights) => ({ call, weights })),
  ),
  async ({ call, weights }, { run, profile }) => {
    const own = numbersOf(call, 'level_weights');
    const settings = [own.map((weight, g) => weight + weights[g]), own, weights, own.map(() => 0)];
    const calls = settings.map((level_weights) => changed(call, {}, { level_weights }));
    const outputs: Tensors[] = [];
    for (const each of calls) outputs.push(await run(each));
    const [together, first, second, auxk] = outputs;
    const bounds = calls.map((each) => gradientBounds(each, apart(profile)));
    for (const name of gradientNames) {
      const { shape, data } = first[name];
      const sum = data.map((value, i) => value + second[name].data[i] - auxk[name].data[i]);
      // Two roundings of these sums, and those of what the kernel returned, which its own bounds need not cover.
      const rounding = (i: number): number =>
        elementwise(4, profile) *
        [first, second, auxk].reduce((total, each) => total + Math.abs(each[name].data[i]), 0);
      const wrong = compareTensor(name, together[name], tensor(shape, sum), (i) =>
        bounds.reduce((total, bound) => total + bound[name][i], rounding(i)),
      );
      if (wrong !== null) return wrong;
    }
    return null;
  },
);

const auxkReachesItsChoice: Law = law(
  'auxk changes no gradient of a latent it did not choose',
  only(gradientCalls),
  async ({ call }, { run, profile }) => {
    const { auxk_latents, auxk_gradient } = call.inputs;
    const zeros = ({ shape, data }: Tensor): Tensor => tensor(shape, new Float64Array(data.length));
    const without = changed(call, {
      auxk_latents: zeros(auxk_latents),
      auxk_gradient: zeros(auxk_gradient),
    });
    const chosen = selectedIn(auxk_latents);
    const got = await run(call);
    const expected = await run(without);
    const bounds = [gradientBounds(call, profile), gradientBounds(without, profile)];
    for (const [name, owner] of Object.entries(ownersOf(call))) {
      const limits = bounds.map((bound) => bound[name as keyof GradientBounds]);
      const wrong = compareTensor(name, got[name], expected[name], (i) =>
        chosen.has(owner(i)) ? Infinity : limits[0][i] + limits[1][i],
      );
      if (wrong !== null) return wrong;
    }
    return null;
  },
);

/**
 * Both sides are Σ_b a[b,j] ∂L/∂a[b,j] if a = (x - b_dec)·W_enc_j + b_enc_j where selected, whatever was selected:
 * scaling a latent's encoder up and its decoder row down changes nothing.
 */
const gaugeIdentity: Law = law(
  'what the encoder of a latent gains along itself, its decoder row gains along itself',
  only(consistentCalls),
  async ({ call }, { run, profile }) => {
    const got = await run(call);
    const bounds = gradientBounds(call, profile);
    const [d_in, d_sae] = call.inputs.W_enc.shape;
    const along = (name: string, at: number): [value: number, limit: number] => {
      const parameter = call.inputs[name].data[at];
      const gradient = `grad.${name}` as keyof GradientBounds;
      return [parameter * got[gradient].data[at], Math.abs(parameter) * bounds[gradient][at]];
    };
    for (let j = 0; j < d_sae; j++) {
      let [encoder, limit] = along('b_enc', j);
      let [decoder, size] = [0, Math.abs(encoder)];
      for (let i = 0; i < d_in; i++) {
        const [up, upLimit] = along('W_enc', i * d_sae + j);
        const [down, downLimit] = along('W_dec', j * d_in + i);
        encoder += up;
        decoder += down;
        size += Math.abs(up) + Math.abs(down);
        limit += upLimit + downLimit;
      }
      limit += gamma(2 * d_in + 2, 2 ** -53) * size; // these sums themselves
      if (!(Math.abs(encoder - decoder) <= limit)) {
        return `latent ${j}: ${encoder} along its encoder, ${decoder} along its decoder row, expected equal ± ${limit}`;
      }
    }
    return null;
  },
);

const orderWithinGroups: Law = law(
  'permuting latents inside their groups permutes gradients',
  gradientCalls.chain((call) =>
    permutationWithinGroups(numbersOf(call, 'prefixes')).map((order) => ({ call, order })),
  ),
  async ({ call, order }, { run, profile }) => {
    const permute = (tensors: Tensors, prefix: string): Tensors =>
      Object.fromEntries(
        Object.entries(tensors).map(([name, each]) => {
          const own = name.slice(prefix.length);
          if (own === 'W_dec') return [name, permuteRows(each, order)];
          const byLatent = ['W_enc', 'b_enc', 'latents', 'auxk_latents'].includes(own);
          return [name, byLatent ? permuteColumns(each, order) : each];
        }),
      );
    const permuted = changed(call, permute(call.inputs, ''));
    const all = await run(call);
    const before = Object.fromEntries(gradientNames.map((name) => [name, all[name]]));
    const bounds = gradientBounds(permuted, profile);
    const twice = Object.entries(bounds).map(([name, bound]) => [name, bound.map((e) => 2 * e)]);
    return compareTensors(
      await run(permuted),
      permute(before, 'grad.'),
      Object.fromEntries(twice) as GradientBounds,
    );
  },
);

/** The last level counts, so that no kernel may skip what every latent reaches. */
const weightedCalls = gradientCalls.map((call) =>
  changed(call, {}, { level_weights: numbersOf(call, 'level_weights').with(-1, 1) }),
);

/** Visible whatever the kernel: x, latents and b_dec reach everything; a row of W_dec and auxk must be used. */
const nonFiniteCalls: fc.Arbitrary<Call> = fc.oneof(
  { weight: 2, arbitrary: withNonFinite(weightedCalls, ['x', 'latents', 'b_dec']) },
  {
    weight: 1,
    arbitrary: weightedCalls
      .filter(({ inputs }) => usedLatents(inputs.latents).length > 0)
      .chain((call) => {
        const rows = usedLatents(call.inputs.latents);
        return spoiledRow(call, 'W_dec', rows);
      }),
  },
  {
    weight: 1,
    arbitrary: weightedCalls
      .filter(({ inputs }) => usedLatents(inputs.auxk_latents).length > 0)
      .chain((call) => {
        const { shape, data } = call.inputs.auxk_latents;
        const at = data.findIndex((value) => value >= 2 ** -126);
        return spoiledRow(call, 'auxk_gradient', [Math.floor(at / shape[1])]);
      }),
  },
);

/** The same call with one value in one of the given rows made NaN or infinite. */
function spoiledRow(call: Call, name: string, rows: readonly number[]): fc.Arbitrary<Call> {
  const cols = call.inputs[name].shape[1];
  return fc
    .tuple(
      fc.constantFrom(...rows),
      fc.nat({ max: cols - 1 }),
      fc.constantFrom(NaN, Infinity, -Infinity),
    )
    .map(([row, i, value]) => withValue(call, name, row * cols + i, value));
}

export const gradients: KernelSpec = {
  name: 'gradients',
  summary: 'of the weighted mean of levels and of auxk, for the four parameters',
  inputs: inputWords,
  outputs: {
    'grad.W_enc': '(d_in, d_sae)',
    'grad.b_enc': '(d_sae)',
    'grad.W_dec': '(d_sae, d_in)',
    'grad.b_dec': '(d_in)',
  },
  config: {
    prefixes: 'm_1 < … < m_G = d_sae',
    level_weights: 'one weight >= 0 for each level; levels are averaged after weighting',
  },
  outputShapes: ({ inputs }) =>
    Object.fromEntries(
      ['W_enc', 'b_enc', 'W_dec', 'b_dec'].map((name) => [`grad.${name}`, inputs[name].shape]),
    ),
  reference,
  laws: [
    agreesWithReference(gradientCalls, reference, (call, _expected, profile) =>
      gradientBounds(call, profile),
    ),
    unselectedGetNothing,
    auxkReachesItsChoice,
    levelReachesItsPrefix,
    linearInWeights,
    ...structureLaws(gradientCalls),
    ...slopeLaws(gradientCalls),
    gaugeIdentity,
    orderWithinGroups,
    neverHidesNonFinite(nonFiniteCalls),
  ],
};
