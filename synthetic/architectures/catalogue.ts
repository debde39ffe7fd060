/**
 * The architectures that `--arch` knows.
 * @module
 */
import { UsageError } from '../../training/usage-error.ts';
import type { Architecture } from './architecture.ts';

/** SAELens trains its Matryoshka SAEs with an auxiliary loss at every level; other dialects have one loss or none. */
const auxkAtEachLevel = { decisions: { 'auxk.levels': 'each' } } as const;

const batchTopK: Architecture = {
  name: 'BatchTopK',
  slug: 'batchtopk',
  meaning: 'the k · rows largest of a batch (Bussmann et al. 2024, arXiv:2412.06410)',
  dialect: 'saelens',
  selection: 'batch',
  prefixes: 'one',
  sparsity: 'k',
  options: {},
};

const matryoshka: Architecture = {
  ...batchTopK,
  name: 'Matryoshka BatchTopK',
  slug: 'matryoshka',
  meaning:
    'BatchTopK whose fixed prefixes each reconstruct (Bussmann et al. 2025, arXiv:2503.17547)',
  prefixes: 'levels',
};

const vanillaNabeshima: Architecture = {
  name: 'ReLU + L1, Nabeshima',
  slug: 'vanilla-nabeshima',
  meaning: 'the trainer of matryoshka-random with a single prefix: its published baseline',
  dialect: 'nabeshima',
  selection: 'all',
  prefixes: 'one',
  sparsity: 'dialect',
  options: {},
};

/** By slug, in the order of help texts. */
export const architectures: readonly Architecture[] = [
  {
    name: 'ReLU + L1',
    slug: 'relu',
    meaning: 'every positive act, penalised by its size times its decoder norm',
    dialect: 'saelens_relu',
    selection: 'all',
    prefixes: 'one',
    sparsity: 'controller',
    options: {},
  },
  {
    ...batchTopK,
    name: 'TopK',
    slug: 'topk',
    meaning: 'the k largest of each row; k is a whole number (Gao et al. 2024, arXiv:2406.04093)',
    selection: 'row',
  },
  batchTopK,
  {
    name: 'JumpReLU',
    slug: 'jumprelu',
    meaning:
      'acts above trained thresholds, penalised for missing their target number (Rajamanoharan et al. 2024, arXiv:2407.14435)',
    dialect: 'saelens_jumprelu',
    selection: 'jump',
    prefixes: 'one',
    sparsity: 'target',
    options: { decisions: { 'initialise.decoderNorm': 0.5, 'penalty.kind': 'l0-to-target' } },
  },
  matryoshka,
  {
    ...vanillaNabeshima,
    name: 'Matryoshka, random prefixes',
    slug: 'matryoshka-random',
    meaning:
      'ReLU, prefixes drawn for every step and a sparsity controller (github.com/noanabeshima/matryoshka-saes)',
    prefixes: 'random',
  },
  vanillaNabeshima,
  {
    ...matryoshka,
    name: 'Matryoshka, auxk at each level',
    slug: 'matryoshka-each',
    meaning: 'matryoshka with an auxiliary loss for dead latents at every level',
    options: auxkAtEachLevel,
  },
  {
    ...matryoshka,
    name: 'Matryoshka, balanced',
    slug: 'matryoshka-balanced',
    meaning:
      'matryoshka with inner levels weighted .75, .75², … (balance of Chanin et al. 2025, arXiv:2505.11756)',
    options: { innerWeight: 0.75 },
  },
  {
    ...matryoshka,
    name: 'Matryoshka, detached levels',
    slug: 'matryoshka-detached',
    meaning:
      'matryoshka whose later levels do not train the latents of earlier ones (ablation of Bussmann et al. 2025, appendix G)',
    options: { decisions: { 'loss.innerLevels': 'detached' } },
  },
  {
    ...matryoshka,
    name: 'Matryoshka, falling k',
    slug: 'matryoshka-falling-k',
    meaning: 'matryoshka with k falling from 2.4 times its target over the first half of the run',
    options: { fallingK: { from: 2.4, share: 0.5 } },
  },
  {
    ...matryoshka,
    name: 'Matryoshka, tilted',
    slug: 'matryoshka-tilted',
    meaning:
      'matryoshka whose rows weigh more the larger their error, tilt .002 (term_mean of github.com/chanind/claude-auto-research-synthsaebench, autoresearch/sae.py)',
    options: { decisions: { 'loss.tilt': 0.002 } },
  },
  {
    ...matryoshka,
    name: 'Matryoshka, ordered by frequency',
    slug: 'matryoshka-ordered',
    meaning:
      'matryoshka whose latents are sorted by how often they fire before prefixes are sliced (FiringFrequencyTracker of github.com/chanind/claude-auto-research-synthsaebench, autoresearch/sae.py)',
    options: {
      decisions: { 'latentOrder.permute': 'by-frequency', 'latentOrder.decay': 0.99 },
    },
  },
  {
    ...matryoshka,
    name: 'Matryoshka, LISTA',
    slug: 'matryoshka-lista',
    meaning:
      'matryoshka whose encoder encodes .3 of what its first selection leaves once more, and selects anew (encode_with_hidden_pre of github.com/chanind/claude-auto-research-synthsaebench, autoresearch/sae.py)',
    options: { decisions: { 'encode.refinement': 0.3 } },
  },
];

/** @throws {@link UsageError} listing the slugs. */
export function architectureNamed(slug: string, option = '--arch'): Architecture {
  const found = architectures.find((one) => one.slug === slug);
  if (found === undefined) {
    throw new UsageError(
      `${option}: expected of ${architectures.map((one) => one.slug).join(', ')}, got ${JSON.stringify(slug)}`,
    );
  }
  return found;
}
