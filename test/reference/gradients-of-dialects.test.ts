/**
 * Gradients of a whole training step in any mixture of dialects, against differences of its loss, which is written out
 * here a second time from definitions. What a gradient takes for constant is held: which latents are selected, also before
 * a refinement, which dead ones auxk chose, a detached residual and its variance, detached levels, what rows weigh under a
 * tilt, counts.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  dictionaryLearning,
  saelens,
  saelensJumpRelu,
  withDecision,
  type Dialect,
} from '../../reference/dialects.ts';
import { gradients, type Forward } from '../../reference/gradients.ts';
import { levelCoefficients } from '../../reference/loss.ts';
import { fromRows, matrix, norm, row, type Matrix } from '../../reference/matrix.ts';
import { eachParam, paramNames, valuesOf, type SaeParams } from '../../reference/params.ts';
import { trainStep, type StepResult } from '../../reference/train-step.ts';
import {
  d_in,
  d_sae,
  difference,
  mixtures,
  placed,
  prefixes,
  rows,
  wordDecisions,
  worldOf,
  worlds,
  type World,
} from './worlds.ts';

/** What moves; everything else is held as the step had it. */
interface Moving {
  readonly params: SaeParams;
  readonly x: Matrix;
  /** Added to the latents, (rows · d_sae). */
  readonly bump?: Float64Array;
}

const groupOf = (j: number): number => prefixes.findIndex((end) => j < end);
const sum = (count: number, term: (i: number) => number): number =>
  Array.from({ length: count }, (_, i) => term(i)).reduce((all, value) => all + value, 0);

function preActivation(dialect: Dialect, { params, x }: Moving, b: number, j: number): number {
  const { subtractsDecoderBias, usesEncoderBias } = dialect.encode;
  const bias = usesEncoderBias ? params.b_enc[j] : 0;
  return (
    sum(d_in, (i) => {
      const shift = subtractsDecoderBias ? params.b_dec[i] : 0;
      return (x.data[b * d_in + i] - shift) * params.W_enc.data[i * d_sae + j];
    }) + bias
  );
}

/** What the second encoding makes of the first, of latents that the step selected then. */
function refined(
  { encode }: Dialect,
  { refinement }: StepResult,
  { params, x }: Moving,
  encoded: Float64Array,
): Float64Array {
  const first = encoded.map((z, i) => (refinement!.first.data[i] === 0 ? 0 : z));
  const left = (b: number, i: number): number => {
    const input = x.data[b * d_in + i] - (encode.subtractsDecoderBias ? params.b_dec[i] : 0);
    return input - sum(d_sae, (j) => first[b * d_sae + j] * params.W_dec.data[j * d_in + i]);
  };
  return encoded.map((z, at) => {
    const [b, j] = [Math.floor(at / d_sae), at % d_sae];
    const again = sum(d_in, (i) => left(b, i) * params.W_enc.data[i * d_sae + j]);
    return z + encode.refinement * again;
  });
}

/** The loss of a step by definition, of what moves and of what `held` holds. */
function lossOf({ dialect, config, state }: World, held: StepResult, moving: Moving): number {
  const { params, x, bump } = moving;
  const { W_dec } = params;
  const encoded = Float64Array.from({ length: rows * d_sae }, (_, i) =>
    preActivation(dialect, moving, Math.floor(i / d_sae), i % d_sae),
  );
  const pre = held.refinement === null ? encoded : refined(dialect, held, moving, encoded);
  const latents = pre.map((z, i) => (held.latents.data[i] === 0 ? 0 : z) + (bump?.[i] ?? 0));
  /** What latents up to a level write. Detached, those of earlier levels are held. */
  const decoded = (b: number, i: number, level: number): number =>
    sum(prefixes[level - 1] ?? 0, (j) =>
      dialect.loss.innerLevels === 'detached' && groupOf(j) < level - 1
        ? held.latents.data[b * d_sae + j] * state.params.W_dec.data[j * d_in + i]
        : latents[b * d_sae + j] * W_dec.data[j * d_in + i],
    );
  const squares = (of: (b: number, i: number) => number): number =>
    sum(rows, (b) => sum(d_in, (i) => of(b, i) ** 2)) / rows;

  const heldError = (b: number, g: number): number =>
    sum(d_in, (i) => {
      const at = b * d_in + i;
      const level = g === 0 ? state.params.b_dec[i] : held.reconstructions[g - 1].data[at];
      return (level - held.input.data[at]) ** 2;
    });
  /** What row b weighs in level g. */
  const weight = (b: number, g: number): number => {
    const mean = sum(rows, (n) => heldError(n, g)) / rows;
    const share = (n: number): number => Math.exp((dialect.loss.tilt * heldError(n, g)) / mean);
    return share(b) / sum(rows, share);
  };
  const c = levelCoefficients(config.levelWeights, d_in, dialect);
  const reconstruction = sum(prefixes.length + 1, (g) => {
    const square = (b: number): number =>
      sum(d_in, (i) => (params.b_dec[i] + decoded(b, i, g) - x.data[b * d_in + i]) ** 2);
    return c[g] * sum(rows, (b) => weight(b, g) * square(b));
  });

  const auxk = held.auxk.reduce((all, { level, chosen }) => {
    const each = dialect.auxk.levels === 'each';
    const dead = sum(d_sae, (j) => (!each || groupOf(j) === level - 1 ? held.dead[j] : 0));
    if (dead === 0) return all;
    const heldResidual = (b: number, i: number): number =>
      held.input.data[b * d_in + i] - held.reconstructions[level - 1].data[b * d_in + i];
    const residual = (b: number, i: number): number =>
      dialect.auxk.residual === 'attached'
        ? x.data[b * d_in + i] - params.b_dec[i] - decoded(b, i, level)
        : heldResidual(b, i);
    // A chosen act is held at 0 where ReLU is; a chosen pre-activation moves whatever its sign.
    const moves = (i: number): boolean =>
      chosen[i] === 1 && (dialect.auxk.values === 'pre-activations' || held.pre.data[i] > 0);
    const fit = (b: number, i: number): number =>
      sum(d_sae, (j) => (moves(b * d_sae + j) ? pre[b * d_sae + j] * W_dec.data[j * d_in + i] : 0));
    const anything = chosen.some((_, i) => moves(i));
    if (dialect.auxk.whenNothingDecodes === 'is-zero' && !anything) return all;
    let factor = dialect.auxk.overDimensions === 'mean' ? 1 / d_in : 1;
    if (dialect.auxk.scale === 'dead-fraction') factor *= Math.min(dead / 2, 1);
    if (dialect.auxk.normaliser === 'residual-variance') {
      const mean = (i: number): number => sum(rows, (b) => heldResidual(b, i)) / rows;
      factor /= squares((b, i) => heldResidual(b, i) - mean(i));
    }
    return all + factor * squares((b, i) => fit(b, i) - residual(b, i));
  }, 0);

  const { kind, on, overPrefixes } = dialect.penalty;
  let penalty = 0;
  if (kind === 'l1' || kind === 'log') {
    for (let i = 0; i < latents.length; i++) {
      const j = i % d_sae;
      const size = latents[i] * (on === 'latents' ? 1 : norm(row(W_dec, j)));
      const share = overPrefixes ? prefixes.filter((end) => end > j).length / prefixes.length : 1;
      const cost = kind === 'log' ? Math.log(size + 0.1) - Math.log(0.1) : size;
      penalty += (share * cost) / rows;
    }
  } else if (kind !== 'none') penalty = held.penalty;
  return reconstruction + config.auxkAlpha * auxk + held.penaltyCoefficient * penalty;
}

const h = 1e-4;
/** Derivative of f at 0 by differences of fourth order. */
const derivative = (f: (by: number) => number): number =>
  (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h);

/** Values with one of them moved. */
const moved = (values: Float64Array, at: number, by: number): Float64Array =>
  values.map((value, i) => (i === at ? value + by : value));

const step = ({ state, x, config }: World): StepResult => trainStep(state, x, config);

test('every word of every decision is among the mixtures', () => {
  const sample = fc.sample(mixtures, 400);
  for (const { path, values } of wordDecisions) {
    const [section, name] = path.split('.');
    for (const word of values) {
      const having = sample.filter(
        (dialect) =>
          (dialect[section as keyof Dialect] as unknown as Record<string, unknown>)[name] === word,
      );
      expect(having.length, `${path}: ${String(word)}`).toBeGreaterThan(5);
    }
  }
});

test('the reported loss is what it is by definition', () => {
  fc.assert(
    fc.property(worlds(), (drawn) => {
      const held = step(drawn);
      const world = placed(drawn, held);
      const moving = { params: world.state.params, x: held.input };
      expect(difference([held.loss], [lossOf(world, held, moving)])).toBeLessThan(1e-12);
    }),
    { numRuns: 100 },
  );
});

/** What JumpReLU passes straight through is no derivative. */
const isDerivative = ({ defaults, jumpRelu }: Dialect): boolean =>
  defaults.selection !== 'jump' || jumpRelu.inputGradient === 'gate';

function expectDifferences(drawn: World): void {
  const held = step(drawn);
  const world = placed(drawn, held);
  const { params } = world.state;
  for (const name of paramNames) {
    const values = valuesOf(params, name);
    const expected = values.map((_, at) =>
      derivative((by) => {
        const one = eachParam(params, (other) =>
          other === name ? moved(values, at, by) : valuesOf(params, other),
        );
        return lossOf(world, held, { params: one, x: held.input });
      }),
    );
    expect(difference(valuesOf(held.gradients, name), expected), name).toBeLessThan(1e-6);
  }
}

test('gradients are differences of the loss, whatever the dialect decides', () => {
  fc.assert(fc.property(worlds(isDerivative), expectDifferences), { numRuns: 25 });
});

test('an attached auxiliary loss of a level reaches that level’s latents, and none of later ones', () => {
  const auxk = { values: 'acts', levels: 'each', residual: 'attached', k: 512 } as const;
  const seeds = fc.record({ dialect: mixtures.filter(isDerivative), seed: fc.nat() });
  fc.assert(
    fc.property(seeds, ({ dialect, seed }) => {
      const world = worldOf({ ...dialect, auxk: { ...dialect.auxk, ...auxk } }, seed);
      expectDifferences(world);
    }),
    { numRuns: 15 },
  );
});

test('moving every row of x and b_dec alike leaves the loss: ∂b_dec = -Σ_b ∂x_b', () => {
  const centred = (dialect: Dialect): boolean =>
    isDerivative(dialect) && dialect.encode.subtractsDecoderBias;
  fc.assert(
    fc.property(worlds(centred), (drawn) => {
      const held = step(drawn);
      const world = placed(drawn, held);
      const { params } = world.state;
      const received = Float64Array.from({ length: d_in }, (_, i) =>
        derivative((by) => {
          const data = held.input.data.map((value, at) => (at % d_in === i ? value + by : value));
          return lossOf(world, held, { params, x: { ...held.input, data } });
        }),
      );
      expect(
        difference(
          held.gradients.b_dec,
          received.map((g) => -g),
        ),
      ).toBeLessThan(1e-6);
    }),
    { numRuns: 25 },
  );
});

describe('JumpReLU', () => {
  const counting = ({ defaults, penalty, auxk, encode }: Dialect): boolean =>
    defaults.selection === 'jump' &&
    auxk.values === 'none' &&
    encode.usesEncoderBias &&
    !['l1', 'log'].includes(penalty.kind);

  test('thresholds and pre-activations receive what straight-through estimation says', () => {
    let inside = 0;
    fc.assert(
      fc.property(worlds(counting), (drawn) => {
        const held = step(drawn);
        const world = placed(drawn, held);
        const { dialect, config, state } = world;
        const { bandwidth, inputGradient, counts, keepsThresholds } = dialect.jumpRelu;
        const thetas = state.params.threshold!.map((theta) =>
          keepsThresholds === 'at-least-zero' && theta < 0 ? 0 : theta,
        );
        const both = inputGradient === 'gate-and-window';
        const counted = counts === 'latents' ? held.latents.data : held.pre.data;
        const l0 = counted.filter((value, i) => value > thetas[i % d_sae]).length / rows;
        expect(held.l0).toBe(l0);
        const atCount =
          held.penaltyCoefficient *
          {
            none: 0,
            l0: 1 / rows,
            'l0-to-target': (2 * (l0 / config.targetL0 - 1)) / config.targetL0 / rows,
          }[dialect.penalty.kind as 'none' | 'l0' | 'l0-to-target'];

        const toThresholds = new Float64Array(d_sae);
        const toBiases = new Float64Array(d_sae);
        for (let i = 0; i < rows * d_sae; i++) {
          const theta = thetas[i % d_sae];
          // Latents that are 0 hear of the loss, too.
          let atLatent = derivative((by) =>
            lossOf(world, held, {
              params: state.params,
              x: held.input,
              bump: moved(new Float64Array(rows * d_sae), i, by),
            }),
          );
          const window = (value: number): number =>
            Math.abs(value - theta) < bandwidth / 2 ? 1 / bandwidth : 0;
          const ofCount = window(counted[i]) * atCount;
          if (both && counts === 'latents') atLatent += ofCount;
          const ofLatent = window(held.pre.data[i]) * theta * atLatent;
          toThresholds[i % d_sae] -= ofLatent + ofCount;
          toBiases[i % d_sae] +=
            (held.pre.data[i] > theta ? atLatent : 0) +
            (both ? ofLatent : 0) +
            (both && counts === 'pre-activations' ? ofCount : 0);
          if (window(held.pre.data[i]) > 0 && held.latents.data[i] === 0) inside++;
        }
        expect(difference(held.gradients.threshold!, toThresholds)).toBeLessThan(1e-8);
        expect(difference(held.gradients.b_enc, toBiases)).toBeLessThan(1e-8);
      }),
      { numRuns: 25 },
    );
    // Values just below their threshold were among them.
    expect(inside).toBeGreaterThan(25);
  });

  test('without thresholds none receive gradient', () => {
    const plain = worlds(({ defaults }) => defaults.selection !== 'jump');
    fc.assert(
      fc.property(plain, (world) => {
        expect(Object.keys(step(world).gradients)).toEqual([...paramNames]);
      }),
      { numRuns: 20 },
    );
  });
});

describe('at exactly 0', () => {
  const params: SaeParams = {
    W_enc: fromRows([[1, 1]]),
    b_enc: new Float64Array(2),
    W_dec: fromRows([[3], [5]]),
    b_dec: Float64Array.of(0),
  };
  const forward: Forward = {
    x: fromRows([[2]]),
    pre: fromRows([[0, 1]]),
    latents: matrix(1, 2),
    errors: [matrix(1, 1), matrix(1, 1)],
    auxk: [
      {
        loss: 1,
        chosen: Uint8Array.of(1, 1),
        latents: fromRows([[0, 1]]),
        gradient: fromRows([[1]]),
        level: 1,
      },
    ],
  };
  const of = (dialect: Dialect, change: Partial<Forward> = {}, p = params): SaeParams =>
    gradients({ ...forward, ...change }, p, [2], Float64Array.of(0, 1), dialect);

  test('a chosen act passes nothing back, as ReLU has slope 0 there; a chosen pre-activation does', () => {
    expect([...of(dictionaryLearning).b_enc]).toEqual([0, 5]);
    expect([...of(saelens).b_enc]).toEqual([3, 5]);
  });

  test('JumpReLU without a penalty has the gradients of a penalty that weighs nothing', () => {
    const jump = { ...params, threshold: Float64Array.of(0.25, 1) };
    const dialect = withDecision(saelensJumpRelu, 'jumpRelu.bandwidth', 1);
    const errors = [matrix(1, 1), fromRows([[1]])];
    const count = { loss: 1, latents: matrix(1, 2), W_dec: matrix(2, 1), count: 1 };
    const without = of(dialect, { auxk: [], errors }, jump);
    const weightless = { penalty: count, coefficient: 0 };
    expect(without).toEqual(of(dialect, { auxk: [], errors, penalty: weightless }, jump));
    // -(θ / h) · 2 E · w.
    expect([...without.threshold!]).toEqual([-0.25 * 6, -1 * 10]);
    expect(without).not.toEqual(
      of(dialect, { auxk: [], errors, penalty: { penalty: count, coefficient: 1 } }, jump),
    );
  });
});
