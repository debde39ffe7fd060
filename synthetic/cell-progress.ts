/**
 * How far an experiment is, on stderr: a bar on a terminal, a line for each finished cell elsewhere.
 * @module
 */
import { Presets, SingleBar } from 'cli-progress';
import { cellLabel, type CellJob } from './experiments/settings.ts';

export interface CellProgress {
  readonly steps: (job: CellJob, steps: number) => void;
  readonly done: (job: CellJob, seconds: number) => void;
  readonly end: () => void;
}

/**
 * @param jobs - those that will be computed.
 * @param tell - prints a line where there is no terminal.
 */
export function showCellProgress(
  jobs: readonly CellJob[],
  tell: (line: string) => void,
): CellProgress {
  const total = jobs.length;
  let finished = 0;
  if (!process.stderr.isTTY || total === 0) {
    return {
      steps: () => undefined,
      done: (job, seconds) => {
        finished++;
        tell(`${finished}/${total} trained: ${cellLabel(job)}, ${seconds.toFixed(0)} s`);
      },
      end: () => undefined,
    };
  }
  // Steps cost differently in each architecture: shares of cells make an honest bar.
  const share = new Map<string, number>();
  const bar = new SingleBar(
    {
      format: '{bar} {percentage} %  {finished}/{cells} runs  {eta_formatted} left  {last}',
      stream: process.stderr,
    },
    Presets.shades_classic,
  );
  bar.start(total, 0, { finished, cells: total, last: '' });
  const update = (job: CellJob): void => {
    const sum = [...share.values()].reduce((all, one) => all + one, 0);
    bar.update(sum, { finished, last: cellLabel(job) });
  };
  return {
    steps: (job, steps) => {
      share.set(job.key, steps / job.architecture.steps);
      update(job);
    },
    done: (job) => {
      finished++;
      update(job);
    },
    end: () => bar.stop(),
  };
}
