import { describe, expect, test } from 'vitest';
import { numberList, oneOf, realNumber, wholeNumber } from '../../training/option-values.ts';
import { createDisplay, describe as describeProgress, duration } from '../../training/progress.ts';
import { createSpeed } from '../../training/speed.ts';
import { UsageError } from '../../training/usage-error.ts';

test.each([
  [0, '0 s'],
  [0.2, '1 s'],
  [59.1, '1 m 0 s'],
  [80, '1 m 20 s'],
  [3 * 3600 + 125, '3 h 2 m'],
  [4 * 86400 + 3700, '4 d 1 h'],
  [Infinity, '?'],
])('%s seconds are written "%s"', (seconds, text) => {
  expect(duration(seconds)).toBe(text);
});

describe('speed', () => {
  test('is rows per second over the last half minute', () => {
    let now = 0;
    const speed = createSpeed(() => now);
    now = 2;
    expect(speed.add(100)).toBe(50);
    now = 4;
    expect(speed.add(300)).toBe(100);
    now = 1000; // a pause ages out once there are newer steps
    speed.add(100);
    for (let i = 0; i < 40; i++) {
      now += 1;
      speed.add(7);
    }
    now += 1;
    expect(speed.add(7)).toBeCloseTo(7, 10);
  });

  test('is 0 while no time has passed', () => {
    expect(createSpeed(() => 5).add(10)).toBe(0);
  });
});

const progress = {
  step: 3,
  steps: 10,
  tokensPerSecond: 51234.4,
  secondsLeft: 80,
  report: { loss: 0.123456, l0: 31.96, dead: 7, gradientNorm: 1 },
};

test('a line of progress names speed, loss, L0, dead latents and the time left', () => {
  expect(describeProgress(progress)).toBe(
    '51,234 tokens/s  loss 0.1235  L0 32.0  dead 7  ETA 1 m 20 s',
  );
});

describe.each([false, true])('a display (terminal: %s)', (isTTY) => {
  test('shows the first and last step, and notes between them', () => {
    let text = '';
    const stream = {
      isTTY,
      columns: 120,
      write: (chunk: string) => (text += chunk) !== '',
      on: () => stream,
    } as unknown as NodeJS.WriteStream;
    const display = createDisplay(stream);
    for (let step = 1; step <= 10; step++) {
      display.show({ ...progress, step });
      if (step === 5) display.note('a note');
    }
    display.stop();
    expect(text).toMatch(isTTY ? /step 1\/10/ : /^step 1\/10 {2}51,234 tokens\/s/);
    expect(text).toContain('step 10/10');
    expect(text).toContain('a note\n');

    expect(/\x1b\[/.test(text)).toBe(isTTY);
  });
});

describe('option values', () => {
  test.each([
    [
      'whole numbers',
      wholeNumber('--n', 2),
      ['2', '100', '1e3'],
      ['1', '2.5', 'x', '', ' ', 'NaN', 'Infinity', '9e99'],
    ],
    [
      'numbers above 0',
      realNumber('--n', 0, true),
      ['0.5', '1e-4', '3'],
      ['0', '-1', '', 'x', 'Infinity'],
    ],
    ['numbers from 0', realNumber('--n', 0), ['0', '0.5'], ['-0.1', 'NaN']],
    ['one of a list', oneOf('--n', ['a', 'b']), ['a', 'b'], ['c', '', 'A']],
    [
      'lists',
      numberList('--n'),
      ['1', '1,2,3', '1/32, 1/16', '0.5'],
      ['', '1,,2', '1/2/3', 'a', '1/0', '/2'],
    ],
  ] as const)('%s', (_, parse, good, bad) => {
    for (const text of good) expect(() => parse(text)).not.toThrow();
    for (const text of bad) {
      expect(() => parse(text), text).toThrow(UsageError);
      expect(() => parse(text)).toThrow(/^--n: expected /);
      expect(() => parse(text)).toThrow(JSON.stringify(text));
    }
  });

  test('fractions are divided', () => {
    expect(numberList('--n')('1/32,17/32')).toEqual([1 / 32, 17 / 32]);
  });
});
