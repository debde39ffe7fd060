/**
 * A preflight as it happens: one bar on a terminal, plain lines in a pipe.
 * @module
 */
import { SingleBar } from 'cli-progress';
import { colours } from '../training/colours.ts';
import type { Check } from './verdict.ts';
import type { PreflightListener } from './preflight.ts';

/** Milliseconds between lines where there is no terminal. */
const LINE_EVERY = 10_000;

/** @returns the listener, and `end` to put the terminal back as it was. */
export function createListener(stream: NodeJS.WriteStream): PreflightListener & { end(): void } {
  const progress = stream.isTTY ? barProgress(stream) : lineProgress(stream);
  const print = (line: string): void => {
    progress.end();
    stream.write(`${line}\n`);
  };
  let laws = 0;
  const stepsOf = new Map<string, number>();
  return {
    stage: (name) => print(colours.bold(name)),
    backend: (line) => print(`  ${line}`),
    law: (result, total) => {
      laws++;
      if (result.outcome !== 'pass') {
        print(colours.red(`  ${result.outcome} ${result.kernel}: ${result.law}`));
        if (result.failure) print(`    ${result.failure.message}`);
      }
      progress.show(laws, total, `laws, ${result.kernel}`);
    },
    tree: ({ job, steps, runs }) => {
      stepsOf.set(job.key, steps);
      const done = [...stepsOf.values()].reduce((sum, each) => sum + each, 0);
      progress.show(done, runs * job.architecture.steps, `steps of ${runs} runs`);
    },
    sample: ({ step, steps, architecture, report, tokensPerSecond }) =>
      progress.show(
        step,
        steps,
        `${architecture}: ${Math.round(tokensPerSecond)} tokens/s, loss ${report.loss.toPrecision(4)}, L0 ${report.l0.toFixed(1)}, dead ${report.dead}`,
      ),
    check: (check) => print(checkLine(check)),
    end: () => progress.end(),
  };
}

function checkLine({ verdict, reason, seconds }: Check): string {
  const mark = verdict === 'GO' ? colours.green('  GO') : colours.red('  NO-GO');
  return `${mark}  ${reason} ${colours.dim(`(${seconds.toFixed(0)} s)`)}`;
}

interface Progress {
  show(done: number, total: number, what: string): void;
  end(): void;
}

function barProgress(stream: NodeJS.WriteStream): Progress {
  let bar: SingleBar | null = null;
  return {
    show(done, total, what) {
      if (bar === null) {
        bar = new SingleBar({
          stream,
          format: '  {bar} {percentage}%  {value}/{total} {what}  ETA {eta_formatted}',
          barsize: 24,
          barCompleteChar: '█',
          barIncompleteChar: '░',
          hideCursor: true,
          clearOnComplete: true,
          linewrap: false,
        });
        bar.start(total, done, { what });
      } else {
        bar.setTotal(total);
        bar.update(done, { what });
      }
    },
    end() {
      bar?.stop();
      bar = null;
    },
  };
}

function lineProgress(stream: NodeJS.WriteStream): Progress {
  let last = Date.now();
  return {
    show(done, total, what) {
      if (Date.now() - last < LINE_EVERY) return;
      last = Date.now();
      stream.write(`  ${Math.floor((100 * done) / total)} %  ${done}/${total} ${what}\n`);
    },
    end() {},
  };
}
