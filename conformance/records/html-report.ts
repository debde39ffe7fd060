/**
 * Results as one self-contained HTML page: operators and their laws, filtered without a script, and each failure with a
 * picture of its tensors.
 * @module
 */
import {
  formatNumber,
  markup,
  renderBadge,
  renderCommand,
  renderFacts,
  renderPage,
  type Html,
  type Section,
} from '../../synthetic/page.ts';
import type { Certificate } from './certificate.ts';
import type { KernelSpec, Tensor, Tensors } from '../kernel.ts';
import type { LawResult } from '../run.ts';
import { columnClass, isBroken, lawFilters, operatorClass, verdicts } from './law-filters.ts';

/**
 * @param results - those of the certificate, with the calls that failed.
 * @param command - how to run the kernels under test again, without a law.
 */
export function conformanceReport(
  record: Certificate,
  results: readonly LawResult[],
  specs: readonly KernelSpec[],
  command: string,
): string {
  const bad = results.filter(({ outcome }) => isBroken(outcome));
  const cases = results.reduce((sum, result) => sum + result.cases, 0);
  const operators = [...new Set(results.map(({ kernel }) => kernel))];
  return renderPage({
    title: `${record.backend}, ${record.dtype}`,
    kicker: 'Kernels held against the float64 reference',
    lead: `${cases.toLocaleString('en')} generated cases of ${results.length} laws, on ${record.device}. A bound comes from the arithmetic the kernels declare, never from what passes.`,
    verdict: {
      verdict: record.verdict,
      summary:
        record.verdict === 'pass'
          ? `Every law that was run holds.`
          : bad.length === 0
            ? 'Nothing was run, or an entry of the expectation files is stale.'
            : `${bad.length} of ${results.length} laws are broken; the first: ${bad[0].kernel}: ${bad[0].law}.`,
    },
    sections: [
      ...bad.map((result) => failureSection(result, specs, command)),
      {
        heading: 'Operators and laws',
        body: [
          tensorStyle,
          lawFilters(operators, [record.dtype]),
          ...operators.map((name, i) => operatorTable(name, i, results)),
        ],
      },
      ...(record.files === undefined
        ? []
        : [{ heading: 'Files', body: renderFacts(Object.entries(record.files)) }]),
    ],
    footer: {
      version: record.version,
      seed: record.seed,
      command: `${command} --seed ${record.seed} --runs ${record.runs}`,
      facts: [['digest', record.digest]],
    },
  });
}

function failureSection(result: LawResult, specs: readonly KernelSpec[], command: string): Section {
  const { kernel, law, failure, outcome, reason } = result;
  const heading = `${kernel}: ${law}`;
  if (failure === undefined) {
    return {
      heading,
      verdict: verdicts[outcome],
      body: markup`<p>${reason ?? 'passes, although a failure was expected'}</p>`,
    };
  }
  const { call, got, message, seed, path, shrinks } = failure;
  const spec = specs.find(({ name }) => name === kernel);
  const expected = spec === undefined ? null : expectedOf(spec, call);
  const config = Object.entries(call.config).map(
    ([name, value]) => [name, JSON.stringify(value)] as const,
  );
  return {
    heading,
    verdict: verdicts[outcome],
    body: [
      markup`<p>${message}</p>`,
      config.length > 0 && renderFacts(config),
      pictures(grids('', call.inputs)),
      pictures([
        ...(got === undefined ? [] : grids('got ', got, expected ?? undefined)),
        ...(expected === null ? [] : grids('expected ', expected)),
      ]),
      expected === null && markup`<p>The reference refuses this call.</p>`,
      markup`<p>After ${result.cases} cases and ${shrinks} shrinks. To see it again:</p>`,
      renderCommand(`${command} --only '${heading}' --seed ${seed} --path ${path}`),
    ],
  };
}

function expectedOf(
  spec: KernelSpec,
  call: Parameters<KernelSpec['reference']>[0],
): Tensors | null {
  try {
    return spec.reference(call);
  } catch {
    return null;
  }
}

const most = { tensors: 12, values: 200 };

/** Small tensors as grids; values that differ from `others` are outlined. */
function grids(prefix: string, tensors: Tensors, others?: Tensors): Html[] {
  return Object.entries(tensors)
    .filter(([, { data }]) => data.length > 0 && data.length <= most.values)
    .slice(0, most.tensors)
    .map(([name, value]) => picture(`${prefix}${name}`, value, others?.[name]));
}

function pictures(shown: readonly Html[]): Html {
  return markup`<div class="tensors">${shown}</div>`;
}

function picture(name: string, { shape, data }: Tensor, other: Tensor | undefined): Html {
  const columns = shape.at(-1) ?? 1;
  const largest = data.reduce(
    (size, value) => (Number.isFinite(value) ? Math.max(size, Math.abs(value)) : size),
    0,
  );
  const cell = (value: number, i: number): Html => {
    const share =
      largest === 0 || !Number.isFinite(value) ? 0 : Math.round((100 * Math.abs(value)) / largest);
    const wrong =
      other !== undefined && !Object.is(value, other.data[i]) && value !== other.data[i];
    return markup`<td class="${wrong ? 'wrong' : ''}" style="--share: ${String(share)}%; --tint: ${value < 0 ? 'var(--bad)' : 'var(--link)'}">${formatNumber(value)}</td>`;
  };
  const rows = Array.from({ length: data.length / Math.max(columns, 1) }, (_, b) =>
    Array.from(data.subarray(b * columns, (b + 1) * columns), (value, j) =>
      cell(value, b * columns + j),
    ),
  );
  return markup`<figure><figcaption>${name} <span class="muted">[${shape.join(', ')}]</span></figcaption><table class="tensor">${rows.map((row) => markup`<tr>${row}</tr>`)}</table></figure>`;
}

function operatorTable(name: string, index: number, results: readonly LawResult[]): Html {
  const own = results.filter(({ kernel }) => kernel === name);
  const worst =
    own.find(({ outcome }) => verdicts[outcome] === 'fail') ??
    own.find(({ outcome }) => outcome !== 'pass') ??
    own[0];
  const rows = own.map(
    ({ law, outcome, cases, seconds, reason }) =>
      markup`<tr><td class="${columnClass(0)} ${outcome}">${renderBadge(verdicts[outcome])}</td><td class="law">${law}${reason !== undefined && markup` <span class="muted">(${reason})</span>`}</td><td class="number">${cases.toLocaleString('en')}</td><td class="number">${formatNumber(seconds, 2)} s</td></tr>`,
  );
  return markup`<details class="operator ${operatorClass(index)}"${worst.outcome !== 'pass' && markup` open`}><summary>${renderBadge(verdicts[worst.outcome])} <b>${name}</b> <span class="muted">${own.length} laws</span></summary><div class="scroll"><table class="laws"><tbody>${rows}</tbody></table></div></details>`;
}

const tensorStyle = markup`<style>
.tensors { display: flex; flex-wrap: wrap; gap: .8rem 1.6rem; margin: .8rem 0; }
.tensors figure { margin: 0; max-width: 100%; overflow-x: auto; }
.tensors figcaption { font-size: .9rem; margin-bottom: .2rem; }
.tensor { border-collapse: collapse; font: .82rem ui-monospace, monospace; }
.tensor td { padding: .15rem .45rem; text-align: right; border: 1px solid var(--hair);
  background: color-mix(in srgb, var(--tint) calc(var(--share) * .35), var(--paper)); }
.tensor .wrong { outline: 2px solid var(--bad); outline-offset: -2px; font-weight: 700; }
</style>`;
