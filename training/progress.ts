/**
 * How far a run is, for people: a bar on a terminal, a line now and then elsewhere.
 * @module
 */
import { SingleBar } from 'cli-progress';
import type { Progress } from './train.ts';

/** Seconds between lines where there is no terminal. */
const LINE_SECONDS = 10;

export interface ProgressDisplay {
  readonly show: (progress: Progress) => void;
  /** A line among the progress, above the bar if there is one. */
  readonly note: (line: string) => void;
  readonly stop: () => void;
}

/** @param stream - where to; a bar if it is a terminal. */
export function createDisplay(stream: NodeJS.WriteStream): ProgressDisplay {
  return stream.isTTY ? barDisplay(stream) : lineDisplay(stream);
}

/** `51,200 tokens/s  loss 0.1234  L0 32.0  dead 7  ETA 1 m 20 s` */
export function describe({ tokensPerSecond, secondsLeft, report }: Progress): string {
  return [
    `${Math.round(tokensPerSecond).toLocaleString('en')} tokens/s`,
    `loss ${report.loss.toPrecision(4)}`,
    `L0 ${report.l0.toFixed(1)}`,
    `dead ${report.dead}`,
    `ETA ${duration(secondsLeft)}`,
  ].join('  ');
}

/** `5 s`, `1 m 20 s`, `3 h 2 m`, `4 d 1 h`; `?` for what cannot be told. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  const units = [86400, 3600, 60, 1];
  const names = ['d', 'h', 'm', 's'];
  const whole = Math.ceil(seconds);
  const first = units.findIndex((unit) => whole >= unit);
  if (first < 0) return '0 s';
  const large = Math.floor(whole / units[first]);
  if (first === units.length - 1) return `${large} s`;
  const small = Math.floor((whole % units[first]) / units[first + 1]);
  return `${large} ${names[first]} ${small} ${names[first + 1]}`;
}

function barDisplay(stream: NodeJS.WriteStream): ProgressDisplay {
  let bar: SingleBar | undefined;
  const stop = (): void => {
    bar?.stop();
    bar = undefined;
  };
  return {
    show(progress) {
      const details = { details: describe(progress) };
      if (bar === undefined) {
        bar = new SingleBar({
          stream,
          format: '{bar} {percentage}%  step {value}/{total}  {details}',
          barsize: 20,
          barCompleteChar: '█',
          barIncompleteChar: '░',
          hideCursor: true,
          linewrap: false,
        });
        bar.start(progress.steps, progress.step, details);
      } else bar.update(progress.step, details);
      if (progress.step >= progress.steps) stop();
    },
    note(line) {
      stop();
      stream.write(`${line}\n`);
    },
    stop,
  };
}

function lineDisplay(stream: NodeJS.WriteStream): ProgressDisplay {
  let last = -Infinity;
  return {
    show(progress) {
      const now = performance.now() / 1000;
      if (now - last < LINE_SECONDS && progress.step < progress.steps) return;
      last = now;
      stream.write(`step ${progress.step}/${progress.steps}  ${describe(progress)}\n`);
    },
    note: (line) => void stream.write(`${line}\n`),
    stop: () => undefined,
  };
}
