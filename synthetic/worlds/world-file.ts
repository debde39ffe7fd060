/**
 * World files: JSON with a `kind` and the parameters of params.ts, checked for shape and types here and for sense by the world
 * itself. What may be left out has its plainest value.
 * @module
 */
import { z } from 'zod';
import { UsageError } from '../../training/usage-error.ts';
import { NORM_SPREAD, type TreeNode } from './feature-tree.ts';
import type { WorldParams } from './params.ts';

const name = z.string().min(1);

const node: z.ZodType<TreeNode> = z.lazy(() =>
  z.strictObject({
    name,
    probability: z.number(),
    readout: z.boolean().default(true),
    exclusive: z.boolean().default(false),
    children: z.array(node).default([]),
    norm: z.number().exactOptional(),
  }),
);

const tree = z.strictObject({
  kind: z.literal('tree'),
  name,
  d_in: z.number(),
  normSpread: z.number().default(NORM_SPREAD),
  root: node,
});

const parentChild = z.strictObject({
  kind: z.literal('parent-child'),
  name,
  d_in: z.number(),
  features: z.array(
    z.strictObject({
      probability: z.number(),
      parent: z.number().nullable().default(null),
      withoutParent: z.number().default(0),
    }),
  ),
  correlation: z
    .discriminatedUnion('kind', [
      z.strictObject({
        kind: z.literal('pairs'),
        pairs: z.array(z.strictObject({ first: z.number(), second: z.number(), rho: z.number() })),
      }),
      z.strictObject({
        kind: z.literal('random'),
        min: z.number(),
        max: z.number(),
        correlated: z.number(),
        positive: z.number(),
      }),
    ])
    .nullable()
    .default(null),
  magnitude: z.strictObject({ mean: z.number(), sd: z.number() }).default({ mean: 1, sd: 0 }),
});

const synth = z.strictObject({
  kind: z.literal('synth'),
  name,
  features: z.number(),
  d_in: z.number(),
  firing: z.strictObject({ exponent: z.number(), p_max: z.number(), p_min: z.number() }),
  forest: z
    .strictObject({
      roots: z.number(),
      branching: z.union([z.number(), z.strictObject({ min: z.number(), max: z.number() })]),
      depth: z.number(),
      exclusive: z
        .strictObject({
          portion: z.number(),
          minDepth: z.number().default(0),
          maxDepth: z.number().nullable().default(null),
        })
        .default({ portion: 0, minDepth: 0, maxDepth: null }),
      compensate: z.enum(['no', 'refuse', 'clamp']).default('refuse'),
      scaleChildren: z.boolean().default(false),
    })
    .nullable()
    .default(null),
  correlation: z.strictObject({ rank: z.number(), scale: z.number() }).nullable().default(null),
  magnitudes: z
    .strictObject({
      first: z.number(),
      last: z.number(),
      spread: z.strictObject({ mean: z.number(), sd: z.number() }),
    })
    .default({ first: 1, last: 1, spread: { mean: 0, sd: 0 } }),
  orthogonalisation: z
    .strictObject({ steps: z.number(), learningRate: z.number() })
    .default({ steps: 100, learningRate: 3e-4 }),
  bias: z.number().default(0),
  rowsPerBlock: z.number().default(0),
});

const world: z.ZodType<WorldParams> = z.discriminatedUnion('kind', [tree, parentChild, synth]);

/**
 * @param path - of the file, for messages.
 * @throws {@link UsageError} naming the first field that is missing, unknown or of the wrong type.
 */
export function parseWorldFile(text: string, path: string): WorldParams {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${path}: not JSON (${(error as Error).message})`);
  }
  const parsed = world.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new UsageError(`${path}: ${issue.path.join('.') || 'world'}: ${issue.message}`);
}
