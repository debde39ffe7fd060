import { expect, test } from 'vitest';
import { describeWorld, descriptionText } from '../../synthetic/describe.ts';
import { worldNamed } from '../../synthetic/worlds/presets.ts';

test('a description of the tree has its figures, by depth, and draws it', () => {
  const description = describeWorld(worldNamed('tree'), 42);
  expect(description.expectedL0).toBeCloseTo(1.12, 12);
  expect(description.byDepth.map(({ depth, features }) => [depth, features])).toEqual([
    [0, 3],
    [1, 9],
    ['free', 8],
  ]);
  expect(JSON.parse(JSON.stringify(description))).toEqual(description);
  const text = descriptionText(description);
  expect(text).toContain('1.12');
  expect(text).toContain(
    [
      '  A  P 0.15, children exclude each other, no child 0.4',
      '  ├─ Aa  P 0.03, given parent 0.2',
      '  ├─ Ab  P 0.03, given parent 0.2',
      '  └─ Ac  P 0.03, given parent 0.2',
    ].join('\n'),
  );
});

test('a forest is cut after forty lines, and says how much is left', () => {
  const text = descriptionText(describeWorld(worldNamed('synth16k'), 42));
  const lines = text.split('\n');
  expect(lines.at(-1)).toBe('  … and 16344 more');
  expect(lines.length).toBeLessThan(90);
  expect(text).toContain('depth 3');
});

test('children that need no parent are told among the parameters', () => {
  const text = descriptionText(describeWorld(worldNamed('hedge1-anti'), 42));
  expect(text).toContain('P 0.1 with feature 0, 0.2 without it');
});
