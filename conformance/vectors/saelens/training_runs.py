"""Training runs of MatryoshkaBatchTopKTrainingSAE: what is trained on which inputs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from batches import drifting_batches

PARAMETERS = ("W_enc", "b_enc", "W_dec", "b_dec")

STEPS = 200
NORM_BATCHES = 4  # taken from the data before the first step, where the scaling factor is estimated


@dataclass
class Run:
    """
    One training run. `sae` and `trainer` go to the two configurations as they are.

    The remaining fields choose a start and inputs that lead through every branch of a step:
    b_enc        initial encoder bias, below zero so that a small input fires nothing
    never_fire   latents with an initial bias far below, which cannot fire at all
    faint        latents with small initial encoder columns: often positive, seldom large enough to fire
    amplitude    step -> spread of that batch
    quiet        step -> much smaller spread, around 0: fewer than k * batch positive acts, or none
    without      the flags that need not occur
    """

    id: str
    comment: str
    seed: int
    batch: int
    sae: dict
    trainer: dict
    b_enc: float
    never_fire: tuple
    faint: tuple
    amplitude: Callable
    quiet: dict
    without: tuple

    def activations(self):
        """x (steps, batch, d_in), float32 values, the same for both dtypes."""
        d_in = self.sae["d_in"]
        x = drifting_batches(self.seed, STEPS, self.batch, d_in, self.amplitude, quiet={})
        noise = np.random.default_rng(self.seed + 1)
        for step, spread in self.quiet.items():
            x[step] = spread * noise.standard_normal((self.batch, d_in))
        return x

    def new_sae(self, dialect):
        code = dialect.code.matryoshka_batchtopk_sae
        config = code.MatryoshkaBatchTopKTrainingSAEConfig(dtype=dialect.name, **self.sae)
        return code.MatryoshkaBatchTopKTrainingSAE(config)

    def new_trainer(self, dialect, sae, data):
        config = dialect.code.config.SAETrainerConfig(
            total_training_samples=STEPS * self.batch,
            train_batch_size_samples=self.batch,
            n_batches_for_norm_estimate=NORM_BATCHES,
            **{"lr_end": None} | self.trainer,
        )
        config.lr_end = config.lr_end or config.lr / 10  # as the runner's configuration does
        return dialect.code.sae_trainer.SAETrainer(config, sae, data)

    def initial_weights(self, float64):
        """
        Float32 values, the same for both dtypes: the published initialisation, then the changes described above.

        It is run in float64 and rounded, so that a processor that sums in another order starts from the same values.
        """
        torch.manual_seed(self.seed)
        with float64.running():
            sae = self.new_sae(float64)
        weights = {name: getattr(sae, name).detach().float() for name in PARAMETERS}
        weights["W_enc"][:, list(self.faint)] /= 8
        weights["b_enc"][:] = self.b_enc
        weights["b_enc"][list(self.faint)] /= 8
        weights["b_enc"][list(self.never_fire)] = 20 * self.b_enc
        return weights


RUNS = [
    Run(
        id="rescaled",
        comment="d_in 7 (odd, so k_aux = 3), d_sae 12, widths 3, 6, 12; warm-up, constant, decay",
        seed=2,
        batch=8,
        sae=dict(d_in=7, d_sae=12, matryoshka_widths=[3, 6, 12], k=2, decoder_init_norm=0.5),
        trainer=dict(lr=0.01, lr_warm_up_steps=10, lr_decay_steps=75, dead_feature_window=3),
        b_enc=-0.2,
        never_fire=(4,),
        faint=(1, 5, 7, 8, 10, 11),
        amplitude=lambda step: 0.6 + 0.5 * np.sin(step / 4),
        quiet={5: 0.02, 6: 0.3},
        without=("level-without-dead", "lr-cosine"),
    ),
    Run(
        id="rescaled-level-aux",
        comment="d_in 5, d_sae 13, widths 1, 3, 6, 13; an auxiliary loss per level; input scaled; cosine, then decay",
        seed=6,
        batch=8,
        sae=dict(
            d_in=5,
            d_sae=13,
            matryoshka_widths=[1, 3, 6, 13],
            k=2,
            use_matryoshka_aux_loss=True,
            aux_loss_coefficient=0.5,
            topk_threshold_lr=0.05,
            decoder_init_norm=0.5,
            normalize_activations="expected_average_only_in",
        ),
        trainer=dict(
            lr=0.01,
            lr_scheduler_name="cosineannealing",
            lr_end=0.002,
            lr_warm_up_steps=5,
            lr_decay_steps=6,
            dead_feature_window=4,
        ),
        b_enc=-0.2,
        never_fire=(2, 10),
        faint=(1, 5, 8, 11),
        amplitude=lambda step: 0.8 + 0.6 * np.sin(step / 4),
        quiet={5: 0.02, 6: 0.15},
        without=("lr-constant",),
    ),
    Run(
        id="fractional-k",
        comment="d_in 3 (so k_aux = 1), d_sae 10, widths 2, 5, 10; k 1.12 with 5 rows: int(5.6) = 5 are selected; acts "
        "not rescaled; no warm-up, no decay",
        seed=4,
        batch=5,
        sae=dict(
            d_in=3,
            d_sae=10,
            matryoshka_widths=[2, 5, 10],
            k=1.12,
            decoder_init_norm=0.5,
            rescale_acts_by_decoder_norm=False,
        ),
        trainer=dict(lr=0.01, adam_beta2=0.99, dead_feature_window=6),
        b_enc=-0.2,
        never_fire=(),
        faint=(1, 7),
        amplitude=lambda step: 1 + 0.8 * np.sin(step / 4),
        quiet={5: 0.02, 6: 0.5},
        without=("fewer-dead-than-k_aux", "level-without-dead", "lr-warmup", "lr-cosine", "lr-decay"),
    ),
]
