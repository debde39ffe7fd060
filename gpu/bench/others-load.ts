/**
 * How busy other programs keep the processors: sampled while a benchmark's own processes wait.
 * @module
 */
import { cpus } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';

export interface OthersLoad {
  /** Waits, and looks on meanwhile. The first part is left out: threads of the turn before may still spin. */
  wait(): Promise<void>;
  /** Share of all processors' time that was used, over all waits; NaN before the first. */
  share(): number;
}

/** Milliseconds. Processor times come in steps of 10: only the sum over many waits says something. */
const SETTLE = 20;
const LOOK = 40;

export function othersLoad(): OthersLoad {
  let busy = 0;
  let total = 0;
  return {
    async wait() {
      await pause(SETTLE);
      const before = processorTimes();
      await pause(LOOK);
      const after = processorTimes();
      busy += after.busy - before.busy;
      total += after.total - before.total;
    },
    share: () => busy / total,
  };
}

/** Milliseconds since the system started, of all processors together. */
function processorTimes(): { busy: number; total: number } {
  let busy = 0;
  let total = 0;
  for (const { times } of cpus()) {
    const used = times.user + times.nice + times.sys + times.irq;
    busy += used;
    total += used + times.idle;
  }
  return { busy, total };
}
