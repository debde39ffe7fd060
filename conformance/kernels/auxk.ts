/**
 * auxk: the loss that revives dead latents, with the choice of latents left free among equals.
 *
 * Chosen values are copied, so they are compared exactly; loss and gradient are then judged on the kernel's own choice.
 * @module
 */
import fc from 'fast-check';
import { multiply } from '../../reference/matrix.ts';
import { actsOf, flatSizes, tensorOf, withNonFinite } from '../arbitraries.ts';
import { compareTensor, compareTensors, hasNonFinite, place } from '../compare.ts';
import { gamma, type Profile } from '../error-model.ts';
import type { Call, KernelSpec, Law, Tensor } from '../kernel.ts';
import { answerOrRefusal, law, neverHidesNonFinite, only } from '../laws.ts';
import { fromMatrix, fromVector, numberOf, scalar, tensor, toMatrix } from '../tensors.ts';
import {
  auxkBounds,
  auxkCalls,
  callsOf,
  countDead,
  countOf,
  inputWords,
  isKnown,
  reference,
  someDead,
  tieFreeCalls,
  varianceOf,
} from './auxk-cases.ts';
import { usedLatents, withValue } from './decode.ts';
import { elementwise } from './loss.ts';

export { auxkCalls } from './auxk-cases.ts';

/** What is wrong with the choice of latents, ties being free; null if nothing. */
function wrongChoice(call: Call, latents: Tensor, profile: Profile): string | null {
  const { acts, dead } = call.inputs;
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
}

/** Loss and gradient are judged on the kernel's own choice: `reference` chooses among what it chose. */
const agrees: Law = law(
  'chooses the k_aux largest acts of dead latents, and agrees with the reference on its choice',
  only(auxkCalls),
  async ({ call }, { run, profile }) => {
    const { loss, latents, gradient } = await run(call);
    const wrong = wrongChoice(call, latents, profile);
    if (wrong !== null) return wrong;
    const expected = reference({ ...call, inputs: { ...call.inputs, acts: latents } });
    const exact = countDead(call) === 0;
    const bounds = exact ? {} : auxkBounds(call, expected.latents, profile);
    return compareTensors({ loss, latents, gradient }, expected, bounds);
  },
);

const choosesLargest: Law = law(
  'chooses the k_aux largest acts of dead latents in each row, unchanged',
  only(auxkCalls),
  async ({ call }, { run, profile }) => wrongChoice(call, (await run(call)).latents, profile),
);

const noneDead: Law = law(
  'with no dead latent loss, latents and gradient are exactly 0, whatever the residual',
  only(
    callsOf({
      sizes: flatSizes,
      residual: ({ rows, d_in }) => tensorOf([rows, d_in]),
      dead: ({ d_sae }) => fc.constant(fromVector(new Float64Array(d_sae))),
      isValid: (call) => countDead(call) === 0,
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
    const rounding = elementwise(4, profile);
    return compareTensors(
      await run(call),
      { loss, latents, gradient: tensor(gradient.shape, scaled) },
      {
        loss: limits[0].loss.map((limit, i) => limit + limits[1].loss[i]),
        gradient: limits[0].gradient.map(
          // The product taken here is rounded, and so is what the kernel multiplies before it.
          // With alpha 0 both are 0, even where the variance is not known apart from 0.
          (limit, i) =>
            limit +
            (alpha === 0 ? 0 : alpha * limits[1].gradient[i]) +
            rounding * Math.abs(scaled[i]),
        ),
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

/** Acts and decoder of small whole numbers, so that a kernel's sums are exact; the residual is what is chosen, decoded. */
const fittedCalls: fc.Arbitrary<Call> = tieFreeCalls
  .map((call): Call => {
    const whole = ({ shape, data }: Tensor): Tensor =>
      tensor(
        shape,
        data.map((value) => Math.trunc(Math.max(-8, Math.min(8, value)))),
      );
    const acts = tensor(
      call.inputs.acts.shape,
      call.inputs.acts.data.map((act) => 4 * act),
    );
    const W_dec = whole(call.inputs.W_dec);
    const inputs = { ...call.inputs, acts, W_dec };
    const { latents } = reference({ ...call, inputs });
    const residual = fromMatrix(multiply(toMatrix(latents), toMatrix(W_dec)));
    return { ...call, inputs: { ...inputs, residual } };
  })
  .filter(({ inputs: { residual } }) => isKnown(residual));

const perfectFit: Law = law(
  'a residual that the chosen latents decode to costs nothing, exactly',
  only(fittedCalls),
  async ({ call }, { run }) => {
    const { loss, gradient } = await run(call);
    const nothing = tensor(gradient.shape, new Float64Array(gradient.data.length));
    return compareTensors({ loss, gradient }, { loss: scalar(0), gradient: nothing }, {});
  },
);

const scaleFree: Law = law(
  'residual and acts s times as large leave the loss as it is and divide the gradient by s',
  tieFreeCalls.chain((call) => fc.constantFrom(2, 4, 16).map((s) => ({ call, s }))),
  async ({ call, s }, { run, profile }) => {
    const times = ({ shape, data }: Tensor): Tensor =>
      tensor(
        shape,
        data.map((value) => s * value),
      );
    const { residual, acts } = call.inputs;
    const inputs = { ...call.inputs, residual: times(residual), acts: times(acts) };
    const larger: Call = { ...call, inputs };
    const limits = [call, larger].map((each) => auxkBounds(each, reference(each).latents, profile));
    const { loss, gradient } = await run(call);
    const divided = tensor(
      gradient.shape,
      gradient.data.map((value) => value / s),
    );
    const got = await run(larger);
    return compareTensors(
      { loss: got.loss, gradient: got.gradient },
      { loss, gradient: divided },
      {
        loss: limits[0].loss.map((limit, i) => limit + limits[1].loss[i]),
        gradient: limits[0].gradient.map((limit, i) => limit / s + limits[1].gradient[i]),
      },
    );
  },
);

/** Decoders of small whole numbers and a step from them: both ways are float32 values. */
const steppedCalls = tieFreeCalls
  .map((call): Call => {
    const { shape, data } = call.inputs.W_dec;
    const W_dec = tensor(
      shape,
      data.map((value) => Math.trunc(Math.max(-8, Math.min(8, value)))),
    );
    return { config: { alpha: 1 }, inputs: { ...call.inputs, W_dec } };
  })
  .chain((call) => {
    const { length } = call.inputs.W_dec.data;
    const steps = fc.array(fc.integer({ min: -1, max: 1 }), {
      minLength: length,
      maxLength: length,
    });
    return steps.map((step) => ({ call, step }));
  });

/** The loss is a square of the auxiliary reconstruction, so its difference both ways is its slope exactly. */
const slopeOfLoss: Law = law(
  'the gradient is the slope of the loss along the auxiliary reconstruction',
  steppedCalls,
  async ({ call, step }, { run, profile }) => {
    const { W_dec } = call.inputs;
    const ways = [1, -1].map((sign): Call => {
      const moved = W_dec.data.map((w, i) => w + sign * step[i]);
      return { ...call, inputs: { ...call.inputs, W_dec: tensor(W_dec.shape, moved) } };
    });
    const losses: number[] = [];
    for (const way of ways) losses.push((await run(way)).loss.data[0]);
    const { latents, gradient } = await run(call);
    const along = multiply(toMatrix(latents), toMatrix(tensor(W_dec.shape, step))).data;
    const limits = auxkBounds(call, latents, profile).gradient;
    let expected = 0;
    let limit = gamma(4, 2 ** -53) * (losses[0] + losses[1]);
    for (const way of ways) limit += auxkBounds(way, latents, profile).loss[0];
    along.forEach((change, i) => {
      if (change === 0) return; // it adds nothing, even to a slope that is not known
      expected += 2 * change * gradient.data[i];
      limit += 2 * Math.abs(change) * (limits[i] + 2 ** -40 * Math.abs(gradient.data[i]));
    });
    return compareTensor(
      'loss forwards less loss backwards',
      scalar(losses[0] - losses[1]),
      scalar(expected),
      () => limit,
    );
  },
);

const nothingChosen: Law = law(
  'where no dead latent is active the loss is the mean square of the residual over its variance',
  only(
    tieFreeCalls.map((call): Call => {
      const { shape, data } = call.inputs.acts;
      return {
        ...call,
        inputs: { ...call.inputs, acts: tensor(shape, new Float64Array(data.length)) },
      };
    }),
  ),
  async ({ call }, { run, profile }) => {
    const { loss, latents } = await run(call);
    const { rows, data } = toMatrix(call.inputs.residual);
    const square = data.reduce((sum, value) => sum + value * value, 0) / rows;
    const expected = square / varianceOf(call.inputs.residual, profile).value;
    const bound = auxkBounds(call, latents, profile).loss[0];
    return compareTensor('loss', loss, scalar(expected), () => bound);
  },
);

/** A smaller call whose rows are one, or equal whole numbers whose mean is exact. */
function isStillFlat(call: Call): boolean {
  const { rows, cols, data } = toMatrix(call.inputs.residual);
  const equal = data.every((value, i) => value === data[i % cols] && Number.isInteger(value));
  return countDead(call) > 0 && (rows === 1 || ([2, 4].includes(rows) && equal));
}

/** Rows whose mean is exact in any order of summation: one, all zero, or two or four equal ones of whole numbers. */
const noVarianceCalls: fc.Arbitrary<Call> = fc.oneof(
  callsOf({
    sizes: flatSizes.map((size) => ({ ...size, rows: 1 })),
    residual: ({ d_in }) => tensorOf([1, d_in]),
    dead: someDead,
    isValid: isStillFlat,
  }),
  callsOf({
    sizes: flatSizes,
    residual: ({ rows, d_in }) => fc.constant(tensor([rows, d_in], new Float64Array(rows * d_in))),
    dead: someDead,
    isValid: isStillFlat,
  }),
  callsOf({
    sizes: flatSizes.map((size) => ({ ...size, rows: size.rows % 2 === 0 ? 2 : 4 })),
    residual: ({ rows, d_in }) =>
      fc
        .array(fc.integer({ min: -6, max: 6 }), { minLength: d_in, maxLength: d_in })
        .map((row) => tensor([rows, d_in], Array.from({ length: rows }, () => row).flat())),
    dead: someDead,
    isValid: isStillFlat,
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
  inputs: inputWords,
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
    agrees,
    choosesLargest,
    liveActsDoNotMatter,
    noneDead,
    alphaScalesGradient,
    perfectFit,
    scaleFree,
    slopeOfLoss,
    nothingChosen,
    refusesNoVariance,
    neverHidesNonFinite(nonFiniteCalls),
  ],
};
