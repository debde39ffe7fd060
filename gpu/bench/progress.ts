/**
 * How far a benchmark is, for people: a bar on a terminal, a line for every shape elsewhere.
 * @module
 */
import { SingleBar } from 'cli-progress';

export interface BenchProgress {
  /** A round of a shape is done. */
  round(shape: string, round: number, rounds: number): void;
  /** A line of its own. */
  note(line: string): void;
  stop(): void;
}

/** @param shapes - how many will be measured. */
export function benchProgress(stream: NodeJS.WriteStream, shapes: number): BenchProgress {
  const write = (line: string): void => void stream.write(`${line}\n`);
  const seen = new Set<string>();
  if (!stream.isTTY) {
    return {
      round(shape, round, rounds) {
        seen.add(shape);
        if (round === rounds)
          write(`${shape}: ${rounds} rounds (${seen.size} of ${shapes} shapes)`);
      },
      note: write,
      stop: () => undefined,
    };
  }
  let bar: SingleBar | undefined;
  const stop = (): void => {
    bar?.stop();
    bar = undefined;
  };
  return {
    round(shape, round, rounds) {
      seen.add(shape);
      const done = (seen.size - 1) * rounds + round;
      if (bar === undefined) {
        const format = '{bar} {percentage}%  {shape}  round {round}  ETA {eta_formatted}';
        bar = new SingleBar({ stream, format, barsize: 20, hideCursor: true, linewrap: false });
        bar.start(shapes * rounds, done, { shape, round });
      } else bar.update(done, { shape, round });
    },
    note(line) {
      stop();
      write(line);
    },
    stop,
  };
}
