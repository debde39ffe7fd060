/**
 * Every operator the suite knows, in the order data flows.
 * @module
 */
import { withConduct } from '../conduct.ts';
import type { KernelSpec } from '../kernel.ts';
import { aboveThreshold } from './above-threshold.ts';
import { adamUpdate, clipGradients, learningRate } from './adam.ts';
import { auxk } from './auxk.ts';
import { sinceFired } from './dead-latents.ts';
import { decode } from './decode.ts';
import { normaliseRows, projectGradient } from './decoder-norm.ts';
import { encode } from './encode.ts';
import { foldDecoderNorm } from './fold-decoder-norm.ts';
import { geometricMedian } from './geometric-median.ts';
import { gradients } from './gradients.ts';
import { foldInputScale } from './input-norm.ts';
import { loss } from './loss.ts';
import { batchTopk, topk } from './select.ts';
import { updateThreshold } from './threshold.ts';
import { trainStep } from './train-step.ts';

export const specs: readonly KernelSpec[] = (
  [
    geometricMedian,
    encode,
    batchTopk,
    topk,
    aboveThreshold,
    updateThreshold,
    decode,
    loss,
    sinceFired,
    auxk,
    gradients,
    projectGradient,
    clipGradients,
    learningRate,
    adamUpdate,
    normaliseRows,
    trainStep,
    foldInputScale,
    foldDecoderNorm,
  ] as const
).map(withConduct);
