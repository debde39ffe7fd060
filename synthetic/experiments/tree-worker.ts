/**
 * Worker thread of the tree experiment: one cell after another.
 * @module
 */
import { serveJobs } from '../worker-pool.ts';
import { runTreeCell } from './tree-cell.ts';

serveJobs(runTreeCell);
