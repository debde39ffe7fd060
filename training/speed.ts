/**
 * How fast a run goes, from the last half minute of steps.
 * @module
 */

const WINDOW_SECONDS = 30;

export interface Speed {
  /** Counts rows done just now; returns rows per second, 0 until it can be told. */
  add(rows: number): number;
}

/** @param now - a clock in seconds that never goes back. */
export function createSpeed(now: () => number = () => performance.now() / 1000): Speed {
  // Times at which rows were done, oldest first; the first entry's rows are before the window.
  const done: { at: number; rows: number }[] = [{ at: now(), rows: 0 }];
  return {
    add(rows) {
      done.push({ at: now(), rows });
      const last = done[done.length - 1].at;
      while (done.length > 2 && last - done[0].at > WINDOW_SECONDS) done.shift();
      const seconds = last - done[0].at;
      const sum = done.slice(1).reduce((total, step) => total + step.rows, 0);
      return seconds > 0 ? sum / seconds : 0;
    },
  };
}
