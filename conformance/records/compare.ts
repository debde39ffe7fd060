/**
 * Certificates side by side: laws × kernels × dtypes, as a page and as lines.
 * @module
 */
import { markup, renderBadge, renderPage, type Html, type Verdict } from '../../synthetic/page.ts';
import type { Outcome } from '../run.ts';
import type { Certificate, CertifiedLaw } from './certificate.ts';

/** Certificates by the name of their file. */
export type Certificates = ReadonlyMap<string, Certificate>;

const verdicts: Readonly<Record<Outcome, Verdict>> = {
  pass: 'pass',
  fail: 'fail',
  skip: 'skip',
  unexpectedPass: 'warn',
  crashed: 'fail',
};

/** One law, in each certificate in turn; null where that one does not hold it. */
interface Row {
  readonly kernel: string;
  readonly law: string;
  readonly each: readonly (CertifiedLaw | null)[];
}

function rowsOf(certificates: Certificates): Row[] {
  const byName = new Map<string, Row>();
  const records = [...certificates.values()];
  for (const record of records) {
    for (const { kernel, law } of record.kernels) {
      const find = (other: Certificate): CertifiedLaw | null =>
        other.kernels.find((one) => one.kernel === kernel && one.law === law) ?? null;
      byName.set(`${kernel}: ${law}`, { kernel, law, each: records.map(find) });
    }
  }
  return [...byName.values()];
}

/** Whether a law is not plainly held by all that offer its operator. */
const isBroken = ({ each }: Row): boolean =>
  each.some((one) => one !== null && one.outcome !== 'pass' && one.outcome !== 'skip');

const isSkipped = ({ each }: Row): boolean =>
  each.every((one) => one === null || one.outcome === 'skip');

/** What does not hold, a line each, and a last line for each certificate. */
export function compareLines(certificates: Certificates): string[] {
  const names = [...certificates.values()].map(nameOf);
  const broken = rowsOf(certificates).filter(isBroken);
  return [
    ...broken.map(({ kernel, law, each }) => {
      const told = each.flatMap((one, i) =>
        one === null || one.outcome === 'pass' || one.outcome === 'skip'
          ? []
          : [`${names[i]} ${one.outcome}`],
      );
      return `${kernel}: ${law}: ${told.join('; ')}`;
    }),
    ...[...certificates.values()].map((record, i) => {
      const { pass, fail, crashed, skip, unexpectedPass } = record.counts;
      return `${record.verdict.toUpperCase()} ${names[i]}: ${pass} pass, ${fail + crashed + unexpectedPass} not, ${skip} skip`;
    }),
  ];
}

const nameOf = ({ backend, dtype }: Certificate): string => `${backend}, ${dtype}`;

/** The page: operators open to their laws, a column for each certificate; filters need no script. */
export function comparePage(certificates: Certificates): string {
  const records = [...certificates.values()];
  const rows = rowsOf(certificates);
  const broken = rows.filter(isBroken).length;
  const operators = [...new Set(rows.map(({ kernel }) => kernel))];
  const failed = records.filter(({ verdict }) => verdict === 'fail').length;
  return renderPage({
    title: 'Kernels side by side',
    kicker: 'Kernels held against the float64 reference',
    lead: `${rows.length} laws of ${operators.length} operators, in ${records.length} certificates.`,
    verdict: {
      verdict: failed === 0 ? 'pass' : 'fail',
      summary:
        failed === 0
          ? 'Every certificate passes.'
          : `${failed} of ${records.length} certificates fail, over ${broken} laws.`,
    },
    sections: [
      {
        heading: 'Laws × kernels × dtypes',
        body: [style(records.length), filters(records), ...operators.map((name) => table(name))],
      },
      {
        heading: 'Certificates',
        body: markup`<div class="scroll"><table class="side"><thead><tr><th>File</th><th>Kernels</th><th>Device</th><th>Seed</th><th>Cases a law</th></tr></thead><tbody>${[
          ...certificates,
        ].map(
          ([file, record]) =>
            markup`<tr><td>${file}</td><td>${nameOf(record)}</td><td>${record.device}</td><td>${String(record.seed)}</td><td>${record.runs.toLocaleString('en')}</td></tr>`,
        )}</tbody></table></div>`,
      },
    ],
    footer: {
      version: records[0].version,
      seed: records[0].seed,
      command: `matryoshka compare ${[...certificates.keys()].join(' ')}`,
      facts: records.map((record) => [`digest of ${nameOf(record)}`, record.digest] as const),
    },
  });

  function table(name: string): Html {
    const own = rows.filter(({ kernel }) => kernel === name);
    const bad = own.some(isBroken);
    const body = own.map(
      (row) =>
        markup`<tr class="${isBroken(row) ? 'broken' : ''}"><td>${row.law}</td>${row.each.map((one, i) => cell(one, i))}</tr>`,
    );
    return markup`<details class="operator ${bad ? 'broken' : ''}"${bad && markup` open`}><summary>${renderBadge(bad ? 'fail' : own.every(isSkipped) ? 'skip' : 'pass')} <b>${name}</b></summary><div class="scroll"><table class="side"><thead><tr><th>Law</th>${records.map((record, i) => markup`<th class="column-${String(i)}">${nameOf(record)}</th>`)}</tr></thead><tbody>${body}</tbody></table></div></details>`;
  }
}

function cell(one: CertifiedLaw | null, column: number): Html {
  const why = one?.failure?.message ?? one?.reason;
  const told = one === null ? '–' : renderBadge(verdicts[one.outcome]);
  return markup`<td class="column-${String(column)}">${told}${why !== undefined && markup` <span class="why">${why}</span>`}</td>`;
}

function filters(records: readonly Certificate[]): Html {
  const columns = records.map(
    (record, i) =>
      markup`<label><input type="checkbox" id="column-${String(i)}" checked> ${nameOf(record)}</label>`,
  );
  return markup`<fieldset class="filters"><legend>Show</legend><label><input type="checkbox" id="only-broken"> only what is broken</label>${columns}</fieldset>`;
}

function style(columns: number): Html {
  const hidden = Array.from(
    { length: columns },
    (_, i) =>
      markup`body:has(#column-${String(i)}:not(:checked)) .column-${String(i)} { display: none; }`,
  );
  return markup`<style>
.filters { border: 0; padding: 0; margin: 0 0 1rem; display: flex; flex-wrap: wrap; gap: .4rem 1.2rem; }
.filters legend { float: left; margin-right: 1rem; color: var(--muted); }
.operator { border-top: 1px solid var(--hair); padding: .5rem 0; }
.operator summary { cursor: pointer; }
.side { width: 100%; border-collapse: collapse; font-size: .92rem; }
.side th { text-align: left; font-weight: 600; }
.side th, .side td { padding: .25rem .6rem; vertical-align: top; }
.why { color: var(--muted); }
.scroll { overflow-x: auto; }
body:has(#only-broken:checked) .side tbody tr:not(.broken) { display: none; }
body:has(#only-broken:checked) .operator:not(.broken) { display: none; }
${hidden}
</style>`;
}
