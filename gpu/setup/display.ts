/**
 * What a setup is doing, for people: a bar and a clock on a terminal, a line now and then elsewhere.
 * @module
 */
import { SingleBar } from 'cli-progress';
import { size } from './requirements.ts';

export interface SetupDisplay {
  /** A line of its own. */
  readonly note: (line: string) => void;
  /** Downloads are at so many bytes of all. */
  readonly download: (what: string, done: number, total: number) => void;
  /** Runs something that takes a while and cannot tell how far it is. */
  readonly during: <T>(what: string, work: () => Promise<T>) => Promise<T>;
  /** Takes a bar that is still there away, after an error too. */
  readonly stop: () => void;
}

/** Seconds between lines where there is no terminal. */
const LINE_SECONDS = 10;

export function setupDisplay(stream: NodeJS.WriteStream): SetupDisplay {
  return stream.isTTY ? terminalDisplay(stream) : lineDisplay(stream);
}

function terminalDisplay(stream: NodeJS.WriteStream): SetupDisplay {
  let bar: SingleBar | undefined;
  let ended = false;
  const stop = (): void => {
    bar?.stop();
    bar = undefined;
  };
  return {
    stop,
    note(line) {
      stop();
      stream.write(`${line}\n`);
    },
    download(what, done, total) {
      if (ended) return;
      ended = done >= total;
      const details = { what, done: size(done), all: size(total) };
      if (bar === undefined) {
        bar = new SingleBar({
          stream,
          format: '{bar} {percentage}%  {done} of {all}  {what}',
          barsize: 20,
          barCompleteChar: '█',
          barIncompleteChar: '░',
          linewrap: false,
          // Not hidden: Ctrl-C would leave the terminal without one.
          hideCursor: null,
        });
        bar.start(total, done, details);
      } else bar.update(done, details);
      if (ended) stop();
    },
    async during(what, work) {
      stop();
      const start = performance.now();
      const show = (end: string): void => {
        const seconds = Math.round((performance.now() - start) / 1000);
        stream.write(`\r\x1b[K${what}: ${seconds} s${end}`);
      };
      show('');
      const clock = setInterval(() => show(''), 1000);
      try {
        return await work();
      } finally {
        clearInterval(clock);
        show('\n');
      }
    },
  };
}

function lineDisplay(stream: NodeJS.WriteStream): SetupDisplay {
  let last = -Infinity;
  let ended = false;
  const note = (line: string): void => void stream.write(`${line}\n`);
  return {
    note,
    stop: () => undefined,
    download(what, done, total) {
      const now = performance.now() / 1000;
      if (ended || (now - last < LINE_SECONDS && done < total)) return;
      last = now;
      ended = done >= total;
      note(`download ${what}: ${size(done)} of ${size(total)}`);
    },
    async during(what, work) {
      const start = performance.now();
      const result = await work();
      note(`${what}: ${((performance.now() - start) / 1000).toFixed(1)} s`);
      return result;
    },
  };
}
