"""What the published constructor draws, and the defaults."""

import numpy as np
import torch
from recording import clip_norm_of, defaults_of, record_draws


def initialise(dialect, tensors):
    """The four parameters of the SAE and the draw they are made of, at d_in 3 and d_sae 7."""

    def build():
        return dialect.code.MatryoshkaSAE(3, 7, n_prefixes=2, target_l0=2, n_steps=10)

    def parameters(sae):
        return {name: getattr(sae, name) for name in ("W_enc", "b_enc", "W_dec", "b_dec")}

    return {"d_in": 3, "d_sae": 7} | record_draws(tensors, "initialise", torch, "randn", build, parameters)


def defaults(dialect):
    """The numbers that hold unless a user chooses others, and those the constructor passes on."""
    code = dialect.code
    arguments = ("lr", "permute_latents", "min_prefix_length", "sparsity_type", "starting_sparsity_loss_scale")
    n_steps = 500
    sae = code.MatryoshkaSAE(3, 7, n_prefixes=2, target_l0=2, n_steps=n_steps)
    adam = sae.optimizer.defaults
    np.random.seed(0)
    return defaults_of(code.MatryoshkaSAE, *arguments) | {
        "pareto_power": defaults_of(code.sample_prefixes, "pareto_power")["pareto_power"],
        "controller_eps": defaults_of(code.AdaptiveSparsityController, "eps")["eps"],
        "controller_warmup_fraction": sae.sparsity_controller.warmup_steps / n_steps,
        "normalizer_alpha": defaults_of(code.RunningAvgNormalizer, "alpha")["alpha"],
        "get_wsd_scheduler": defaults_of(
            code.get_wsd_scheduler, "end_lr_factor", "n_warmup_steps", "percent_cooldown"
        ),
        "adam_betas": list(adam["betas"]),
        "adam_eps": adam["eps"],
        "clip_norm": clip_norm_of(lambda: sae.step(torch.randn(4, 3))),
    }
