"""
The operators of dictionary_learning (https://github.com/saprmarks/dictionary_learning), computed by its own classes and
functions: MatryoshkaBatchTopKSAE and its trainer.

    pip install dictionary-learning
    matryoshka conformance --kernel "python3 dictionary_learning_kernels.py" --xfails dictionary_learning.xfails.txt

Expected: see dictionary_learning.xfails.txt, which lists each law that does not hold and why; all others pass.
"""

import os
import sys
import types

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))
from matryoshka_kernels import kernel, serve  # noqa: E402

try:
    from dictionary_learning.trainers import matryoshka_batch_top_k as published
    from dictionary_learning.trainers.trainer import get_lr_schedule
except ImportError as error:
    serve(name="dictionary_learning", skip=f"cannot import {error.name}")
    sys.exit()

torch.set_num_threads(1)


def on_torch(operator):
    return kernel(operator, tensors="torch")


def sae_of(d_in, d_sae, **tensors):
    """Their autoencoder, with these parameters; those not given take no part."""
    sae = published.MatryoshkaBatchTopKSAE(d_in, d_sae, k=1, group_sizes=[d_sae])
    for name, values in tensors.items():
        getattr(sae, name).data = values
    return sae


def selector(d_sae, threshold=-1.0):
    """Their selection is a part of encode: an encoder that is the identity gives it acts as they are."""
    zeros = torch.zeros(d_sae)
    sae = sae_of(d_sae, d_sae, W_enc=torch.eye(d_sae), b_enc=zeros, b_dec=zeros)
    sae.threshold = torch.as_tensor(threshold)
    return sae


# Methods of their trainer are called on an object that has what they read of it.
trainer = published.MatryoshkaBatchTopKTrainer


@on_torch("geometric-median")
def geometric_median(x):
    return trainer.geometric_median(x)


@on_torch("encode")
@torch.no_grad()
def encode(x, W_enc, b_enc, b_dec):
    sae = sae_of(*W_enc.shape, W_enc=W_enc, b_enc=b_enc, b_dec=b_dec)
    _, _, acts = sae.encode(x.reshape(-1, x.shape[-1]), return_active=True)
    return acts.reshape(*x.shape[:-1], -1)


@on_torch("batch-topk")
@torch.no_grad()
def batch_topk(acts, k):
    """Their k is a whole number for each row. All rows as one, with k times as many, is the same selection for any k."""
    sae = selector(acts.numel())
    sae.k = torch.tensor(int(k * (acts.numel() // acts.shape[-1])), dtype=torch.int)
    return sae.encode(acts.reshape(1, -1), use_threshold=False).reshape(acts.shape)


@on_torch("above-threshold")
@torch.no_grad()
def above_threshold(acts, threshold):
    rows = acts.reshape(-1, acts.shape[-1])
    return selector(rows.shape[1], threshold).encode(rows).reshape(acts.shape)


@on_torch("update-threshold")
def update_threshold(threshold, latents, decay):
    sae = types.SimpleNamespace(threshold=threshold)
    trainer.update_threshold(types.SimpleNamespace(ae=sae, threshold_beta=decay), latents)
    return sae.threshold


@on_torch("decode")
@torch.no_grad()
def decode(latents, W_dec, b_dec, prefixes):
    """Their decode of the latents of each prefix. Training adds up groups instead, inside of its loss."""
    d_sae, d_in = W_dec.shape
    sae = sae_of(d_in, d_sae, W_dec=W_dec, b_dec=b_dec)
    inside = torch.arange(d_sae) < torch.tensor(prefixes)[:, None]
    return torch.stack([sae.decode(torch.where(prefix, latents, 0)) for prefix in inside])


class Watched:
    """A decoder that keeps the latents it is multiplied by, and their reconstruction: the method below returns neither."""

    def __init__(self, W_dec):
        self.W_dec = W_dec

    @classmethod
    def __torch_function__(cls, function, types, args, kwargs=None):
        latents, self = args
        self.latents = latents
        self.reconstruction = (latents @ self.W_dec).requires_grad_()
        return self.reconstruction


@on_torch("auxk")
def auxk(residual, acts, W_dec, dead, alpha):
    decoder = Watched(W_dec)
    given = types.SimpleNamespace(
        num_tokens_since_fired=dead,
        dead_feature_threshold=1,
        top_k_aux=residual.shape[1] // 2,
        ae=types.SimpleNamespace(W_dec=decoder),
    )
    loss = trainer.get_auxiliary_loss(given, residual, acts)
    if not loss.requires_grad:
        return {"loss": loss, "latents": torch.zeros_like(acts), "gradient": torch.zeros_like(residual)}
    (gradient,) = torch.autograd.grad(alpha * loss, decoder.reconstruction)
    return {"loss": loss, "latents": decoder.latents, "gradient": gradient}


@on_torch("learning-rate")
def learning_rate(step, steps, warmup_steps, decay_start, learning_rate):
    return learning_rate * get_lr_schedule(steps, warmup_steps, decay_start)(step)


# Not here: normalise-rows and project-gradient, whose epsilon is fixed in their code while the laws vary it, and the loss,
# which their trainer computes together with everything before it.

if __name__ == "__main__":
    serve(name="dictionary_learning", device=f"torch {torch.__version__}, CPU")
