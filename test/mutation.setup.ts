/**
 * Generated cases of a mutation run: fewer, and a failing one ends its test at once, as nobody reads its smallest form.
 */
import fc from 'fast-check';

fc.configureGlobal({ ...fc.readConfigureGlobal(), numRuns: 25, endOnFailure: true });
