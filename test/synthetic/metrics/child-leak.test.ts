import { expect, test } from 'vitest';
import { fromRows } from '../../../reference/matrix.ts';
import { leak } from '../../../synthetic/metrics/child-leak.ts';
import { matchLatents } from '../../../synthetic/metrics/mcc.ts';

const edges = [
  { parent: 0, child: 1 },
  { parent: 0, child: 2 },
];
const cosine = fromRows([
  [0.9, 0.2, -0.1],
  [0.6, 0.8, 0],
  [-0.2, 0, 1],
]);
const matching = matchLatents(cosine);

test('child leak reads the child’s row on the parent, hedging the parent’s row on the child', () => {
  const { childLeak, hedge } = leak(cosine, edges, matching, [0, 1, 2]);
  expect(childLeak).toBeCloseTo((0.6 - 0.2) / 2, 14);
  expect(hedge).toBeCloseTo((0.2 - 0.1) / 2, 14);
});

test('an edge whose latent is dead or missing does not count', () => {
  expect(leak(cosine, edges, matching, [0, 1]).childLeak).toBe(0.6);
  expect(leak(cosine, edges, matching, [1, 2]).hedge).toBeNull();
  const oneLatent = fromRows([[0.9, 0.2, -0.1]]);
  expect(leak(oneLatent, edges, matchLatents(oneLatent), [0]).childLeak).toBeNull();
});

test('has no value without edges', () => {
  expect(leak(cosine, [], matching, [0, 1, 2])).toEqual({ childLeak: null, hedge: null });
});
