/**
 * Every variant, and every operator they have.
 * @module
 */
import { adamUpdate, clipGradients, learningRate } from './adam.ts';
import { arithmeticOf, type Arithmetic } from './arithmetic.ts';
import { auxk } from './auxk.ts';
import { sinceFired } from './dead-latents.ts';
import { decode } from './decode.ts';
import { normaliseRows, projectGradient } from './decoder-norm.ts';
import { encode } from './encode.ts';
import { foldDecoderNorm, foldInputScale } from './fold.ts';
import { geometricMedian } from './geometric-median.ts';
import { gradients } from './gradients.ts';
import { loss } from './loss.ts';
import { aboveThreshold, batchTopk, topk } from './select.ts';
import { updateThreshold } from './threshold.ts';
import { trainStep } from './train-step.ts';
import type { Variant, VariantOperator } from './variant.ts';

export const operators: Readonly<Record<string, VariantOperator>> = {
  'geometric-median': geometricMedian,
  encode,
  'batch-topk': batchTopk,
  topk,
  'above-threshold': aboveThreshold,
  'update-threshold': updateThreshold,
  decode,
  loss,
  'since-fired': sinceFired,
  auxk,
  gradients,
  'project-gradient': projectGradient,
  'clip-gradients': clipGradients,
  'learning-rate': learningRate,
  'adam-update': adamUpdate,
  'normalise-rows': normaliseRows,
  'train-step': trainStep,
  'fold-input-scale': foldInputScale,
  'fold-decoder-norm': foldDecoderNorm,
};

const variant = (
  name: string,
  summary: string,
  choices: Partial<Omit<Arithmetic, 'round' | 'operand' | 'store'>>,
): Variant => ({ name, summary, arithmetic: arithmeticOf(choices) });

export const variants: readonly Variant[] = [
  variant('reversed', 'float32, sums from the last term to the first', { order: 'reversed' }),
  variant('pairwise', 'float32, sums of sums of two', { order: 'pairwise' }),
  variant('blocked', 'float32, sums of blocks of four, as SIMD lanes add', { order: 'blocked' }),
  variant('fused', 'float32, product and sum rounded once', { fused: true }),
  variant('other-ties', 'float32, the last of equal values is kept', { keeps: 'last' }),
  variant('flushing', 'float32, subnormal values read and written as 0', { flushes: true }),
  variant('split', 'float32, x W - b_dec W instead of (x - b_dec) W', { split: true }),
  variant('float64', 'float64 throughout', { dtype: 'float64' }),
  variant('tf32', 'operands of 11 digits, sums in float32', { dtype: 'tf32' }),
  variant('bfloat16', 'bfloat16 tensors and operands, sums in float32', { dtype: 'bfloat16' }),
];
