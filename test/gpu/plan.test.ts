import { Command } from 'commander';
import { afterEach, expect, test, vi } from 'vitest';
import { addPlanCommand } from '../../gpu/plan/command.ts';
import { workOf, type Plan } from '../../gpu/plan/plan.ts';
import type { PortPlan } from '../../gpu/plan/port-plan.ts';

afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

/** What the command prints, and its exit status. */
async function plan(...args: readonly string[]): Promise<{ text: string; code: unknown }> {
  const said: string[] = [];
  vi.spyOn(console, 'log').mockImplementation((line: string) => void said.push(line));
  const program = new Command().exitOverride();
  addPlanCommand(program);
  await program.parseAsync(['node', 'matryoshka', 'plan', ...args, '--seconds', '1']);
  return { text: said.join('\n'), code: process.exitCode };
}

test('only encode grows with rows times latents; what is selected grows with k alone', () => {
  const small = workOf({ d_in: 32, d_sae: 1000, k: 8 }, 100, 5);
  const wide = workOf({ d_in: 32, d_sae: 4000, k: 8 }, 100, 5);
  const dense = workOf({ d_in: 32, d_sae: 1000, k: 16 }, 100, 5);
  expect(small.encode).toBe(2 * 100 * 32 * 1000);
  expect(wide.encode).toBe(4 * small.encode);
  expect(wide.selected).toBe(small.selected);
  expect(dense.encode).toBe(small.encode);
  expect(dense.selected - small.selected).toBe(8 * 800 * 32);
});

test('the JSON holds every part, and parts add up', async () => {
  const { text, code } = await plan('12/100/64/4', '--json', '--threads', '1');
  const found = JSON.parse(text) as Plan;
  expect(code).toBe(0);
  expect(found.fits).toBe(true);
  expect(found.parameters).toBe(2 * 12 * 100 + 100 + 12);
  const { memory, seconds, calibrated } = found;
  expect(memory.parameters + memory.moments + memory.gradients + memory.batch).toBe(memory.total);
  expect(memory.parameters).toBeGreaterThanOrEqual(4 * found.parameters);
  const { encode, selected, update, lists, step } = seconds;
  expect(encode + selected + update + lists).toBeCloseTo(step, 12);
  for (const part of [encode, selected, update]) expect(part).toBeGreaterThan(0);
  expect(calibrated).toMatchObject({ d_sae: 100, rows: 64 });
  expect(calibrated.steps).toBeGreaterThanOrEqual(3);
});

test('a million latents are planned for, though nothing of that size is made', async () => {
  const { text, code } = await plan('2304/1000000/2048/40', '--threads', '2');
  expect(text).toMatch(/parameters {2}4,609,002,304/);
  expect(text).toMatch(/It does not fit/);
  expect(code).toBe(1);
});

test('a plan for the port: what it measured at the shape itself is what it says', async () => {
  const { text } = await plan('12/100/64/4', '--backend', 'wasm', '--json');
  const { memory, seconds, calibrated, parameters } = JSON.parse(text) as PortPlan;
  expect(calibrated.d_sae).toEqual([100, 50]);
  expect(parameters).toBe(2 * 12 * 100 + 100 + 12);
  // Parameters, moments and their successors are there at once, and acts more than once.
  expect(memory.peak).toBeGreaterThan(2 * memory.state + 4 * 64 * 100);
  expect(memory.peak).toBeLessThan(60 * (memory.state + 4 * 64 * 100));
  expect(seconds.step).toBeGreaterThan(0);
});

test.each(['12/100/64', '12/100/64/101', 'a/b/c/d', '12/100/1/4'])(
  '%s is refused in one line',
  async (shape) => {
    await expect(plan(shape)).rejects.toThrow(/^shape[^\n]*$/);
  },
);
