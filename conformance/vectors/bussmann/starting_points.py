"""What the published constructor draws, and the defaults."""

import torch
from recording import defaults_of, record_draws

SETTINGS = {"group_sizes": [2, 5], "act_size": 3, "dict_size": 7, "device": "cpu"}

NUMBERS = (
    "lr", "beta1", "beta2", "max_grad_norm", "l1_coeff", "input_unit_norm", "n_batches_to_dead", "top_k", "top_k_aux",
    "aux_penalty", "bandwidth", "batch_size",
)  # fmt: skip


def new_sae(dialect):
    config = dialect.code.config.get_default_cfg() | SETTINGS | {"dtype": dialect.dtype}
    return dialect.code.sae.GlobalBatchTopKMatryoshkaSAE(config)


def initialise(dialect, tensors):
    """
    The four parameters of the SAE, and the draws: W_enc and W_dec of the base class, then again of the class itself.
    """

    def parameters(sae):
        names = ("W_enc", "b_enc", "W_dec", "b_dec", "threshold")
        return {name: getattr(sae, name) for name in names}

    # The constructor seeds torch with the configuration's seed.
    draws = record_draws(
        tensors, "initialise", torch.nn.init, "kaiming_uniform_", lambda: new_sae(dialect), parameters
    )
    seed = dialect.code.config.get_default_cfg()["seed"]
    return draws | {"d_in": 3, "d_sae": 7, "seed": seed, "draw_of_W_enc": len(draws["draws"]) - 2}


def defaults(dialect):
    """The numbers that hold unless a user chooses others, and three that no setting reaches."""
    config = dialect.code.config.get_default_cfg()
    sae = new_sae(dialect)
    adam = torch.optim.Adam(sae.parameters(), betas=(config["beta1"], config["beta2"])).defaults
    return {name: config[name] for name in NUMBERS} | {
        "adam_betas": list(adam["betas"]),
        "adam_eps": adam["eps"],
        "threshold": float(sae.threshold),
        "threshold_lr": defaults_of(sae.update_threshold, "lr")["lr"],
    }
