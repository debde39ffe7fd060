"""SAELens's SAEs on given batches: its classes, its trainer, its evaluation. Nothing here computes what they compute."""

from dataclasses import asdict, dataclass

import torch

PARAMETERS = ("W_enc", "b_enc", "W_dec", "b_dec")


@dataclass
class Settings:
    """
    One architecture on one world. k and widths are of the top-k architectures, l1 is of `relu`; level_aux says whether
    `matryoshka` has an auxiliary loss at every level, as SynthSAEBench trains it, or one.
    """

    architecture: str
    d_sae: int
    steps: int
    batch: int
    learning_rate: float
    k: float = 0
    widths: tuple = ()
    l1: float = 0
    level_aux: bool = False

    def __post_init__(self):
        if self.architecture not in ("relu", "batchtopk", "matryoshka"):
            raise ValueError(f"architecture: expected relu, batchtopk or matryoshka, got {self.architecture}")

    def as_json(self):
        return asdict(self) | {"widths": list(self.widths)}


# By world: what the top-k architectures and the ReLU baseline are trained with.
_TREE = dict(d_sae=20, k=1.12, steps=4000, batch=512, learning_rate=5e-3)
_TREE_RELU = dict(d_sae=20, l1=5e-2, steps=3000, batch=1024, learning_rate=1e-2)
_MINI256 = dict(d_sae=64, k=3, steps=2500, batch=512, learning_rate=2e-3)
_MINI1K = dict(d_sae=256, k=4, steps=2000, batch=512, learning_rate=2e-3)

SETTINGS = {
    ("tree", "relu"): Settings("relu", **_TREE_RELU),
    ("tree", "batchtopk"): Settings("batchtopk", **_TREE),
    ("tree", "matryoshka"): Settings("matryoshka", widths=(3, 5, 8, 12, 16, 20), level_aux=True, **_TREE),
    ("mini256", "batchtopk"): Settings("batchtopk", **_MINI256),
    ("mini256", "matryoshka"): Settings("matryoshka", widths=(8, 24, 64), level_aux=True, **_MINI256),
    ("mini1k", "batchtopk"): Settings("batchtopk", **_MINI1K),
    ("mini1k", "matryoshka"): Settings("matryoshka", widths=(8, 32, 128, 256), level_aux=True, **_MINI1K),
}


def new_sae(code, d_in, settings):
    """With its own initialisation, drawn from torch's global generator."""
    sizes = dict(d_in=d_in, d_sae=settings.d_sae)
    if settings.architecture == "relu":
        module = code.standard_sae
        config = module.StandardTrainingSAEConfig(**sizes, l1_coefficient=settings.l1)
        return module.StandardTrainingSAE(config)
    if settings.architecture == "batchtopk":
        module = code.batchtopk_sae
        return module.BatchTopKTrainingSAE(module.BatchTopKTrainingSAEConfig(**sizes, k=settings.k))
    module = code.matryoshka_batchtopk_sae
    config = module.MatryoshkaBatchTopKTrainingSAEConfig(
        **sizes, k=settings.k, matryoshka_widths=list(settings.widths), use_matryoshka_aux_loss=settings.level_aux
    )
    return module.MatryoshkaBatchTopKTrainingSAE(config)


def weights(sae, prefix=""):
    return {f"{prefix}{name}": getattr(sae, name).detach().clone().contiguous() for name in PARAMETERS}


def train(code, sae, batches, settings, on_step=lambda step: None):
    """`SAETrainer.step` on each of (steps, batch, d_in), as its `fit` does. Returns the losses, (steps)."""
    config = code.config.SAETrainerConfig(
        total_training_samples=batches.shape[0] * batches.shape[1],
        train_batch_size_samples=batches.shape[1],
        lr=settings.learning_rate,
        lr_end=settings.learning_rate / 10,
        logger=code.config.LoggingConfig(log_to_wandb=False),
    )
    trainer = code.sae_trainer.SAETrainer(config, sae, iter(()))
    losses = torch.empty(len(batches))
    for step, x in enumerate(batches):
        losses[step] = trainer.step(x).loss.detach()
        trainer.n_training_steps += 1
        on_step(step + 1)
    return losses


class Replay:
    """Stands for an activation generator: hands out given activations (rows, features), from the first on."""

    def __init__(self, features):
        self.features, self.at = features, 0

    def sample(self, rows):
        self.at += rows
        return self.features[self.at - rows : self.at]


def evaluate(code, sae, feature_dict, features, batch):
    """SAELens's metrics of an SAE on given activations, selected in batches. Plain data."""
    result = code.synthetic.evals.eval_sae_on_synthetic_data(
        sae, feature_dict, Replay(features), num_samples=len(features), batch_size=batch
    )
    return result.to_dict()
