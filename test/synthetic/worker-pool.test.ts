import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { runInWorkers, serveJobs } from '../../synthetic/worker-pool.ts';
import type { EchoJob } from './echo-worker.ts';

const worker = new URL('./echo-worker', import.meta.url);
const run = (jobs: EchoJob[], threads: number, more = {}): Promise<number[]> =>
  runInWorkers<EchoJob, number>(worker, jobs, { threads, ...more });

const jobs = (values: number[]): EchoJob[] => values.map((value) => ({ value }));

describe('runInWorkers', () => {
  test('returns results in the order of the jobs, for any number of threads', async () => {
    for (const threads of [1, 2, 9]) {
      expect(await run(jobs([5, 1, 4, 2]), threads)).toEqual([6, 2, 5, 3]);
    }
    expect(await run([], 2)).toEqual([]);
  });

  test('passes on what jobs report, with the job it came from', async () => {
    const seen: [number, number][] = [];
    await run(jobs([10, 20, 30]), 2, {
      onProgress: (job: number, value: number) => seen.push([job, value]),
    });
    expect(seen.sort()).toEqual([
      [0, 10],
      [1, 20],
      [2, 30],
    ]);
  });

  // A stuck job never ends by itself: coming back at all shows that its thread was ended.
  test('rejects with the message of the job that threw, and ends the threads still busy', async () => {
    await expect(
      run(
        [
          { value: 1, act: 'stick' },
          { value: 7, act: 'fail' },
        ],
        2,
      ),
    ).rejects.toThrow('job 7 refused');
  });

  test('rejects when a thread ends on its own', async () => {
    await expect(run([{ value: 1, act: 'exit' }], 1)).rejects.toThrow(
      'worker thread ended early, code 3',
    );
  });

  test('stops when aborted, with the reason given', async () => {
    const controller = new AbortController();
    const running = run([{ value: 1, act: 'stick' }], 1, {
      signal: controller.signal,
      onProgress: () => controller.abort(new Error('stopped by hand')),
    });
    await expect(running).rejects.toThrow('stopped by hand');
    await expect(run(jobs([1]), 1, { signal: controller.signal })).rejects.toThrow(
      'stopped by hand',
    );
  });

  test('refuses a number of threads that is not whole and above 0', async () => {
    await expect(run(jobs([1]), 0)).rejects.toThrow('threads: expected a whole number >= 1, got 0');
  });

  test('serves only in a worker thread', () => {
    // Vitest's own workers are processes here or have a port that is theirs.
    expect(() => serveJobs(() => 0)).toThrow('expected to run in a worker thread');
  });

  test('runs from TypeScript sources whatever the current folder', () => {
    const folder = mkdtempSync(join(tmpdir(), 'pool-'));
    const pool = new URL('../../synthetic/worker-pool.ts', import.meta.url).href;
    const code = `const { runInWorkers } = await import('${pool}');
      const all = await runInWorkers(new URL('${worker.href}'), [{ value: 1 }], { threads: 1 });
      console.log(JSON.stringify(all));`;
    const output = execFileSync(
      process.execPath,
      ['--import', import.meta.resolve('tsx'), '--input-type=module', '--eval', code],
      { cwd: folder, encoding: 'utf8' },
    );
    expect(output.trim()).toBe('[2]');
  });
});
