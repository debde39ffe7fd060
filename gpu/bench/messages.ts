/**
 * What a benchmark says to the process of one side and hears from it: one JSON object a line, over standard input and
 * output. Sides are ours-process.ts and peers.py.
 * @module
 */
import { z } from 'zod';

/** Opens the trainer; answered once it can take its first step. */
export interface Setup {
  readonly op: 'setup';
  readonly d_in: number;
  readonly d_sae: number;
  readonly batch: number;
  readonly k: number;
  readonly prefixes: readonly number[];
  readonly dialect: string;
  readonly threads: number;
  /** Raw float32 files: see problem.ts. */
  readonly activations: string;
  readonly batches: number;
  readonly params: string;
  readonly steps: number;
  readonly learning_rate: number;
  readonly warmup_steps: number;
  readonly threshold_start_step: number;
  readonly auxk_alpha: number;
  /** In the dialect's unit. */
  readonly dead_after: number;
  /** Whether latents can count as dead. */
  readonly auxk: boolean;
  /** Where a peer computes, and in what. */
  readonly peer_device: PeerDevice;
  readonly peer_precision: PeerPrecision;
}

export const peerDevices = ['cpu', 'cuda'] as const;
export type PeerDevice = (typeof peerDevices)[number];

/** float32 throughout; its products in TF32; autocast to bfloat16. */
export const peerPrecisions = ['fp32', 'tf32', 'bf16'] as const;
export type PeerPrecision = (typeof peerPrecisions)[number];

/** Takes so many training steps, each timed. */
export interface Steps {
  readonly op: 'steps';
  readonly n: number;
}

/** Multiplies x (batch, d_in) by W_enc (d_in, d_sae) so many times, as fast as this side can. */
export interface Product {
  readonly op: 'product';
  readonly n: number;
}

export type Request = Setup | Steps | Product;

/** Parsed answers. Memory in bytes, times in seconds. */
export interface SetupReply {
  /** What computes: library, version, device, threads. */
  readonly engine: string;
  readonly notes: readonly string[];
  /** Largest resident memory before the trainer and its data were there. */
  readonly base: number;
}

export interface StepsReply {
  /** Of all the steps, from before the first to after the last. */
  readonly total: number;
  /** Of each. */
  readonly seconds: readonly number[];
  /** Of the last step. */
  readonly loss: number;
  /** Latents that the last step took for dead. */
  readonly dead: number;
  /** Largest resident memory so far. */
  readonly peak: number;
  /** That it computed on, where it has a choice. */
  readonly threads?: number | undefined;
}

export interface ProductReply {
  /** Of each product; empty where this side has none. */
  readonly seconds: readonly number[];
}

const seconds = z.number().positive();
const setupReply: z.ZodType<SetupReply> = z.object({
  engine: z.string(),
  notes: z.array(z.string()),
  base: z.number().nonnegative(),
});
// A loss that is not a number is written as null: JSON has no other way.
const loss = z
  .number()
  .nullable()
  .transform((value) => value ?? NaN);
const stepsReply: z.ZodType<StepsReply> = z.object({
  total: seconds,
  seconds: z.array(seconds).min(1),
  loss,
  dead: z.number().nonnegative(),
  peak: z.number().nonnegative(),
  threads: z.number().optional(),
});
const productReply: z.ZodType<ProductReply> = z.object({ seconds: z.array(seconds) });

/** The shape of each answer, by the request's `op`. */
export const replies: { readonly [R in Request as R['op']]: z.ZodType<ReplyTo<R>> } = {
  setup: setupReply,
  steps: stepsReply,
  product: productReply,
};

export type ReplyTo<R extends Request> = R extends Setup
  ? SetupReply
  : R extends Steps
    ? StepsReply
    : ProductReply;
