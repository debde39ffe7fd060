/**
 * Every oracle, in the order data flows.
 * @module
 */
import type { Oracle } from '../oracle.ts';
import { adamUpdate } from './adam.ts';
import { auxk } from './auxk.ts';
import { clipGradients } from './clip.ts';
import { deadLatents } from './dead-latents.ts';
import { decode } from './decode.ts';
import { decoderNorm } from './decoder-norm.ts';
import { encode } from './encode.ts';
import { geometricMedian } from './geometric-median.ts';
import { infer } from './infer.ts';
import { inputNorm } from './input-norm.ts';
import { gradients } from './gradients.ts';
import { initialise } from './initialise.ts';
import { jumpRelu } from './jump-relu.ts';
import { latentOrder } from './latent-order.ts';
import { learningRates } from './learning-rate.ts';
import { loss } from './loss.ts';
import { matrix } from './matrix.ts';
import { penalty } from './penalty.ts';
import { prefixes } from './prefixes.ts';
import { refine } from './refine.ts';
import { select } from './select.ts';
import { threshold } from './threshold.ts';
import { tilt } from './tilt.ts';
import { totalLoss } from './total-loss.ts';
import { runSettings } from './run-settings.ts';
import { trainStep } from './train-step.ts';

export const oracles: readonly Oracle[] = [
  matrix,
  prefixes,
  initialise,
  inputNorm,
  geometricMedian,
  encode,
  refine,
  select,
  jumpRelu,
  threshold,
  decode,
  tilt,
  loss,
  deadLatents,
  auxk,
  penalty,
  totalLoss,
  gradients,
  decoderNorm,
  clipGradients,
  runSettings,
  learningRates,
  adamUpdate,
  latentOrder,
  trainStep,
  infer,
];

/** Functions of the reference that compute no value of their own, and why nothing is to be held. */
export const exempt: Readonly<Record<string, string>> = {
  'dialects.applies': 'reads a record',
  'dialects.decided': 'reads a record',
  'dialects.dialectFrom': 'reads a record',
  'dialects.dialectNamed': 'reads a record',
  'dialects.withDecision': 'changes a record',
  'matrix.fromRows': 'lays out given numbers',
  'matrix.map': 'applies a function that is given',
  'matrix.matrix': 'lays out given numbers',
  'matrix.requireFinite': 'checks',
  'matrix.row': 'a view of given numbers',
  'params.eachParam': 'lays out given numbers',
  'params.namesOf': 'names',
  'params.requireParams': 'checks',
  'params.valuesOf': 'a view of given numbers',
  'prefixes.groups': 'the same numbers in pairs',
  'prefixes.requirePrefixes': 'checks',
};
