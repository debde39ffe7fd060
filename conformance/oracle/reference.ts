/**
 * The float64 reference as the oracle sees it: every file with operators by its name. The tests hand in broken ones.
 * @module
 */
import * as adam from '../../reference/adam.ts';
import * as auxk from '../../reference/auxk.ts';
import * as deadLatents from '../../reference/dead-latents.ts';
import * as decode from '../../reference/decode.ts';
import * as decoderNorm from '../../reference/decoder-norm.ts';
import * as encode from '../../reference/encode.ts';
import * as geometricMedian from '../../reference/geometric-median.ts';
import * as gradients from '../../reference/gradients.ts';
import * as infer from '../../reference/infer.ts';
import * as inputNorm from '../../reference/input-norm.ts';
import * as jumpRelu from '../../reference/jump-relu.ts';
import * as latentOrder from '../../reference/latent-order.ts';
import * as loss from '../../reference/loss.ts';
import * as matrix from '../../reference/matrix.ts';
import * as params from '../../reference/params.ts';
import * as penalty from '../../reference/penalty.ts';
import * as prefixes from '../../reference/prefixes.ts';
import * as refine from '../../reference/refine.ts';
import * as select from '../../reference/select.ts';
import * as threshold from '../../reference/threshold.ts';
import * as tilt from '../../reference/tilt.ts';
import * as trainConfig from '../../reference/train-config.ts';
import * as trainStep from '../../reference/train-step.ts';

export interface Reference {
  readonly adam: typeof adam;
  readonly auxk: typeof auxk;
  readonly deadLatents: typeof deadLatents;
  readonly decode: typeof decode;
  readonly decoderNorm: typeof decoderNorm;
  readonly encode: typeof encode;
  readonly geometricMedian: typeof geometricMedian;
  readonly gradients: typeof gradients;
  readonly infer: typeof infer;
  readonly inputNorm: typeof inputNorm;
  readonly jumpRelu: typeof jumpRelu;
  readonly latentOrder: typeof latentOrder;
  readonly loss: typeof loss;
  readonly matrix: typeof matrix;
  readonly params: typeof params;
  readonly penalty: typeof penalty;
  readonly prefixes: typeof prefixes;
  readonly refine: typeof refine;
  readonly select: typeof select;
  readonly threshold: typeof threshold;
  readonly tilt: typeof tilt;
  readonly trainConfig: typeof trainConfig;
  readonly trainStep: typeof trainStep;
}

export const reference: Reference = {
  adam,
  auxk,
  deadLatents,
  decode,
  decoderNorm,
  encode,
  geometricMedian,
  gradients,
  infer,
  inputNorm,
  jumpRelu,
  latentOrder,
  loss,
  matrix,
  params,
  penalty,
  prefixes,
  refine,
  select,
  threshold,
  tilt,
  trainConfig,
  trainStep,
};
