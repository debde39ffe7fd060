/**
 * decode: a reconstruction from every prefix, x̂_g = b_dec + latents[…, :m_g] · W_dec[:m_g].
 * @module
 */
import fc from 'fast-check';
import { decodePrefixes } from '../../reference/decode.ts';
import { zeroParams } from '../../reference/params.ts';
import type { Matrix } from '../../reference/matrix.ts';
import { groups } from '../../reference/prefixes.ts';
import {
  latentsOf,
  permutationOf,
  prefixesOf,
  sizes,
  tensorOf,
  withNonFinite,
} from '../arbitraries.ts';
import { compareTensor, place } from '../compare.ts';
import type { Profile } from '../error-model.ts';
import type { Call, KernelSpec, Law, Subject, Tensor, Tensors } from '../kernel.ts';
import { agreesWithReference, law, neverHidesNonFinite, only } from '../laws.ts';
import { smallerCalls } from '../smaller-calls.ts';
import { numbersOf, tensor, toMatrix } from '../tensors.ts';
import { prefixErrors } from './decode-bounds.ts';
import { levelsOf, permuteRows } from './loss.ts';

const inputWords = { latents: '(…, d_sae), >= 0', W_dec: '(d_sae, d_in)', b_dec: '(d_in)' };

/** Latents of any prefixes and any decoder. */
export const decodeCalls: fc.Arbitrary<Call> = smallerCalls(
  sizes.chain(({ lead, d_in, d_sae }) =>
    fc
      .record({
        latents: latentsOf([...lead, d_sae]),
        W_dec: tensorOf([d_sae, d_in]),
        b_dec: tensorOf([d_in]),
        prefixes: prefixesOf(d_sae),
      })
      .map(({ prefixes, ...inputs }) => ({ config: { prefixes }, inputs })),
  ),
  inputWords,
);

/** The same call with one value of one input replaced. */
export function withValue(call: Call, name: string, at: number, value: number): Call {
  const { shape, data } = call.inputs[name];
  return { ...call, inputs: { ...call.inputs, [name]: tensor(shape, data.with(at, value)) } };
}

/** Orders of the latents that leave each in its group. */
export function permutationWithinGroups(prefixes: readonly number[]): fc.Arbitrary<number[]> {
  return fc
    .tuple(...groups(prefixes).map(({ start, end }) => permutationOf(end - start)))
    .map((orders) => orders.flatMap((order, g) => order.map((j) => j + (prefixes[g - 1] ?? 0))));
}

/** A new order of the last dimension. */
export function permuteColumns({ shape, data }: Tensor, order: readonly number[]): Tensor {
  const width = order.length;
  return tensor(
    shape,
    data.map((_, i) => data[i - (i % width) + order[i % width]]),
  );
}

function reference(call: Call): Tensors {
  const prefixes = numbersOf(call, 'prefixes');
  const { latents, W_dec } = matricesOf(call);
  const b_dec = call.inputs.b_dec.data;
  const params = { ...zeroParams(W_dec.cols, W_dec.rows), W_dec, b_dec };
  const all = decodePrefixes(latents, params, prefixes).flatMap(({ data }) => [...data]);
  return { reconstructions: tensor(shapeOf(call), all) };
}

function matricesOf({ inputs }: Call): { latents: Matrix; W_dec: Matrix; b_dec: Float64Array } {
  return {
    latents: toMatrix(inputs.latents),
    W_dec: toMatrix(inputs.W_dec),
    b_dec: inputs.b_dec.data,
  };
}

function shapeOf(call: Call): number[] {
  const { latents, b_dec } = call.inputs;
  return [numbersOf(call, 'prefixes').length, ...latents.shape.slice(0, -1), b_dec.data.length];
}

function boundsOf(call: Call, profile: Profile): Tensor {
  return tensor(
    shapeOf(call),
    prefixErrors(matricesOf(call), numbersOf(call, 'prefixes'), profile),
  );
}

const withLatents = (call: Call, latents: Tensor): Call => ({
  ...call,
  inputs: { ...call.inputs, latents },
});

const neighboursDifferByTheirGroup: Law = law(
  'neighbouring reconstructions differ by what their group decodes',
  only(decodeCalls),
  async ({ call }, { run, profile }) => {
    const got = (await run(call)).reconstructions;
    const { latents, W_dec, b_dec } = matricesOf(call);
    const prefixes = numbersOf(call, 'prefixes');
    const bounds = boundsOf(call, profile).data;
    const size = latents.rows * b_dec.length;
    const expected = got.data.map((_, at) => {
      const { start, end } = groups(prefixes)[Math.floor(at / size)];
      const b = Math.floor((at % size) / b_dec.length);
      let sum = 0;
      for (let j = start; j < end; j++) {
        sum += latents.data[b * latents.cols + j] * W_dec.data[j * W_dec.cols + (at % W_dec.cols)];
      }
      return sum;
    });
    const before = (at: number): number =>
      at < size ? b_dec[at % b_dec.length] : got.data[at - size];
    return compareTensor(
      'difference',
      tensor(
        got.shape,
        got.data.map((value, at) => value - before(at)),
      ),
      tensor(got.shape, expected),
      (at) => bounds[at] + (at < size ? 0 : bounds[at - size]),
    );
  },
);

/** A call, one of its levels, and the call with zeros for the latents that the level's prefix leaves out. */
const cutCalls = decodeCalls.chain((call) =>
  fc.nat({ max: numbersOf(call, 'prefixes').length - 1 }).map((g) => ({ call, g })),
);

function cutAt(call: Call, g: number): Call {
  const { shape, data } = call.inputs.latents;
  const cols = shape[shape.length - 1];
  const width = numbersOf(call, 'prefixes')[g];
  return withLatents(
    call,
    tensor(
      shape,
      data.map((latent, i) => (i % cols < width ? latent : 0)),
    ),
  );
}

/** Level `at` of the cut call against level g of the call itself. */
async function compareCut(
  { call, g, at }: { call: Call; g: number; at: number },
  { run, profile }: Subject,
): Promise<string | null> {
  const cut = cutAt(call, g);
  const expected = levelsOf((await run(call)).reconstructions)[g];
  const got = levelsOf((await run(cut)).reconstructions)[at];
  const limits = [levelsOf(boundsOf(call, profile))[g], levelsOf(boundsOf(cut, profile))[at]];
  return compareTensor(
    `level ${at} with latents from ${numbersOf(call, 'prefixes')[g]} on zeroed`,
    got,
    expected,
    (i) => limits[0].data[i] + limits[1].data[i],
  );
}

const prefixIgnoresLaterLatents: Law = law(
  'a prefix decodes as if later latents were zero',
  cutCalls,
  (given, subject) => compareCut({ ...given, at: given.g }, subject),
);

const fullWidthOfCut: Law = law(
  'once later latents are zero, the full width decodes as the prefix does',
  cutCalls,
  (given, subject) =>
    compareCut({ ...given, at: numbersOf(given.call, 'prefixes').length - 1 }, subject),
);

const insertedBoundary: Law = law(
  'one more prefix leaves the reconstructions of the others as they are',
  decodeCalls
    .filter((call) => numbersOf(call, 'prefixes').length < call.inputs.W_dec.shape[0])
    .chain((call) => {
      const prefixes = numbersOf(call, 'prefixes');
      const free = [...Array(call.inputs.W_dec.shape[0]).keys()].filter(
        (m) => m > 0 && !prefixes.includes(m),
      );
      return fc.constantFrom(...free).map((more) => ({ call, more }));
    }),
  async ({ call, more }, { run, profile }) => {
    const prefixes = numbersOf(call, 'prefixes');
    const finer = [...prefixes, more].sort((a, b) => a - b);
    const refined: Call = { ...call, config: { prefixes: finer } };
    const got = (await run(refined)).reconstructions;
    const expected = (await run(call)).reconstructions;
    // Without the level that came in between.
    const without = (all: Tensor): Tensor =>
      tensor(
        expected.shape,
        levelsOf(all).flatMap(({ data }, g) => (finer[g] === more ? [] : [...data])),
      );
    const limit = boundsOf(call, profile).data;
    const limitFiner = without(boundsOf(refined, profile)).data;
    return compareTensor(
      `reconstructions with a prefix of ${more} inserted`,
      without(got),
      expected,
      (i) => limit[i] + limitFiner[i],
    );
  },
);

/** Latents on a grid of halves, so that small combinations of them are float32 values too. */
const gridLatents = (shape: readonly number[]): fc.Arbitrary<Tensor> => {
  const size = shape.reduce((product, length) => product * length, 1);
  const steps = fc.array(fc.integer({ min: 0, max: 6 }), { minLength: size, maxLength: size });
  return steps.map((values) =>
    tensor(
      shape,
      values.map((n) => n / 2),
    ),
  );
};

const affine: Law = law(
  'what is added to b_dec is linear in the latents',
  decodeCalls.chain((call) =>
    fc.record({
      call: gridLatents(call.inputs.latents.shape).map((latents) => withLatents(call, latents)),
      other: gridLatents(call.inputs.latents.shape),
      factors: fc.tuple(fc.constantFrom(0, 0.5, 1, 2, 3), fc.constantFrom(0, 0.5, 1, 2, 3)),
    }),
  ),
  async ({ call, other, factors: [alpha, beta] }, { run, profile }) => {
    const { shape, data } = call.inputs.latents;
    const mixed = tensor(
      shape,
      data.map((latent, i) => alpha * latent + beta * other.data[i]),
    );
    const calls = [withLatents(call, mixed), call, withLatents(call, other)];
    const outputs: Tensor[] = [];
    for (const each of calls) outputs.push((await run(each)).reconstructions);
    const [together, first, second] = outputs;
    const bounds = calls.map((each) => boundsOf(each, profile).data);
    const b_dec = call.inputs.b_dec.data;
    const added = (output: Tensor, i: number): number => output.data[i] - b_dec[i % b_dec.length];
    return compareTensor(
      `reconstructions of ${alpha} a + ${beta} a', less b_dec`,
      tensor(
        together.shape,
        together.data.map((_, i) => added(together, i)),
      ),
      tensor(
        together.shape,
        together.data.map((_, i) => alpha * added(first, i) + beta * added(second, i)),
      ),
      (i) => bounds[0][i] + alpha * bounds[1][i] + beta * bounds[2][i],
    );
  },
);

const nothingButBias: Law = law(
  'where a row has no latent in a prefix its reconstruction is b_dec exactly',
  only(decodeCalls),
  async ({ call }, { run, profile }) => {
    const got = (await run(call)).reconstructions;
    const { latents, b_dec } = matricesOf(call);
    const prefixes = numbersOf(call, 'prefixes');
    const d_in = b_dec.length;
    for (let at = 0; at < got.data.length; at++) {
      const g = Math.floor(at / (latents.rows * d_in));
      const start = (Math.floor(at / d_in) % latents.rows) * latents.cols;
      const used = latents.data.subarray(start, start + prefixes[g]).some((latent) => latent !== 0);
      const bias = b_dec[at % d_in];
      if (used || Math.abs(got.data[at] - bias) <= storing(bias, profile)) continue;
      return `reconstructions${place(at, got.shape)} returned ${got.data[at]}, expected b_dec, ${bias}`;
    }
    return null;
  },
);

/** What storing a float32 value may change: nothing, unless results are narrower or subnormals are flushed. */
function storing(value: number, profile: Profile): number {
  const size = Math.abs(value);
  if (profile.flushesSubnormals && size < 2 ** -126) return size;
  return profile.u_out > 2 ** -24 ? profile.u_out * size : 0;
}

const rowAlone: Law = law(
  'a row decodes alone as it does in a batch',
  only(decodeCalls),
  async ({ call }, { run, profile }) => {
    const { rows, cols, data } = toMatrix(call.inputs.latents);
    const together = (await run(call)).reconstructions.data;
    for (let b = 0; b < rows; b++) {
      const alone = withLatents(call, tensor([1, cols], data.slice(b * cols, (b + 1) * cols)));
      const got = (await run(alone)).reconstructions;
      const d_in = got.shape[2];
      const expected = got.data.map(
        (_, i) => together[(Math.floor(i / d_in) * rows + b) * d_in + (i % d_in)],
      );
      const bound = boundsOf(alone, profile).data;
      const name = `reconstructions of row ${b} alone`;
      const wrong = compareTensor(name, got, tensor(got.shape, expected), (i) => 2 * bound[i]);
      if (wrong !== null) return wrong;
    }
    return null;
  },
);

const orderWithinGroups: Law = law(
  'permuting latents inside their groups leaves every reconstruction as it is',
  decodeCalls.chain((call) =>
    permutationWithinGroups(numbersOf(call, 'prefixes')).map((order) => ({ call, order })),
  ),
  async ({ call, order }, { run, profile }) => {
    const { latents, W_dec, b_dec } = call.inputs;
    const permuted = { latents: permuteColumns(latents, order), W_dec: permuteRows(W_dec, order) };
    const got = await run({ ...call, inputs: { ...permuted, b_dec } });
    const expected = (await run(call)).reconstructions;
    const bound = boundsOf(call, profile).data;
    return compareTensor('reconstructions', got.reconstructions, expected, (i) => 2 * bound[i]);
  },
);

/** Visible whatever the kernel: a row of W_dec must be used, as a gather never reads the others. */
const nonFiniteCalls: fc.Arbitrary<Call> = fc.oneof(
  { weight: 2, arbitrary: withNonFinite(decodeCalls, ['latents', 'b_dec']) },
  {
    weight: 1,
    arbitrary: decodeCalls
      .map((call) => ({ call, used: usedLatents(call.inputs.latents) }))
      .filter(({ used }) => used.length > 0)
      .chain(({ call, used }) => {
        const d_in = call.inputs.b_dec.data.length;
        return fc
          .tuple(
            fc.constantFrom(...used),
            fc.nat({ max: d_in - 1 }),
            fc.constantFrom(NaN, Infinity, -Infinity),
          )
          .map(([j, i, value]) => withValue(call, 'W_dec', j * d_in + i, value));
      }),
  },
);

/** Columns with a value that no kernel takes for 0: positive and not subnormal. */
export function usedLatents({ shape, data }: Tensor): number[] {
  const cols = shape[shape.length - 1];
  return [...new Set([...data.keys()].filter((i) => data[i] >= 2 ** -126).map((i) => i % cols))];
}

export const decode: KernelSpec = {
  name: 'decode',
  summary: 'a reconstruction from every prefix: b_dec + latents[…, :m_g] · W_dec[:m_g]',
  inputs: inputWords,
  outputs: { reconstructions: '(prefixes, …, d_in)' },
  config: { prefixes: 'm_1 < … < m_G = d_sae' },
  outputShapes: (call) => ({ reconstructions: shapeOf(call) }),
  reference,
  laws: [
    agreesWithReference(decodeCalls, reference, (call, _expected, profile) => ({
      reconstructions: boundsOf(call, profile).data,
    })),
    rowAlone,
    prefixIgnoresLaterLatents,
    nothingButBias,
    neighboursDifferByTheirGroup,
    fullWidthOfCut,
    insertedBoundary,
    affine,
    orderWithinGroups,
    neverHidesNonFinite(nonFiniteCalls),
  ],
};
