/**
 * auxk: the loss that revives dead latents, with the choice of latents left free among equals.
 *
 * Chosen values are copied, so they are compared exactly; loss and gradient are then judged on the kernel's own choice.
 * @module
 */
import fc from 'fast-check';
import { auxk as auxkReference, auxkCount } from '../../reference/auxk.ts';
import { dictionaryLearning } from '../../reference/dialects.ts';
import { columnMeans, multiply } from '../../reference/matrix.ts';
import {
  actsOf,
  flatSizes,
  permutationOf,
  tensorOf,
  withNonFinite,
  type Sizes,
} from '../arbitraries.ts';
import { compareTensor, compareTensors, hasNonFinite, place } from '../compare.ts';
import { float32, largestMagnitude, underflow, type Profile } from '../error-model.ts';
import {
  type Call,
  type KernelSpec,
  type Law,
  type Tensor,
  type Tensors,
} from '../kernel.ts';
import { answerOrRefusal, law, neverHidesNonFinite, only } from '../laws.ts';
import { fromMatrix, fromVector, numberOf, scalar, tensor, toMatrix } from '../tensors.ts';
import { usedLatents, withValue } from './decode.ts';
import { divisionRoundings, elementwise, growth, meanSquare, type Known } from './loss.ts';

const alphas = fc.constantFrom(1 / 32, 0, 1, 0.03, 2.7);

/** None dead, all, or a number beside k_aux = floor(d_in / 2); which ones is free. */
function deadOf({ d_in, d_sae }: Sizes): fc.Arbitrary<Tensor> {
  const half = Math.floor(d_in / 2);
  const counts = [0, half - 1, half, half + 1, d_sae].filter((n) => n >= 0 && n <= d_sae);
  return fc
    .tuple(fc.constantFrom(...counts), permutationOf(d_sae))
    .map(([count, order]) => fromVector(order.map((rank) => (rank < count ? 1 : 0))));
}

/** Acts of any size, or few values that tie; now and then every act of a dead latent is 0. */
function auxkActs({ rows, d_sae }: Sizes, dead: Tensor): fc.Arbitrary<Tensor> {
  const length = rows * d_sae;
  const few = fc
    .array(fc.integer({ min: 0, max: 2 }), { minLength: length, maxLength: length })
    .map((data) => tensor([rows, d_sae], data));
  const any = fc.oneof(
    { weight: 2, arbitrary: actsOf([rows, d_sae]) },
    { weight: 1, arbitrary: few },
  );
  return fc.tuple(any, fc.integer({ min: 0, max: 5 })).map(([{ shape, data }, n]) =>
    tensor(
      shape,
      data.map((act, i) => (n === 0 && dead.data[i % d_sae] === 1 ? 0 : act)),
    ),
  );
}

/**
 * Residuals whose variance float32 can know: it divides the loss, so where rounding may change it by a quarter or more
 * (rows that are equal but for their last bits) any answer would be right; and from 2^-20 on no quotient overflows,
 * as squares of sums of nine products of values below 2^22 are below 2^100.
 */
function residualOf({ rows, d_in }: Sizes): fc.Arbitrary<Tensor> {
  const harshest: Profile = { ...float32, flushesSubnormals: true };
  return tensorOf([rows, d_in]).filter((residual) => {
    const { value, error } = varianceOf(residual, harshest);
    return value >= 2 ** -20 && error <= value / 4;
  });
}

interface Parts {
  readonly sizes: fc.Arbitrary<Sizes>;
  readonly residual: (size: Sizes) => fc.Arbitrary<Tensor>;
  readonly dead: (size: Sizes) => fc.Arbitrary<Tensor>;
  readonly acts: (size: Sizes, dead: Tensor) => fc.Arbitrary<Tensor>;
}

const usual: Parts = {
  sizes: flatSizes.filter(({ rows }) => rows > 1),
  residual: residualOf,
  dead: deadOf,
  acts: auxkActs,
};

function callsOf(parts: Partial<Parts>): fc.Arbitrary<Call> {
  const { sizes, residual, dead, acts } = { ...usual, ...parts };
  return sizes.chain((size) =>
    dead(size).chain((flags) =>
      fc
        .record({
          residual: residual(size),
          acts: acts(size, flags),
          W_dec: tensorOf([size.d_sae, size.d_in]),
          alpha: alphas,
        })
        .map(({ alpha, ...inputs }) => ({ config: { alpha }, inputs: { ...inputs, dead: flags } })),
    ),
  );
}

export const auxkCalls: fc.Arbitrary<Call> = callsOf({});

const someDead = (size: Sizes): fc.Arbitrary<Tensor> =>
  deadOf(size).filter(({ data }) => data.includes(1));

/** Some dead latents, and acts without two equal positive values in a row, so that there is one right choice. */
const tieFreeCalls = callsOf({
  dead: someDead,
  acts: ({ rows, d_sae }) =>
    fc.array(permutationOf(d_sae), { minLength: rows, maxLength: rows }).map((orders) =>
      tensor(
        [rows, d_sae],
        orders.flat().map((rank) => Math.max(rank - 1, 0) / 4),
      ),
    ),
});

function reference(call: Call): Tensors {
  const { residual, acts, W_dec, dead } = call.inputs;
  const { loss, latents, gradient } = auxkReference(
    toMatrix(residual),
    toMatrix(acts),
    toMatrix(W_dec),
    Uint8Array.from(dead.data),
    numberOf(call, 'alpha'),
    dictionaryLearning,
  );
  return { loss: scalar(loss), latents: fromMatrix(latents), gradient: fromMatrix(gradient) };
}

const countOf = ({ inputs: { dead, residual } }: Call): number =>
  auxkCount(Uint8Array.from(dead.data), residual.shape[1], dictionaryLearning);

/**
 * The normaliser V = mean ‖e - mean e‖². A mean is a sum of `rows` values and a division, then one subtraction:
 * e_d = ρ mean|e| + u (|d| + ρ mean|e|).
 */
function varianceOf(residual: Tensor, profile: Profile): Known {
  const e = toMatrix(residual);
  const mean = columnMeans(e);
  const meanSize = columnMeans({ ...e, data: e.data.map(Math.abs) });
  const centred = e.data.map((value, i) => value - mean[i % e.cols]);
  const rho = elementwise(e.rows + divisionRoundings, profile);
  const errors = centred.map((value, i) => {
    const error = rho * meanSize[i % e.cols] + underflow(e.rows + 2, 1, profile);
    return error + elementwise(1, profile) * (Math.abs(value) + error) + underflow(3, 1, profile);
  });
  return meanSquare(centred, errors, e.rows, profile);
}

/**
 * Bounds given the chosen latents. The miss m = ê - e is a sum of one product for each chosen latent and of e:
 * e_m = ρ (Σ |a||w| + |e|). A quotient of S ± e_S and V ± e_V is within (S + e_S)/(V - e_V) - S/V of S/V, and so is
 * each gradient with |m| for S, times 2 alpha/rows. Further roundings: alpha to float32, two products, up to four
 * divisions in whatever order.
 */
function auxkBounds(
  call: Call,
  latents: Tensor,
  profile: Profile,
): { loss: Float64Array; gradient: Float64Array } {
  const { residual, W_dec } = call.inputs;
  const chosen = toMatrix(latents);
  const weights = toMatrix(W_dec);
  const fit = multiply(chosen, weights);
  const fitSize = multiply(chosen, { ...weights, data: weights.data.map(Math.abs) });
  const { rows, cols } = fit;
  const largest = largestMagnitude(latents.data, W_dec.data, residual.data);
  const miss = fit.data.map((value, i) => value - residual.data[i]);
  const errors = miss.map((_, i) => {
    const b = Math.floor(i / cols) * chosen.cols;
    const products = chosen.data.subarray(b, b + chosen.cols).filter((act) => act !== 0).length;
    const size = fitSize.data[i] + Math.abs(residual.data[i]);
    return growth(products, 1, profile) * size + underflow(2 * products + 3, largest, profile);
  });

  const variance = varianceOf(residual, profile);
  const smallest = Math.max(variance.value - variance.error, 0);
  const rho = elementwise(3 + 4 * divisionRoundings, profile);
  // Intermediate results may underflow before they are divided by the variance or multiplied by the miss.
  const tiny = (size: number): number =>
    underflow(6, 1, profile) * Math.max(1, 1 / smallest) * Math.max(1, size);
  const quotient = ({ value, error }: Known): number =>
    ((1 + rho) * (value + error)) / smallest - value / variance.value + tiny(value);
  const factor = (2 * numberOf(call, 'alpha')) / rows;
  return {
    loss: Float64Array.of(quotient(meanSquare(miss, errors, rows, profile))),
    gradient: miss.map(
      (value, i) =>
        factor * quotient({ value: Math.abs(value), error: errors[i] }) + tiny(Math.abs(value)),
    ),
  };
}

const choosesLargest: Law = law(
  'chooses the k_aux largest acts of dead latents in each row, unchanged',
  only(auxkCalls),
  async ({ call }, { run, profile }) => {
    const { acts, dead } = call.inputs;
    const { latents } = await run(call);
    const d_sae = dead.data.length;
    const candidates = acts.data.map((act, i) => (dead.data[i % d_sae] === 1 ? act : 0));
    const foreign = latents.data.findIndex((latent, i) => latent !== 0 && latent !== candidates[i]);
    if (foreign >= 0) {
      const why = dead.data[foreign % d_sae] === 1 ? 'or its act' : 'as it is not dead';
      return `latents${place(foreign, acts.shape)} returned ${latents.data[foreign]}, expected 0 ${why}`;
    }
    // Which of equal acts is chosen is free; and a kernel that flushes may take a subnormal one for 0.
    const least = profile.flushesSubnormals ? 2 ** -126 : 0;
    const largestFirst = (data: Float64Array, b: number): Float64Array =>
      data
        .slice(b * d_sae, (b + 1) * d_sae)
        .map((act) => (act >= least ? act : 0))
        .sort()
        .reverse();
    for (let b = 0; b < acts.shape[0]; b++) {
      const expected = largestFirst(candidates, b).fill(0, countOf(call));
      const got = fromVector(largestFirst(latents.data, b));
      const name = `latents of row ${b}, largest first, `;
      const wrong = compareTensor(name, got, fromVector(expected), () => 0);
      if (wrong !== null) return wrong;
    }
    return null;
  },
);

const agreesGivenChoice: Law = law(
  'loss and gradient agree with the reference on the latents the kernel chose',
  only(auxkCalls),
  async ({ call }, { run, profile }) => {
    const { loss, latents, gradient } = await run(call);
    const expected = reference({ ...call, inputs: { ...call.inputs, acts: latents } });
    const exact = countDead(call) === 0;
    const bounds = exact ? {} : auxkBounds(call, expected.latents, profile);
    return compareTensors({ loss, latents, gradient }, expected, bounds);
  },
);

const countDead = ({ inputs }: Call): number => inputs.dead.data.filter((d) => d === 1).length;

const noneDead: Law = law(
  'with no dead latent loss, latents and gradient are exactly 0, whatever the residual',
  only(
    callsOf({
      sizes: flatSizes,
      residual: ({ rows, d_in }) => tensorOf([rows, d_in]),
      dead: ({ d_sae }) => fc.constant(fromVector(new Float64Array(d_sae))),
    }),
  ),
  async ({ call }, { run }) => compareTensors(await run(call), reference(call), {}),
);

const alphaScalesGradient: Law = law(
  'alpha scales the gradient, and neither loss nor latents',
  only(tieFreeCalls),
  async ({ call }, { run, profile }) => {
    const alpha = numberOf(call, 'alpha');
    const one: Call = { ...call, config: { alpha: 1 } };
    const { loss, latents, gradient } = await run(one);
    const choice = reference(call).latents;
    const limits = [call, one].map((each) => auxkBounds(each, choice, profile));
    const scaled = gradient.data.map((value) => alpha * value);
    return compareTensors(
      await run(call),
      { loss, latents, gradient: tensor(gradient.shape, scaled) },
      {
        loss: limits[0].loss.map((limit, i) => limit + limits[1].loss[i]),
        gradient: limits[0].gradient.map((limit, i) => limit + alpha * limits[1].gradient[i]),
      },
    );
  },
);

const liveActsDoNotMatter: Law = law(
  'acts of latents that are not dead do not matter',
  tieFreeCalls.chain((call) => actsOf(call.inputs.acts.shape).map((others) => ({ call, others }))),
  async ({ call, others }, { run, profile }) => {
    const { acts, dead } = call.inputs;
    const data = acts.data.map((act, i) =>
      dead.data[i % dead.data.length] === 1 ? act : others.data[i],
    );
    const changed = { ...call, inputs: { ...call.inputs, acts: tensor(acts.shape, data) } };
    const { loss, latents, gradient } = await run(call);
    const limits = auxkBounds(call, reference(call).latents, profile);
    return compareTensors(
      await run(changed),
      { loss, latents, gradient },
      {
        loss: limits.loss.map((limit) => 2 * limit),
        gradient: limits.gradient.map((limit) => 2 * limit),
      },
    );
  },
);

/** Rows whose mean is exact in any order of summation: one, all zero, or two or four equal ones of whole numbers. */
const noVarianceCalls: fc.Arbitrary<Call> = fc.oneof(
  callsOf({
    sizes: flatSizes.map((size) => ({ ...size, rows: 1 })),
    residual: ({ d_in }) => tensorOf([1, d_in]),
    dead: someDead,
  }),
  callsOf({
    sizes: flatSizes,
    residual: ({ rows, d_in }) => fc.constant(tensor([rows, d_in], new Float64Array(rows * d_in))),
    dead: someDead,
  }),
  callsOf({
    sizes: flatSizes.map((size) => ({ ...size, rows: size.rows % 2 === 0 ? 2 : 4 })),
    residual: ({ rows, d_in }) =>
      fc
        .array(fc.integer({ min: -6, max: 6 }), { minLength: d_in, maxLength: d_in })
        .map((row) => tensor([rows, d_in], Array.from({ length: rows }, () => row).flat())),
    dead: someDead,
  }),
);

const refusesNoVariance: Law = law(
  'a residual without variance is refused, or shows as NaN or infinity',
  only(noVarianceCalls),
  async ({ call }, subject) => {
    const outputs = await answerOrRefusal(call, subject);
    return outputs === null || hasNonFinite(outputs)
      ? null
      : `returned the loss ${outputs.loss.data[0]} for a residual without variance`;
  },
);

/** Every dead latent is chosen, so what is spoiled is used; with more of them the choice might pass it by. */
const nonFiniteCalls: fc.Arbitrary<Call> = auxkCalls
  .map((call) => {
    const { acts, dead } = call.inputs;
    const d_sae = dead.data.length;
    const active = acts.data.map((act, i) => (dead.data[i % d_sae] === 1 ? act : 0));
    return { call, used: usedLatents(tensor(acts.shape, active)) };
  })
  .filter(({ call, used }) => used.length > 0 && countDead(call) <= countOf(call))
  .chain(({ call, used }) => {
    const { W_dec, acts } = call.inputs;
    return fc.oneof(
      withNonFinite(fc.constant(call), ['residual']),
      fc
        .tuple(
          fc.constantFrom('acts', 'W_dec'),
          fc.constantFrom(...used),
          fc.nat(),
          fc.constantFrom(NaN, Infinity),
        )
        .map(([name, j, at, value]) => {
          const place =
            name === 'acts'
              ? (at % acts.shape[0]) * acts.shape[1] + j
              : j * W_dec.shape[1] + (at % W_dec.shape[1]);
          return withValue(call, name, place, value);
        }),
    );
  });

export const auxk: KernelSpec = {
  name: 'auxk',
  summary: 'top k_aux dead latents of each row fitted to the residual, over its variance',
  inputs: {
    residual: '(rows, d_in): x - x̂_G',
    acts: '(rows, d_sae), >= 0',
    W_dec: '(d_sae, d_in)',
    dead: '(d_sae), 0 or 1',
  },
  outputs: {
    loss: '(), before alpha',
    latents: '(rows, d_sae): chosen acts, 0 elsewhere',
    gradient: '(rows, d_in): of alpha · loss for the auxiliary reconstruction',
  },
  config: { alpha: 'weight of the loss; scales the gradient alone' },
  outputShapes: ({ inputs }) => ({
    loss: [],
    latents: inputs.acts.shape,
    gradient: inputs.residual.shape,
  }),
  reference,
  laws: [
    choosesLargest,
    agreesGivenChoice,
    noneDead,
    alphaScalesGradient,
    liveActsDoNotMatter,
    refusesNoVariance,
    neverHidesNonFinite(nonFiniteCalls),
  ],
};
