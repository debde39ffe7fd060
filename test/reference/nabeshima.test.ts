/**
 * Single operators of matryoshka-saes against what its own code returned. Whole steps are in replay.test.ts.
 */
import { nabeshimaCases } from './recorded/operators/nabeshima.ts';
import { testCases } from './recorded/operators/test-cases.ts';

testCases('nabeshima', nabeshimaCases, {});
