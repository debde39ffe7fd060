/**
 * TPP among siblings: concepts are the children of one parent, and a probe tells one from the others. Harder than TPP over
 * any features, since the parent's trace is in all of them and tells nothing. Groups as in the audit of SAEBench
 * (github.com/decoderesearch/saebench-reliability-audit @28dd6c7, eval_tpp.py).
 * @module
 */
import type { Matrix } from '../../reference/matrix.ts';
import type { Rng } from '../rng.ts';
import { columnsOf, type SparseRows } from '../sparse-rows.ts';
import type { World } from '../worlds/world.ts';
import type { Code } from './code.ts';
import { conceptProbe } from './concept-probe.ts';
import { meanDefined } from './mean.ts';
import { probeTask, type ProbeTask } from './probe-task.ts';
import { tpp } from './tpp.ts';

/** A child that is on in fewer samples is left out. */
export const FEWEST_OF_CHILD = 25;
/** Groups that are judged, those of the first parents. */
const GROUPS = 30;

/** @returns mean over parents with at least two children that fire often enough; null if there is none. */
export function siblingTpp(
  code: Code,
  x: Matrix,
  features: SparseRows,
  world: Pick<World, 'parents' | 'edges'>,
  n: number,
  rng: Rng,
): number | null {
  const groups = world.parents
    .map((parent) => siblingTasks(features, childrenOf(world, parent), rng.split(`of ${parent}`)))
    .filter((tasks) => tasks.length >= 2)
    .slice(0, GROUPS);
  return meanDefined(
    groups.map((tasks) =>
      tpp(
        code,
        tasks.map((task) => conceptProbe(x, task)),
        n,
      ),
    ),
  );
}

/** "This child, or another?", among samples with one of them on; a task for each child. */
export function siblingTasks(
  features: SparseRows,
  children: readonly number[],
  rng: Rng,
): ProbeTask[] {
  const byFeature = columnsOf(features);
  const on = children
    .map((child) => ({
      child,
      rows: byFeature.index.slice(byFeature.start[child], byFeature.start[child + 1]),
    }))
    .filter(({ rows }) => rows.length >= FEWEST_OF_CHILD);
  return on.flatMap(({ child, rows }) => {
    const own = new Set(rows);
    const others = new Set(on.flatMap((sibling) => [...sibling.rows]).filter((n) => !own.has(n)));
    const task = probeTask(
      child,
      rows.slice(),
      Int32Array.from(others),
      rng.split(`child ${child}`),
    );
    return task === null ? [] : [task];
  });
}

function childrenOf({ edges }: Pick<World, 'edges'>, parent: number): number[] {
  return edges.filter((edge) => edge.parent === parent).map(({ child }) => child);
}
