/**
 * paper: what the text itself says, its Listing 1 first, wherever that differs from its authors' code.
 * Bussmann, Nabeshima, Karvonen, Nanda 2025, *Learning Multi-Level Features with Matryoshka Sparse Autoencoders*,
 * arXiv:2503.17547. Where the text is silent the value is that of dictionary_learning, the paper's own code; where it
 * refers to Gao et al. 2024 (arXiv:2406.04093) or to Bussmann, Leask, Nanda 2024 (arXiv:2412.06410), it is theirs.
 * @module
 */
import type { Dialect } from '../dialect.ts';
import { dictionaryLearning } from './dictionary-learning.ts';

/** No code of it was published, so no recording holds it: tests hold it to the listing's arithmetic. */
export const paper: Dialect = {
  ...dictionaryLearning,
  name: 'paper',
  source: 'arXiv:2503.17547, section 3, Listing 1, appendix B',
  readFrom: {
    input: 'not in the text; as dictionary_learning',
    encode: 'Listing 1, which has no b_enc (the encoder’s equation has one)',
    select: 'Listing 1',
    inference: 'section 3.2: one global threshold; strictly above it, as dictionary_learning',
    threshold: '“calibrated”; as dictionary_learning',
    prefixes: 'section 3.1, appendix B',
    loss: 'Listing 1: .mean() over all elements of each prefix, summed',
    penalty: 'section 3.2: none',
    auxk: 'section 3.1: α L_aux, after Gao et al. 2024, appendix A.2',
    deadLatents: 'Gao et al. 2024, appendix A.2: 10 million tokens',
    jumpRelu: 'not in the text; as dictionary_learning',
    decoderNorm: 'not in the text; as dictionary_learning',
    clip: 'not in the text; as dictionary_learning',
    adam: 'not in the text; as dictionary_learning',
    learningRate: 'appendix B: 3e-4',
    latentOrder: 'not in the text: none',
    initialise: 'not in the text; as dictionary_learning',
    defaults: 'appendix B; otherwise as dictionary_learning',
  },
  encode: { subtractsDecoderBias: true, usesEncoderBias: false, refinement: 0 },
  loss: {
    emptyPrefix: false,
    overDimensions: 'mean',
    overLevels: 'sum',
    defaultWeight: 'one',
    innerLevels: 'attached',
    tilt: 0,
  },
  auxk: { ...dictionaryLearning.auxk, normaliser: 'none', k: 512 },
  learningRate: { ...dictionaryLearning.learningRate, base: 3e-4, scalesWithWidth: false },
};
