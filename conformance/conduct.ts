/**
 * Conduct: what every kernel owes whatever it computes. An answer depends on the call and on nothing else: not on the call
 * before, not on what the memory of its outputs held, not on chance.
 * @module
 */
import fc from 'fast-check';
import { place } from './compare.ts';
import type { Call, KernelSpec, Law, LawCase, Tensors } from './kernel.ts';
import { answerOrRefusal, law } from './laws.ts';

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
  // Half of the time what comes between has the same shapes: what a kernel keeps from it then fits, and shows.
  const pairs: fc.Arbitrary<Pair> = fc
    .tuple(calls, calls, fc.boolean())
    .map(([call, other, same]) => ({ call, between: same ? reversed(call) : other }));
  return law(
    'answers the same call with the same bits: again, after another call, whatever its outputs held',
    pairs,
    async ({ call, between }, subject) => {
      const { run, deterministic } = subject;
      if (!deterministic) return null;
      const first = await run(call);
      for (const [when, fill, before] of [
        ['asked again', NaN, null],
        ['asked again with outputs that held 7', 7, null],
        ['asked again after another call', NaN, between],
      ] as const) {
        if (before !== null) await answerOrRefusal(before, subject);
        const wrong = difference(first, await run(call, fill));
        if (wrong !== null) return `${wrong} when ${when}`;
      }
      return null;
    },
  );
}

/** The same call with every input's values in the opposite order. */
function reversed({ config, inputs }: Call): Call {
  const turned = Object.entries(inputs).map(([name, { shape, data }]) => [
    name,
    { shape, data: data.slice().reverse() },
  ]);
  return { config, inputs: Object.fromEntries(turned) as Call['inputs'] };
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
