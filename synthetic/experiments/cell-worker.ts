/**
 * Worker thread of an experiment: one cell after another.
 * @module
 */
import { serveJobs } from '../worker-pool.ts';
import { runCell } from './cell.ts';

serveJobs(runCell);
