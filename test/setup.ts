/**
 * The seed of every generated case: random, printed, and settable as SEED, so that a red run can be repeated.
 */
import fc from 'fast-check';
import { inject } from 'vitest';

fc.configureGlobal({ seed: inject('seed') });
