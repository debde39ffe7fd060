"""
Operators of EleutherAI's sparsify (https://github.com/EleutherAI/sparsify), computed by its own SparseCoder: with its
Triton decoder where there is a CUDA device, with its eager one elsewhere.

    pip install eai-sparsify
    matryoshka conformance --kernel "python3 sparsify_kernels.py" --xfails sparsify.xfails.txt

Expected: all laws hold, but those in sparsify.xfails.txt.
"""

import contextlib
import os
import sys

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))
from matryoshka_kernels import kernel, serve  # noqa: E402

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu":
    os.environ["SPARSIFY_DISABLE_TRITON"] = "1"  # read when it is imported

try:
    with contextlib.redirect_stdout(sys.stderr):  # it prints which decoder it takes
        from sparsify.config import SparseCoderConfig
        from sparsify.fused_encoder import fused_encoder
        from sparsify.sparse_coder import SparseCoder
        from sparsify.utils import decoder_impl
except ImportError as error:
    serve(name="sparsify", skip=f"cannot import {error.name}")
    sys.exit()

torch.set_num_threads(1)
torch.set_grad_enabled(False)


def on_torch(operator):
    return kernel(operator, tensors="torch", device=DEVICE)


def coder_of(d_in, d_sae, W_enc=None, b_enc=None, W_dec=None, b_dec=None):
    """Their sparse coder, with these parameters; those not given take no part."""
    coder = SparseCoder(d_in, SparseCoderConfig(num_latents=d_sae, k=1), device=DEVICE)
    coder.b_dec.data = b_dec
    if W_enc is not None:
        coder.encoder.weight.data, coder.encoder.bias.data = W_enc.T.contiguous(), b_enc
    if W_dec is not None:
        coder.W_dec.data = W_dec
    return coder


@on_torch("encode")
def encode(x, W_enc, b_enc, b_dec):
    return coder_of(*W_enc.shape, W_enc=W_enc, b_enc=b_enc, b_dec=b_dec).encode(x).pre_acts


@on_torch("topk")
def topk(acts, k):
    """Their selection follows a linear encoder: with one that is the identity it gets acts as they are."""
    d_sae = acts.shape[-1]
    identity, zeros = torch.eye(d_sae, device=DEVICE), torch.zeros(d_sae, device=DEVICE)
    chosen = fused_encoder(acts.reshape(-1, d_sae), identity, zeros, int(k), "topk")
    rows = torch.zeros_like(chosen.pre_acts).scatter(-1, chosen.top_indices, chosen.top_acts)
    return rows.reshape(acts.shape)


@on_torch("decode")
def decode(latents, W_dec, b_dec, prefixes):
    """Their decoder takes the indices of some latents of each row: here those of a prefix, all of them."""
    d_sae, d_in = W_dec.shape
    coder = coder_of(d_in, d_sae, W_dec=W_dec, b_dec=b_dec)
    rows = latents.reshape(-1, d_sae)
    levels = []
    for end in prefixes:
        indices = torch.arange(end, device=DEVICE).repeat(rows.shape[0], 1)
        levels.append(coder.decode(rows[:, :end].contiguous(), indices))
    return torch.stack(levels).reshape(len(prefixes), *latents.shape[:-1], d_in)


if __name__ == "__main__":
    serve(name="sparsify", device=f"torch {torch.__version__}, {DEVICE}, {decoder_impl.__name__}")
