/**
 * How two dialects differ: decision by decision, and, on a batch, what each decision changes in one training step.
 * @module
 */
import {
  applies,
  decided,
  decisionList,
  withDecision,
  type Dialect,
  type Value,
} from '../../reference/dialects.ts';
import { namesOf, valuesOf, type SaeParams } from '../../reference/params.ts';
import { samplePrefixes } from '../../reference/prefixes.ts';
import {
  initialState,
  trainStep,
  type StepDraws,
  type StepResult,
  type TrainConfig,
  type TrainState,
} from '../../reference/train-step.ts';
import { createRng } from '../../synthetic/rng.ts';
import { UsageError } from '../../training/usage-error.ts';
import type { CaseFile } from '../operators/case-file.ts';
import { checkedCall, refusals } from '../operators/call.ts';
import {
  aWhole,
  has,
  numberOf,
  optional,
  rowsOf,
  type Given,
  type RunOperator,
} from '../operators/operator.ts';
import { configOf, drawsOf, runSettings, stateInputs, stateOf } from '../operators/step-case.ts';

/** A decision on which two dialects differ, and that changes something in one of them at least. */
export interface Difference {
  readonly path: string;
  readonly seen: string;
  readonly meaning: string;
  /** null where it does not apply. */
  readonly a: Value | null;
  readonly b: Value | null;
}

export function differences(a: Dialect, b: Dialect): Difference[] {
  return decisionList.flatMap((decision) => {
    const { path, seen, meaning } = decision;
    const [inA, inB] = [a, b].map((dialect) =>
      applies(decision, dialect) ? decided(dialect, path) : null,
    );
    return inA === inB ? [] : [{ path, seen, meaning, a: inA, b: inB }];
  });
}

/** How far a value moved from A's. */
export interface Change {
  /** Largest |difference| over the largest |value| of the same tensor in A; null if A's are all 0 and the other's not. */
  readonly relative: number | null;
  /** The tensor it is largest in. */
  readonly in: string;
}

/** What a step in another dialect gives, against A's. */
export interface StepChange {
  readonly loss: number;
  readonly lossChange: Change;
  /** (row, latent) pairs selected in one of the two only. */
  readonly latents: number;
  readonly gradients: Change;
  readonly parameters: Change;
  readonly threshold: Change;
  readonly auxk: Change;
}

export interface StepRow {
  /** `B`, or the one decision that is B's. */
  readonly name: string;
  /** Why there is no step in that dialect; then nothing else. */
  readonly refused?: string;
  readonly change?: StepChange;
}

export interface StepComparison {
  readonly loss: number;
  /** Latents selected in A. */
  readonly latents: number;
  /** Whether the state was drawn from a seed, in each dialect as it starts. */
  readonly drawnState: boolean;
  readonly rows: readonly StepRow[];
}

/** A case of `dialects diff`: as train-step takes it, but only x is needed. */
const diffOperator: RunOperator = {
  name: 'dialects diff',
  summary: '',
  inputs: {
    x: { words: '(…, d_in)' },
    ...Object.fromEntries(
      Object.entries(stateInputs).map(([name, { words }]) => [
        name,
        { words, optional: 'drawn from the seed' },
      ]),
    ),
  },
  outputs: {},
  config: {
    step: optional(aWhole('updates done before this one'), '0', () => 0),
    ...runSettings,
    d_sae: optional(aWhole('number of latents, where no parameters are given', 1), 'by W_enc'),
    seed: optional(aWhole('of a state or prefixes that are drawn'), '0', () => 0),
  },
  run: () => ({}),
};

/**
 * The step in A, in B, and in A with each differing decision of B alone.
 * @throws {@link UsageError} for a case that is no step in A.
 */
export function compareSteps(a: Dialect, b: Dialect, file: CaseFile): StepComparison {
  const { given } = checkedCall(diffOperator, { ...file, dialect: a });
  const base = refusals(file.where, () => stepIn(a, given), Object.keys(diffOperator.config));
  const variants = [
    { name: b.name, dialect: b },
    ...decisionList
      .filter(({ path }) => decided(a, path) !== decided(b, path))
      .map(({ path }) => ({ name: path, dialect: withDecision(a, path, decided(b, path)) }))
      .filter(({ name, dialect }) => {
        const decision = decisionList.find(({ path }) => path === name)!;
        return applies(decision, a) || applies(decision, dialect);
      }),
  ];
  return {
    loss: base.loss,
    latents: base.latents.data.reduce((count, latent) => count + Number(latent > 0), 0),
    drawnState: !has(given, 'W_enc'),
    rows: variants.map(({ name, dialect }) => {
      try {
        return { name, change: changeOf(base, stepIn(dialect, given)) };
      } catch (error) {
        if (!(error instanceof RangeError || error instanceof UsageError)) throw error;
        return { name, refused: error.message.replace(`${file.where}: `, '') };
      }
    }),
  };
}

function stepIn(dialect: Dialect, call: Given): StepResult {
  const given = { ...call, dialect };
  const x = rowsOf(given, 'x');
  const d_sae = sizeOf(given);
  const config = configOf(dialect, x.cols, d_sae, given.config);
  const rng = createRng(numberOf(given, 'seed'));
  const state = has(given, 'W_enc')
    ? stateOf(given, config)
    : drawn(given, config, rng.split('initialise').uniform);
  let draws = drawsOf(given);
  if (dialect.prefixes.drawn === 'each-step' && draws.prefixes === undefined) {
    draws = { ...draws, ...drawnPrefixes(config, rng.split('prefixes').uniform) };
  }
  if (dialect.latentOrder.permute === 'never')
    draws = { ...(draws.prefixes && { prefixes: draws.prefixes }) };
  return trainStep(state, x, config, draws);
}

/** As many prefixes as the run has. */
function drawnPrefixes(config: TrainConfig, uniform: () => number): StepDraws {
  const { d_sae, prefixes, dialect } = config;
  return { prefixes: samplePrefixes(d_sae, prefixes.length, 1, dialect.prefixes.power, uniform) };
}

function drawn(given: Given, config: TrainConfig, uniform: () => number): TrainState {
  const known = Object.keys(given.tensors).find(
    (name) => !['x', 'drawn_prefixes', 'order'].includes(name),
  );
  if (known !== undefined) {
    throw new UsageError(
      `${given.where}: tensor "${known}": a state needs W_enc as well; leave all of it out to have one drawn`,
    );
  }
  if (numberOf(given, 'step') !== 0) {
    throw new UsageError(
      `${given.where}: configuration "step": expected 0 where the state is drawn, got ${numberOf(given, 'step')}`,
    );
  }
  return initialState(config, uniform);
}

function sizeOf(given: Given): number {
  const { d_sae } = given.config;
  if (!has(given, 'W_enc')) {
    if (typeof d_sae === 'number') return d_sae;
    throw new UsageError(
      `${given.where}: configuration "d_sae": missing; give it, or parameters W_enc, b_enc, W_dec, b_dec`,
    );
  }
  const width = given.sizes['d_sae'];
  if (d_sae !== undefined && d_sae !== width) {
    throw new UsageError(
      `${given.where}: configuration "d_sae": expected ${width} as W_enc has, got ${String(d_sae)}`,
    );
  }
  return width;
}

function changeOf(a: StepResult, b: StepResult): StepChange {
  const auxk = (result: StepResult): number => result.auxk.reduce((sum, { loss }) => sum + loss, 0);
  return {
    loss: b.loss,
    lossChange: ofNumbers(a.loss, b.loss),
    latents: a.latents.data.reduce(
      (count, latent, i) => count + Number(latent > 0 !== b.latents.data[i] > 0),
      0,
    ),
    gradients: ofParams(a.gradients, b.gradients),
    parameters: ofParams(a.state.params, b.state.params),
    threshold: ofNumbers(a.state.threshold, b.state.threshold),
    auxk: ofNumbers(auxk(a), auxk(b)),
  };
}

function ofParams(a: SaeParams, b: SaeParams): Change {
  let worst: Change = { relative: 0, in: '' };
  for (const name of namesOf(a).filter((each) => namesOf(b).includes(each))) {
    const change = { ...ofValues(valuesOf(a, name), valuesOf(b, name)), in: name };
    if (sizeOfChange(change) > sizeOfChange(worst)) worst = change;
  }
  return worst;
}

function ofNumbers(a: number, b: number): Change {
  return ofValues(Float64Array.of(a), Float64Array.of(b));
}

function ofValues(a: Float64Array, b: Float64Array): Change {
  let largest = 0;
  let apart = 0;
  for (let i = 0; i < a.length; i++) {
    largest = Math.max(largest, Math.abs(a[i]));
    apart = Math.max(apart, Math.abs(a[i] - b[i]));
  }
  const relative = apart === 0 ? 0 : largest === 0 ? null : apart / largest;
  return { relative, in: '' };
}

function sizeOfChange({ relative }: Change): number {
  return relative ?? Infinity;
}
