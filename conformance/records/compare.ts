/**
 * Certificates side by side: laws × kernels × dtypes, as a page and as lines.
 * @module
 */
import { markup, renderBadge, renderPage, type Html } from '../../synthetic/page.ts';
import type { Certificate, CertifiedLaw } from './certificate.ts';
import { columnClass, isBroken, lawFilters, operatorClass, verdicts } from './law-filters.ts';

/** Certificates by the name of their file. */
export type Certificates = ReadonlyMap<string, Certificate>;

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

/** Whether a law does not hold in one of them. */
const breaks = ({ each }: Row): boolean =>
  each.some((one) => one !== null && isBroken(one.outcome));

const isSkipped = ({ each }: Row): boolean =>
  each.every((one) => one === null || one.outcome === 'skip');

/** What does not hold, a line each, and a last line for each certificate. */
export function compareLines(certificates: Certificates): string[] {
  const names = [...certificates.values()].map(nameOf);
  const broken = rowsOf(certificates).filter(breaks);
  return [
    ...broken.map(({ kernel, law, each }) => {
      const told = each.flatMap((one, i) =>
        one !== null && isBroken(one.outcome) ? [`${names[i]} ${one.outcome}`] : [],
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

/**
 * The page: operators open to their laws, a column for each certificate; filters need no script.
 * @param command - makes the page again.
 */
export function comparePage(certificates: Certificates, command: string): string {
  const records = [...certificates.values()];
  const rows = rowsOf(certificates);
  const broken = rows.filter(breaks).length;
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
        body: [lawFilters(operators, records.map(nameOf)), ...operators.map(table)],
      },
      {
        heading: 'Certificates',
        body: markup`<div class="scroll"><table><thead><tr><th>File</th><th>Kernels</th><th>Device</th><th>Seed</th><th>Cases a law</th></tr></thead><tbody>${[
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
      command,
      facts: records.map((record) => [`digest of ${nameOf(record)}`, record.digest] as const),
    },
  });

  function table(name: string, index: number): Html {
    const own = rows.filter(({ kernel }) => kernel === name);
    const bad = own.some(breaks);
    const heads = records.map(
      (record, i) => markup`<th class="${columnClass(i)}">${nameOf(record)}</th>`,
    );
    const body = own.map(
      ({ law, each }) =>
        markup`<tr><td class="law">${law}</td>${each.map((one, i) => cell(one, i))}</tr>`,
    );
    return markup`<details class="operator ${operatorClass(index)}"${bad && markup` open`}><summary>${renderBadge(bad ? 'fail' : own.every(isSkipped) ? 'skip' : 'pass')} <b>${name}</b></summary><div class="scroll"><table class="laws"><thead><tr><th>Law</th>${heads}</tr></thead><tbody>${body}</tbody></table></div></details>`;
  }
}

function cell(one: CertifiedLaw | null, column: number): Html {
  if (one === null) return markup`<td class="${columnClass(column)}">–</td>`;
  const why = one.failure?.message ?? one.reason;
  return markup`<td class="${columnClass(column)} ${one.outcome}">${renderBadge(verdicts[one.outcome])}${why !== undefined && markup` <div class="muted why">${why}</div>`}</td>`;
}
