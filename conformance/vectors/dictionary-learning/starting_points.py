"""What the constructors of dictionary-learning draw, and the defaults of its trainers."""

import architectures
import torch
from recording import clip_norm_of, defaults_of, record_draws

ALWAYS = {"steps": 10, "layer": 0, "lm_name": "none", "device": "cpu"}


def initialise(dialect, tensors):
    """The four parameters of the SAE and the draw they are made of, at d_in 3 and d_sae 7."""

    def build():
        return dialect.code.matryoshka.MatryoshkaBatchTopKSAE(3, 7, k=2, group_sizes=[2, 5])

    def parameters(ae):
        names = ("W_enc", "b_enc", "W_dec", "b_dec", "threshold")
        return {name: getattr(ae, name) for name in names}

    draws = record_draws(tensors, "initialise", torch.nn.init, "kaiming_uniform_", build, parameters)
    return {"d_in": 3, "d_sae": 7} | draws | {"architectures": initialise_others(dialect, tensors)}


def initialise_others(dialect, tensors):
    """The same of the other architectures. nn.Linear draws with kaiming_uniform_, the decoder first in top-k."""
    code, linear = dialect.code, architectures.linear_parameters
    cases = {
        "jumprelu": (lambda: code.dictionary.JumpReluAutoEncoder(3, 7), architectures.jumprelu_parameters, False),
        "standard-april": (lambda: code.dictionary.AutoEncoder(3, 7), linear, True),
        "top-k": (lambda: code.top_k.AutoEncoderTopK(3, 7, k=2), linear, False),
    }
    facts = {}
    for id, (build, parameters, normal) in cases.items():
        drawn_by = (torch, "randn") if normal else (torch.nn.init, "kaiming_uniform_")

        def oriented(ae):
            return {name: architectures.oriented(values, flip) for name, (values, flip) in parameters(ae).items()}

        facts[id] = record_draws(tensors, f"initialise.{id}", *drawn_by, build, oriented)
    return facts


def defaults(dialect):
    """The numbers that hold unless a user chooses others, as the constructors leave them in their trainers."""
    make = dialect.code.matryoshka.MatryoshkaBatchTopKTrainer

    def trainer(d_sae, **arguments):
        return make(activation_dim=6, dict_size=d_sae, k=2, group_fractions=[0.25] * 4, **ALWAYS | arguments)

    small = trainer(8, warmup_steps=0)
    adam = small.optimizer.defaults
    arguments = ("auxk_alpha", "warmup_steps", "decay_start", "threshold_beta", "threshold_start_step")
    return defaults_of(make, *arguments) | {
        "lr": {str(d_sae): trainer(d_sae, warmup_steps=0).lr for d_sae in (4096, 16384, 65536)},
        "adam_betas": list(adam["betas"]),
        "adam_eps": adam["eps"],
        "clip_norm": clip_norm_of(lambda: small.update(0, torch.randn(5, 6))),
        "dead_feature_threshold": small.dead_feature_threshold,
        "k_aux": {"6": small.top_k_aux},
        "group_weights": {"4": small.group_weights},
        "geometric_median": defaults_of(make.geometric_median, "max_iter", "tol"),
        "architectures": defaults_of_others(dialect),
    }


def defaults_of_others(dialect):
    """The same of the other architectures."""
    names = {
        "jumprelu": ("lr", "bandwidth", "sparsity_penalty", "target_l0", "warmup_steps", "sparsity_warmup_steps"),
        "standard-april": ("lr", "l1_penalty", "warmup_steps", "sparsity_warmup_steps"),
        "top-k": ("auxk_alpha", "warmup_steps", "threshold_beta", "threshold_start_step"),
    }
    facts = {}
    for run in architectures.RUNS:
        make = getattr(getattr(dialect.code, run.module), run.trainer)
        facts[run.id] = defaults_of(make, *names[run.id])
        adam = run.new_trainer(dialect).optimizer.defaults
        facts[run.id] |= {"adam_betas": list(adam["betas"]), "adam_eps": adam["eps"]}
    return facts
