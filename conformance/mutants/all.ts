/**
 * Every kernel broken on purpose.
 * @module
 */
import { mutants as adam } from './adam.ts';
import { mutants as auxk } from './auxk.ts';
import { mutants as conduct } from './conduct.ts';
import { mutants as deadLatents } from './dead-latents.ts';
import { mutants as decode } from './decode.ts';
import { mutants as decoderNorm } from './decoder-norm.ts';
import { mutants as encode } from './encode.ts';
import { mutants as geometricMedian } from './geometric-median.ts';
import { mutants as gradients } from './gradients.ts';
import { mutants as inputNorm } from './input-norm.ts';
import { mutants as loss } from './loss.ts';
import type { Mutant } from './mutant.ts';
import { mutants as select } from './select.ts';
import { mutants as threshold } from './threshold.ts';
import { mutants as trainStep } from './train-step.ts';

export const mutants: readonly Mutant[] = [
  ...geometricMedian,
  ...encode,
  ...select,
  ...threshold,
  ...decode,
  ...loss,
  ...deadLatents,
  ...auxk,
  ...gradients,
  ...decoderNorm,
  ...adam,
  ...trainStep,
  ...inputNorm,
  ...conduct,
];
