/**
 * Jobs spread over worker threads. Results come in the order of the jobs and do not depend on the number of threads.
 * Threads are always ended, also on failure or abort. Runs from TypeScript sources (through tsx) and from compiled files.
 * @module
 */
import { Worker, parentPort } from 'node:worker_threads';

export interface PoolOptions {
  /** Threads at most; never more than jobs. */
  readonly threads: number;
  readonly signal?: AbortSignal;
  /** Whatever a job reports while it runs. */
  readonly onProgress?: (job: number, progress: number) => void;
  /** A job that is done, in the order they end. What it returns is waited for before the thread takes another. */
  readonly onResult?: (job: number, result: unknown) => void | Promise<void>;
}

type Message<Result> = { readonly progress: number } | { readonly result: Result };

/**
 * @param module - URL of the worker's file, which calls {@link serveJobs}; without its extension.
 * @param jobs - plain data, one message each.
 * @returns one result per job.
 * @throws What a job throws, with its message; the signal's reason if aborted; an Error if a thread ends early;
 *   {@link RangeError} if threads is not a whole number above 0.
 */
export async function runInWorkers<Job, Result>(
  module: URL,
  jobs: readonly Job[],
  { threads, signal, onProgress, onResult }: PoolOptions,
): Promise<Result[]> {
  if (!Number.isInteger(threads) || threads < 1) {
    throw new RangeError(`threads: expected a whole number >= 1, got ${threads}`);
  }
  signal?.throwIfAborted();
  const results = new Array<Result>(jobs.length);
  const workers: Worker[] = [];
  let next = 0;

  /** One thread, taking jobs until none is left. */
  const work = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const worker = startWorker(module);
      workers.push(worker);
      let current = -1;
      const takeJob = (): void => {
        if (next >= jobs.length) {
          resolve();
          return;
        }
        current = next++;
        worker.postMessage(jobs[current]);
      };
      worker.on('message', (message: Message<Result>) => {
        if ('progress' in message) {
          onProgress?.(current, message.progress);
          return;
        }
        results[current] = message.result;
        const told = onResult?.(current, message.result);
        if (told === undefined) takeJob();
        else told.then(takeJob, reject);
      });
      worker.on('error', reject);
      worker.on('messageerror', reject);
      worker.on('exit', (code) => reject(new Error(`worker thread ended early, code ${code}`)));
      takeJob();
    });

  let abort: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal?.reason as Error);
    signal?.addEventListener('abort', abort);
  });
  try {
    const all = Array.from({ length: Math.min(threads, jobs.length) }, work);
    await Promise.race([Promise.all(all), aborted]);
  } finally {
    if (abort !== undefined) signal?.removeEventListener('abort', abort);
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  return results;
}

/**
 * The worker's side: runs every job that arrives. An error ends the thread and reaches the caller.
 * @throws {@link Error} if this is not a worker thread.
 */
export function serveJobs<Job, Result>(
  run: (job: Job, report: (progress: number) => void) => Result | Promise<Result>,
): void {
  const port = parentPort;
  if (port === null) throw new Error('serveJobs: expected to run in a worker thread');
  const serve = async (job: Job): Promise<void> => {
    const result = await run(job, (progress) => port.postMessage({ progress }));
    port.postMessage({ result });
  };
  // What it throws ends the thread, as an error that nobody handles.
  port.on('message', (job: Job) => void serve(job));
}

/** A thread of this Node, with the loader for TypeScript where this file itself is not compiled. */
export function startWorker(module: URL): Worker {
  if (!import.meta.url.endsWith('.ts')) return new Worker(new URL(`${module.href}.js`));
  // Not `--import tsx` in execArgv: on Node 20 that registers the loader in the main thread only.
  const start = `import { register } from ${JSON.stringify(import.meta.resolve('tsx/esm/api'))};
    register();
    await import(${JSON.stringify(`${module.href}.ts`)});`;
  return new Worker(new URL(`data:text/javascript,${encodeURIComponent(start)}`), { execArgv: [] });
}
