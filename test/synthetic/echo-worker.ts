/** A worker for the tests of the pool: adds one, fails, ends its thread, or never comes back. */
import { serveJobs } from '../../synthetic/worker-pool.ts';

export interface EchoJob {
  readonly value: number;
  readonly act?: 'fail' | 'exit' | 'stick';
}

serveJobs((job: EchoJob, report): number => {
  report(job.value);
  if (job.act === 'fail') throw new RangeError(`job ${job.value} refused`);
  if (job.act === 'exit') process.exit(3);
  if (job.act === 'stick') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  return job.value + 1;
});
