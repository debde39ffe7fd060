"""
Operators of SAELens (https://github.com/decoderesearch/SAELens), computed by its own classes.

    pip install sae-lens
    matryoshka conformance --kernel "python3 saelens_kernels.py" --xfails saelens.xfails.txt

Expected: see saelens.xfails.txt, which lists each law that does not hold and why; all others pass.
"""

import os
import sys
import types
import warnings

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))
from matryoshka_kernels import kernel, serve  # noqa: E402

try:
    from sae_lens.saes.batchtopk_sae import BatchTopK, BatchTopKTrainingSAE
    from sae_lens.saes.jumprelu_sae import JumpReLUSAE, JumpReLUSAEConfig
    from sae_lens.saes.matryoshka_batchtopk_sae import (
        MatryoshkaBatchTopKTrainingSAE,
        MatryoshkaBatchTopKTrainingSAEConfig,
    )
    from sae_lens.saes.topk_sae import TopK
except ImportError as error:
    serve(name="SAELens", skip=f"cannot import {error.name}")
    sys.exit()

torch.set_num_threads(1)
torch.set_grad_enabled(False)
warnings.filterwarnings("ignore", message="WARNING: You have only set one matryoshka level")


def on_torch(operator):
    return kernel(operator, tensors="torch")


def sae_of(d_in, d_sae, widths, **tensors):
    """Their training SAE, with these parameters; k is d_sae, so that its encoder keeps every act."""
    config = MatryoshkaBatchTopKTrainingSAEConfig(
        d_in=d_in,
        d_sae=d_sae,
        k=d_sae,
        matryoshka_widths=list(widths),
        apply_b_dec_to_input=True,
        rescale_acts_by_decoder_norm=False,
    )
    sae = MatryoshkaBatchTopKTrainingSAE(config)
    for name, values in tensors.items():
        getattr(sae, name).data = values
    return sae


@on_torch("encode")
def encode(x, W_enc, b_enc, b_dec):
    sae = sae_of(*W_enc.shape, [W_enc.shape[1]], W_enc=W_enc, b_enc=b_enc, b_dec=b_dec)
    acts, _ = sae.encode_with_hidden_pre(x)
    return acts


@on_torch("batch-topk")
def batch_topk(acts, k):
    return BatchTopK(k)(acts)


@on_torch("topk")
def topk(acts, k):
    return TopK(k, use_sparse_activations=False)(acts)


@on_torch("above-threshold")
def above_threshold(acts, threshold):
    """Their inference: a JumpReLU SAE, here with an encoder that is the identity."""
    d_sae = acts.shape[-1]
    sae = JumpReLUSAE(JumpReLUSAEConfig(d_in=d_sae, d_sae=d_sae, apply_b_dec_to_input=False))
    sae.W_enc.data, sae.b_enc.data = torch.eye(d_sae), torch.zeros(d_sae)
    sae.threshold.data = threshold.expand(d_sae)
    return sae.encode(acts)


@on_torch("update-threshold")
def update_threshold(threshold, latents, decay):
    given = types.SimpleNamespace(
        topk_threshold=threshold.double(),
        cfg=types.SimpleNamespace(topk_threshold_lr=1 - decay),
    )
    BatchTopKTrainingSAE.update_topk_threshold(given, latents)
    return given.topk_threshold.float()


@on_torch("decode")
def decode(latents, W_dec, b_dec, prefixes):
    d_sae, d_in = W_dec.shape
    sae = sae_of(d_in, d_sae, prefixes, W_dec=W_dec, b_dec=b_dec)
    rows = latents.reshape(-1, d_sae)
    levels = [level for _, level in sae._iterable_decode(rows, include_outer_loss=True)]
    return torch.stack(levels).reshape(len(prefixes), *latents.shape[:-1], d_in)


# Not here: loss and auxk, which SAELens defines otherwise (a sum over levels, without weights; auxk without a variance below).

if __name__ == "__main__":
    serve(name="SAELens", device=f"torch {torch.__version__}, CPU")
