/**
 * What a level's loss is made of: squares, summed over dimensions, averaged over rows. One law for each.
 * @module
 */
import type fc from 'fast-check';
import { compareTensor } from '../compare.ts';
import type { Profile } from '../error-model.ts';
import type { Call, Law, Subject, Tensor, Tensors } from '../kernel.ts';
import { law, only } from '../laws.ts';
import { fromVector, tensor } from '../tensors.ts';

/** Bounds of a call's level losses, whatever is expected of them. */
type LevelBounds = (
  call: Call,
  expected: Tensors,
  profile: Profile,
) => { readonly level_losses: Float64Array };

/** The call with the given rows and dimensions alone, as `(rows, dimensions)`. */
function part({ config, inputs }: Call, rows: readonly number[], dims: readonly number[]): Call {
  const d_in = inputs.x.shape[inputs.x.shape.length - 1];
  const levels = inputs.reconstructions.shape[0];
  const size = inputs.x.data.length;
  const cut = (data: Float64Array, start: number): number[] =>
    rows.flatMap((b) => dims.map((i) => data[start + b * d_in + i]));
  const reconstructions = Array.from({ length: levels }, (_, g) =>
    cut(inputs.reconstructions.data, g * size),
  );
  return {
    config,
    inputs: {
      x: tensor([rows.length, dims.length], cut(inputs.x.data, 0)),
      reconstructions: tensor([levels, rows.length, dims.length], reconstructions.flat()),
    },
  };
}

const indices = (length: number): number[] => Array.from({ length }, (_, i) => i);

/** Squares, sums over dimensions, means over rows: in this order, as each later law needs the ones before. */
export function unitLaws(calls: fc.Arbitrary<Call>, bounds: LevelBounds): Law[] {
  /** The sum of the parts' level losses times a factor, and how far a right kernel's may be from it. */
  const together = async (
    parts: readonly Call[],
    factor: number,
    { run, profile }: Subject,
  ): Promise<{ sum: Tensor; limit: Float64Array }> => {
    const levels = parts[0].inputs.reconstructions.shape[0];
    const sum = new Float64Array(levels);
    const limit = new Float64Array(levels);
    for (const each of parts) {
      const outputs = await run(each);
      const own = bounds(each, outputs, profile).level_losses;
      for (let g = 0; g < levels; g++) {
        sum[g] += factor * outputs.level_losses.data[g];
        limit[g] += factor * own[g] + 2 ** -50 * sum[g];
      }
    }
    return { sum: fromVector(sum), limit };
  };
  const sumOfParts = (
    name: string,
    whole: fc.Arbitrary<Call>,
    partsOf: (call: Call) => readonly Call[],
    factor: (parts: number) => number,
  ): Law =>
    law(name, only(whole), async ({ call }, subject) => {
      const parts = partsOf(call);
      const { sum, limit } = await together(parts, factor(parts.length), subject);
      const outputs = await subject.run(call);
      const own = bounds(call, outputs, subject.profile).level_losses;
      return compareTensor('level_losses', outputs.level_losses, sum, (g) => own[g] + limit[g]);
    });
  const widthOf = ({ inputs: { x } }: Call): number => x.shape[x.shape.length - 1];
  const rowsOf = (call: Call): number => call.inputs.x.data.length / widthOf(call);

  return [
    law(
      'one value off by e costs e²',
      only(calls.map((call) => part(call, [0], [0]))),
      async ({ call }, { run, profile }) => {
        const { x, reconstructions } = call.inputs;
        const squares = reconstructions.data.map((value) => (value - x.data[0]) ** 2);
        const outputs = await run(call);
        const bound = bounds(call, outputs, profile).level_losses;
        return compareTensor(
          'level_losses',
          outputs.level_losses,
          fromVector(squares),
          (g) => bound[g],
        );
      },
    ),
    sumOfParts(
      'the loss of a row is the sum of the losses of its dimensions',
      calls.map((call) => part(call, [0], indices(widthOf(call)))),
      (call) => indices(widthOf(call)).map((i) => part(call, [0], [i])),
      () => 1,
    ),
    sumOfParts(
      'the loss of a batch is the mean of the losses of its rows',
      calls,
      (call) => indices(rowsOf(call)).map((b) => part(call, [b], indices(widthOf(call)))),
      (parts) => 1 / parts,
    ),
  ];
}
