/**
 * What recordings lack, from the published code at the pinned versions, loaded as make.py loads it for float64, called once.
 * Inputs are multiples of 1/64.
 */

/** dictionary_learning's get_norm_factor of two batches of different sizes. */
export const normFactorRecorded: {
  readonly batches: readonly (readonly (readonly number[])[])[];
  readonly factor: number;
} = {
  batches: [
    [
      [0.75, 1.25, -2.0, 1.25],
      [-0.25, 0.0, 0.5, -1.0],
      [2.0, -2.0, -1.0, -0.5],
    ],
    [
      [0.25, -0.5, -1.5, -2.0],
      [-2.0, -2.0, -1.5, 2.0],
    ],
  ],
  factor: 2.8713745256700083,
};

interface Params {
  readonly W_enc: readonly (readonly number[])[];
  readonly b_enc: readonly number[];
  readonly W_dec: readonly (readonly number[])[];
  readonly b_dec: readonly number[];
}

/**
 * JumpReluTrainer.loss with thresholds below 0, which let negative values pass: bandwidth 1, sparsity_penalty 0.5,
 * target_l0 2, no warm-up.
 */
export const negativeThresholds: {
  readonly x: readonly (readonly number[])[];
  readonly params: Params & { readonly threshold: readonly number[] };
  readonly loss: number;
  readonly grad: Params & { readonly threshold: readonly number[] };
} = {
  x: [
    [-0.734375, -1.984375, 1.265625],
    [1.015625, 1.265625, -1.984375],
    [-1.984375, 0.015625, -0.734375],
    [-0.234375, 1.765625, -1.234375],
  ],
  params: {
    W_enc: [
      [-1.25, 0.75, 1.0, -1.25, -1.0],
      [-0.25, -1.0, 2.0, -1.25, 1.75],
      [1.25, 1.5, -1.75, -0.5, 0.5],
    ],
    b_enc: [0.0, 0.75, 0.75, 0.75, -1.75],
    W_dec: [
      [2.0, 0.25, 1.75],
      [-1.0, -0.5, 1.5],
      [-1.25, -1.75, -0.5],
      [0.75, -1.5, 1.5],
      [-0.75, -1.25, 0.25],
    ],
    b_dec: [1.75, 1.75, 1.5],
    threshold: [-0.625, -0.375, 0.125, 0.375, -1.125],
  },
  loss: 248.27196168899536,
  grad: {
    W_enc: [
      [
        -51.94203567504883, -7.23187255859375, 14.018058776855469, -39.907785415649414,
        -1.595458984375,
      ],
      [
        -42.26424026489258, -19.54144287109375, 47.62419891357422, -34.345407485961914,
        17.588134765625,
      ],
      [
        13.742534637451172, 12.46343994140625, -52.18994903564453, 12.005636215209961,
        -12.026336669921875,
      ],
    ],
    b_enc: [39.682373046875, 9.84765625, 31.83935546875, 31.0814208984375, 9.591796875],
    W_dec: [
      [18.025503158569336, -6.665700912475586, 33.30696678161621],
      [14.35089111328125, -5.778226852416992, 34.44014549255371],
      [-55.024240493774414, -88.41075706481934, -1.958517074584961],
      [29.56012725830078, -10.542823791503906, 48.093605041503906],
      [-3.613615036010742, -5.613628387451172, -0.6054592132568359],
    ],
    b_dec: [0.587890625, -15.564453125, 13.3232421875],
    threshold: [0.0, -0.375, 0.4827728271484375, -0.25, 12.95068359375],
  },
};

/** SAELens's training_forward_pass, k 1, widths 2 and 5: pre-activations of every dead latent are exactly 0. */
export const zeroAuxk: {
  readonly x: readonly (readonly number[])[];
  readonly params: Params;
  readonly dead: readonly number[];
  readonly aux: number;
  readonly loss: number;
} = {
  x: [
    [0.765625, -1.484375, 1.515625, -0.734375],
    [-1.234375, 0.265625, 1.765625, 1.765625],
    [1.515625, -0.734375, -1.984375, 1.265625],
  ],
  params: {
    W_enc: [
      [0.75, 0.0, -2.0, 0.0, -0.25],
      [0.0, 0.0, -1.0, 0.0, -2.0],
      [-1.0, 0.0, 0.25, 0.0, -1.5],
      [-2.0, 0.0, -2.0, 0.0, 2.0],
    ],
    b_enc: [-1.25, 0.0, 1.0, 0.0, -1.0],
    W_dec: [
      [-0.25, -1.0, 2.0, -1.25],
      [1.75, 1.25, 1.5, -1.75],
      [-0.5, 0.5, 0.0, 0.75],
      [0.75, 0.75, -1.75, 2.0],
      [0.25, 1.75, -1.0, -0.5],
    ],
    b_dec: [1.5, -1.25, -1.75, -0.5],
  },
  dead: [1, 3],
  aux: 21.386248270670574,
  loss: 56.778681437174484,
};
