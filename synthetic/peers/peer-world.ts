/**
 * The world that a peer's export comes from: directions, edges and a labelled sample, but no stream of our own.
 * @module
 */
import type { LabelledBatch, World } from '../worlds/world.ts';
import type { TensorFile } from './tensor-file.ts';

export interface PeerWorld {
  readonly world: Pick<World, 'd_in' | 'directions' | 'bias' | 'edges' | 'parents'>;
  readonly sample: LabelledBatch;
}

/** @param file - with directions, bias, edges (parent, child), x, and features. */
export async function readPeerWorld(file: TensorFile): Promise<PeerWorld> {
  const [features, d_in] = file.shape('directions');
  const pairs = await file.values('edges');
  const edges = Array.from({ length: pairs.length / 2 }, (_, e) => ({
    parent: pairs[2 * e],
    child: pairs[2 * e + 1],
  }));
  const x = await file.matrix('x');
  return {
    world: {
      d_in,
      directions: await file.matrix('directions'),
      bias: await file.values('bias'),
      edges,
      parents: [...new Set(edges.map(({ parent }) => parent))].sort((a, b) => a - b),
    },
    sample: { x, features: await file.sparse('features.', x.rows, features) },
  };
}
