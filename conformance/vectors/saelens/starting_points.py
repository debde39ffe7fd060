"""What the constructors of SAELens draw, and the defaults of its configurations."""

import torch
from recording import clip_norm_of, defaults_of, record_draws

PARAMETERS = ("W_enc", "b_enc", "W_dec", "b_dec")

SAE_NUMBERS = (
    "k", "topk_threshold_lr", "aux_loss_coefficient", "rescale_acts_by_decoder_norm", "use_matryoshka_aux_loss",
    "decoder_init_norm", "apply_b_dec_to_input", "normalize_activations",
)  # fmt: skip
TRAINER_NUMBERS = (
    "lr", "lr_end", "lr_scheduler_name", "lr_warm_up_steps", "lr_decay_steps", "n_restart_cycles", "adam_beta1",
    "adam_beta2", "dead_feature_window", "n_batches_for_norm_estimate",
)  # fmt: skip
JUMPRELU_NUMBERS = (
    "jumprelu_init_threshold", "jumprelu_bandwidth", "jumprelu_sparsity_loss_mode", "l0_coefficient",
    "l0_warm_up_steps", "pre_act_loss_coefficient", "jumprelu_tanh_scale", "jumprelu_ste_to_input", "target_l0",
    "decoder_init_norm",
)  # fmt: skip
STANDARD_NUMBERS = ("l1_coefficient", "l1_warm_up_steps", "lp_norm", "decoder_init_norm")
TOP_K_NUMBERS = ("k", "aux_loss_coefficient", "rescale_acts_by_decoder_norm", "decoder_init_norm")


def initialise(dialect, tensors):
    """The four parameters of the SAE and the draw they are made of, at d_in 3 and d_sae 7, as by default."""

    def build():
        code = dialect.code.matryoshka_batchtopk_sae
        config = code.MatryoshkaBatchTopKTrainingSAEConfig(
            d_in=3, d_sae=7, matryoshka_widths=[2, 7], dtype=dialect.name
        )
        return code.MatryoshkaBatchTopKTrainingSAE(config)

    def parameters(sae):
        return {name: getattr(sae, name) for name in PARAMETERS} | {"threshold": sae.topk_threshold}

    draws = record_draws(tensors, "initialise", torch.nn.init, "kaiming_uniform_", build, parameters)
    return {"d_in": 3, "d_sae": 7} | draws


def defaults(dialect):
    """The numbers that hold unless a user chooses others, and two that no setting reaches."""
    code = dialect.code
    trainer = one_step_trainer(dialect)
    adam = trainer.optimizer.defaults
    return {
        "sae": defaults_of(code.matryoshka_batchtopk_sae.MatryoshkaBatchTopKTrainingSAEConfig, *SAE_NUMBERS),
        "trainer": defaults_of(code.config.SAETrainerConfig, *TRAINER_NUMBERS),
        # The command line's configuration, which has defaults of its own; an lr_end of None becomes lr / 10.
        "runner": defaults_of(code.config.LanguageModelSAERunnerConfig, *TRAINER_NUMBERS),
        "jumprelu": defaults_of(code.jumprelu_sae.JumpReLUTrainingSAEConfig, *JUMPRELU_NUMBERS),
        "standard": defaults_of(code.standard_sae.StandardTrainingSAEConfig, *STANDARD_NUMBERS),
        "topk": defaults_of(code.topk_sae.TopKTrainingSAEConfig, *TOP_K_NUMBERS),
        "adam_betas": list(adam["betas"]),
        "adam_eps": adam["eps"],
        "clip_norm": clip_norm_of(trainer.fit),
        "threshold": float(trainer.sae.topk_threshold),
    }


def one_step_trainer(dialect):
    """A trainer that makes one step without a positive latent."""
    code = dialect.code
    config = code.matryoshka_batchtopk_sae.MatryoshkaBatchTopKTrainingSAEConfig(
        d_in=3, d_sae=7, matryoshka_widths=[2, 7], k=1, dtype=dialect.name
    )
    sae = code.matryoshka_batchtopk_sae.MatryoshkaBatchTopKTrainingSAE(config)
    settings = code.config.SAETrainerConfig(total_training_samples=2, train_batch_size_samples=2, lr_end=3e-5)
    return code.sae_trainer.SAETrainer(settings, sae, iter([torch.zeros(2, 3)]))
