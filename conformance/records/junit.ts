/**
 * A certificate as JUnit XML, which CI systems show: a suite for each operator, a test case for each law.
 * @module
 */
import type { Certificate, CertifiedLaw } from './certificate.ts';

export function junit(record: Certificate): string {
  const operators = [...new Set(record.kernels.map(({ kernel }) => kernel))];
  const suites = operators.map((operator) => {
    const laws = record.kernels.filter(({ kernel }) => kernel === operator);
    return [
      `  <testsuite ${attributes({ name: `${record.backend}/${operator}/${record.dtype}`, ...totals(laws) })}>`,
      ...laws.map(testCase),
      '  </testsuite>',
    ].join('\n');
  });
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites ${attributes({ name: 'matryoshka conformance', ...totals(record.kernels) })}>`,
    ...suites,
    '</testsuites>\n',
  ].join('\n');
}

function totals(laws: readonly CertifiedLaw[]): Record<string, string | number> {
  const count = (...outcomes: string[]): number =>
    laws.filter(({ outcome }) => outcomes.includes(outcome)).length;
  return {
    tests: laws.length,
    failures: count('fail', 'unexpectedPass'),
    errors: count('crashed'),
    skipped: count('skip'),
    time: laws.reduce((sum, { seconds }) => sum + seconds, 0).toFixed(3),
  };
}

function testCase({ kernel, law, outcome, seconds, failure, reason }: CertifiedLaw): string {
  const opening = `    <testcase ${attributes({ classname: kernel, name: law, time: seconds.toFixed(3) })}`;
  const message = failure?.message ?? reason ?? '';
  const replay = failure === undefined ? '' : `--seed ${failure.seed} --path ${failure.path}`;
  const inner = {
    pass: '',
    skip: `<skipped ${attributes({ message: reason ?? 'the kernel does not offer it' })}/>`,
    fail: `<failure ${attributes({ message })}>${escapeXml(replay)}</failure>`,
    unexpectedPass: `<failure ${attributes({ message: `passes, although a failure was expected: ${message}` })}/>`,
    crashed: `<error ${attributes({ message })}>${escapeXml(replay)}</error>`,
  }[outcome];
  return inner === '' ? `${opening}/>` : `${opening}>${inner}</testcase>`;
}

function attributes(values: Readonly<Record<string, string | number>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}="${escapeXml(String(value))}"`)
    .join(' ');
}

/** Also drops what XML cannot hold at all: control characters. */
function escapeXml(text: string): string {
  return text
    .replace(/[^\t\n\r\u0020-\uFFFD]/g, '�')
    .replace(/[&<>"\n\r\t]/g, (character) => `&#${character.charCodeAt(0)};`);
}
