/**
 * Re-checking a certificate: that it was not changed, that its verdict follows from its results, and that this copy of the
 * suite draws the same cases under its seed. With the kernels at hand, that they give the same results again.
 * @module
 */
import { version } from '../../reference/version.ts';
import { digestOf, drawnDigest, verdictOf, type Certificate } from './certificate.ts';
import type { KernelSpec } from '../kernel.ts';
import { countOutcomes, type LawResult } from '../run.ts';

/** One thing checked: what is wrong with it, or null. */
export interface Check {
  readonly what: string;
  readonly wrong: string | null;
}

/** Everything that can be told from the record and this copy of the suite. */
export function verifyCertificate(record: Certificate, specs: readonly KernelSpec[]): Check[] {
  const counts = countOutcomes(record.kernels);
  const verdict = verdictOf(record.kernels, record.stale);
  const listed = new Set(record.kernels.map(({ kernel, law }) => `${kernel}: ${law}`));
  const operators = new Set(record.kernels.map(({ kernel }) => kernel));
  const missing = specs
    .filter(({ name }) => operators.has(name))
    .flatMap(({ name, laws }) => laws.map((law) => `${name}: ${law.name}`))
    .filter((id) => !listed.has(id));
  const others = record.kernels.filter(
    ({ kernel, law, drawn }) => drawnDigest(specs, kernel, law, record.seed) !== drawn,
  );
  const [other] = others;
  return [
    {
      what: 'the record is as it was written',
      wrong: digestOf(record) === record.digest ? null : 'its digest does not fit its content',
    },
    {
      what: 'counts and verdict follow from the results',
      wrong:
        JSON.stringify(counts) !== JSON.stringify({ ...counts, ...record.counts })
          ? 'the counts do not add up'
          : verdict === record.verdict
            ? null
            : `it says ${record.verdict}, the results say ${verdict}`,
    },
    {
      what: 'it is of a whole run',
      wrong:
        record.shard === undefined
          ? null
          : `it is shard ${record.shard.index} of ${record.shard.count}: merge them first`,
    },
    {
      what: `it was made by this version, ${version}`,
      wrong: record.version === version ? null : `it was made by version ${record.version}`,
    },
    {
      what: `every law of its ${operators.size} operators is in it`,
      wrong: missing.length === 0 ? null : `${missing.length} are not, such as “${missing[0]}”`,
    },
    {
      what: 'this copy of the suite draws the same cases',
      wrong:
        others.length === 0
          ? null
          : `${others.length} laws draw others, such as “${other.kernel}: ${other.law}”`,
    },
  ];
}

/** Whether the kernels do again what the record says. */
export function sameResults(record: Certificate, results: readonly LawResult[]): Check {
  const [different] = results.filter((result) => {
    const told = record.kernels.find(
      ({ kernel, law }) => kernel === result.kernel && law === result.law,
    );
    return told?.outcome !== result.outcome || told.cases !== result.cases;
  });
  return {
    what: 'the kernels give the same results again',
    wrong:
      different === undefined
        ? null
        : `“${different.kernel}: ${different.law}” is now ${different.outcome} after ${different.cases} cases`,
  };
}
