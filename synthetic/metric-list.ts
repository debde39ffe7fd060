/**
 * The metrics by name: what tables, pictures and docs call them, and which way is better.
 * @module
 */

export interface Metric {
  readonly name: MetricName;
  readonly label: string;
  /** Better when higher, lower, or nearer to a target that is told with it. */
  readonly direction: 'up' | 'down' | 'target';
  /** Values it can take; null where there is no bound. */
  readonly range: readonly [number | null, number | null];
  /** What it is, in a line. */
  readonly definition: string;
}

/** In the order of tables. */
export const metricNames = [
  'fullAbsorption',
  'rootAbsorption',
  'absorptionFraction',
  'absorptionSplits',
  'mainRecall',
  'cleanGap',
  'edgeGap',
  'childLeak',
  'hedge',
  'mcc',
  'uniqueness',
  'featuresRecovered',
  'precision',
  'recall',
  'f1',
  'matchedF1',
  'featureF1',
  'maxDecoderCosine',
  'maxDecoderCosineAlive',
  'probeTop1',
  'probeTop2',
  'probeTop5',
  'probeX',
  'erasure1',
  'erasureN95',
  'tpp1',
  'tpp5',
  'scr',
  'ravel',
  'unlearning',
  'explainedVariance',
  'shrinkage',
  'reconstructionBias',
  'l0',
  'thresholdL0',
  'deadLatents',
] as const;

export type MetricName = (typeof metricNames)[number];

type Row = Omit<Metric, 'name'>;

function row(
  label: string,
  direction: Metric['direction'],
  range: Metric['range'],
  definition: string,
): Row {
  return { label, direction, range, definition };
}

const rows: Readonly<Record<MetricName, Row>> = {
  fullAbsorption: row(
    'full absorption',
    'down',
    [0, 1],
    'Share of a parent’s samples in which its latent is silent and one other latent supplies it; mean over parents.',
  ),
  rootAbsorption: row(
    'full absorption of roots',
    'down',
    [0, 1],
    'Full absorption of parents that have no parent themselves, what published runs on forests report.',
  ),
  absorptionFraction: row(
    'absorption fraction',
    'down',
    [0, 1],
    'Share of a parent’s contribution that up to three other latents supply; mean over its samples, then over parents.',
  ),
  absorptionSplits: row(
    'latents per parent',
    'down',
    [1, 10],
    'Latents that tell a parent together, each raising F1 by over 0.03; mean over parents. 1 is neither split nor absorbed.',
  ),
  mainRecall: row(
    'recall of parent latents',
    'up',
    [0, 1],
    'Share of a parent’s samples in which its matched latent is active. Read it beside every absorption figure.',
  ),
  cleanGap: row(
    'clean gap',
    'target',
    [-1, 1],
    'Recall of the parent’s latent without any child minus with a child: 1 is full absorption; 0 is best.',
  ),
  edgeGap: row(
    'edge gap',
    'target',
    [-1, 1],
    'Recall of the parent’s latent without the child minus with it, siblings ignored; 0 is best.',
  ),
  childLeak: row(
    'child leak',
    'target',
    [-1, 1],
    'Cosine of the child’s decoder row with the parent’s direction, mean over edges: 0 is best, 0.707 full absorption.',
  ),
  hedge: row(
    'hedge component',
    'target',
    [-1, 1],
    'Cosine of the parent’s decoder row with the child’s direction, mean over edges: above 0 is hedging; 0 is best.',
  ),
  mcc: row(
    'MCC',
    'up',
    [0, 1],
    'Mean absolute cosine of decoder rows and true directions, paired one to one by optimal assignment.',
  ),
  uniqueness: row(
    'uniqueness',
    'up',
    [0, 1],
    'Different features among those that latents are closest to, over the number of latents.',
  ),
  featuresRecovered: row(
    'features recovered',
    'up',
    [0, 1],
    'Share of features with a decoder row whose absolute cosine is above 0.9.',
  ),
  precision: row(
    'precision',
    'up',
    [0, 1],
    'Of a latent’s active samples, those with its closest feature on; mean over latents, dead ones as 0.',
  ),
  recall: row(
    'recall',
    'up',
    [0, 1],
    'Of the samples with a latent’s closest feature on, those in which it is active; mean over latents.',
  ),
  f1: row(
    'F1',
    'up',
    [0, 1],
    'Harmonic mean of precision and recall of each latent for its closest feature; mean over latents.',
  ),
  matchedF1: row(
    'F1, matched feature',
    'up',
    [0, 1],
    'The same for the feature that optimal assignment gives to each latent; mean over pairs.',
  ),
  featureF1: row(
    'F1 by feature',
    'up',
    [0, 1],
    'For each feature that fires the F1 of the best latent; mean over features.',
  ),
  maxDecoderCosine: row(
    'max decoder cosine',
    'down',
    [-1, 1],
    'Largest cosine of a decoder row with another; mean over latents. The world’s own floor is told beside it.',
  ),
  maxDecoderCosineAlive: row(
    'max decoder cosine, alive',
    'down',
    [-1, 1],
    'The same among latents that are active in some sample.',
  ),
  probeTop1: row(
    'probe accuracy, top 1',
    'up',
    [0, 1],
    'Accuracy of a logistic probe for a true feature on its best latent, balanced classes; mean over features.',
  ),
  probeTop2: row('probe accuracy, top 2', 'up', [0, 1], 'The same on the best two latents.'),
  probeTop5: row('probe accuracy, top 5', 'up', [0, 1], 'The same on the best five latents.'),
  probeX: row(
    'probe accuracy on x',
    'up',
    [0, 1],
    'The same on x itself: what an SAE’s latents could reach. Depends on the world, not on the SAE.',
  ),
  erasure1: row(
    'erasure by one latent',
    'up',
    [-0.5, 0.5],
    'Drop of the accuracy of a probe for a parent on x when its strongest latent is removed; mean over parents.',
  ),
  erasureN95: row(
    'latents to erase 95 %',
    'down',
    [1, 8],
    'Fewest of 1, 2, 4, 8 latents whose removal drops a parent’s probe by 95 % of the drop at 8; mean over parents.',
  ),
  tpp1: row(
    'TPP, 1 latent',
    'up',
    [-0.5, 0.5],
    'Drop of a feature’s probe when its strongest latent is removed, minus the mean drop of other features’ probes.',
  ),
  tpp5: row('TPP, 5 latents', 'up', [-0.5, 0.5], 'The same for the strongest five latents.'),
  scr: row(
    'SCR, 2 latents',
    'up',
    [null, null],
    'How much of a probe’s accuracy, lost to a spurious second concept, comes back when that concept’s latents go.',
  ),
  ravel: row(
    'RAVEL',
    'up',
    [0, 1],
    'Share of exchanges between two groups of siblings in which one value changes as meant and the other stays.',
  ),
  unlearning: row(
    'unlearning',
    'up',
    [0, 1],
    'Largest drop of a feature’s probe from clamping its latents that leaves other probes 99 % of their accuracy.',
  ),
  explainedVariance: row(
    'explained variance',
    'up',
    [null, 1],
    'One minus mean squared error over the variance of x, all dimensions together.',
  ),
  shrinkage: row(
    'shrinkage',
    'target',
    [0, null],
    'Mean length of the reconstruction over the length of x; 1 is best.',
  ),
  reconstructionBias: row(
    'reconstruction bias',
    'target',
    [null, null],
    'Mean squared length of the reconstruction over its mean product with x; 1 is unbiased.',
  ),
  l0: row('L0', 'target', [0, null], 'Mean number of active latents per sample.'),
  thresholdL0: row(
    'L0 by threshold',
    'target',
    [0, null],
    'Mean number of latents per sample that the SAE’s inference threshold lets through.',
  ),
  deadLatents: row(
    'dead latents',
    'down',
    [0, null],
    'Latents active in none of the samples; their number falls as samples grow.',
  ),
};

export const metricList: readonly Metric[] = metricNames.map((name) => ({ name, ...rows[name] }));
