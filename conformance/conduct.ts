/**
 * Conduct: what every kernel owes whatever it computes. An answer depends on the call and on nothing else: not on the call
 * before, not on what the memory of its outputs held, not on chance.
 * @module
 */
import fc from 'fast-check';
import { place } from './compare.ts';
import type { Call, KernelSpec, Law, LawCase, Tensors } from './kernel.ts';
import { law } from './laws.ts';

interface Pair extends LawCase {
  readonly between: Call;
}

/** The operator with its own laws; conduct comes before those that compare answers, as they take it for granted. */
export function withConduct(spec: KernelSpec): KernelSpec {
  const [acceptance, ...others] = spec.laws;
  return { ...spec, laws: [acceptance, conduct(spec), ...others] };
}

/** The same call must have the same answer, bit for bit. Kernels that declare otherwise are not held to it. */
function conduct(spec: KernelSpec): Law {
  const calls = spec.laws[0].cases.map(({ call }) => call);
  const pairs: fc.Arbitrary<Pair> = fc
    .tuple(calls, calls)
    .map(([call, between]) => ({ call, between }));
  return law(
    'answers the same call with the same bits: again, after another call, whatever its outputs held',
    pairs,
    async ({ call, between }, { run, deterministic }) => {
      if (!deterministic) return null;
      const first = await run(call);
      for (const [when, fill, before] of [
        ['asked again', NaN, null],
        ['asked again with outputs that held 7', 7, null],
        ['asked again after another call', NaN, between],
      ] as const) {
        if (before !== null) await run(before);
        const wrong = difference(first, await run(call, fill));
        if (wrong !== null) return `${wrong} when ${when}`;
      }
      return null;
    },
  );
}

/** The first value that differs; NaN is the same as NaN. */
function difference(first: Tensors, second: Tensors): string | null {
  for (const [name, { shape, data }] of Object.entries(first)) {
    const at = data.findIndex((value, i) => !Object.is(value, second[name].data[i]));
    if (at !== -1) {
      return `${name}${place(at, shape)} was ${data[at]} and then ${second[name].data[at]}`;
    }
  }
  return null;
}
